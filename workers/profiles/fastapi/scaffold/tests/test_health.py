from fastapi.testclient import TestClient

from main import app


def test_it_is_well() -> None:
    with TestClient(app) as client:
        assert client.get("/health").text == "ok"
