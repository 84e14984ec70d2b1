from fastapi.testclient import TestClient

from main import app


def test_it_is_well() -> None:
    with TestClient(app) as client:
        assert client.get("/health").text == "ok"


def test_the_documentation_needs_no_internet() -> None:
    with TestClient(app) as client:
        page = client.get("/docs").text
    assert "GET /health" in page
    assert "://" not in page
