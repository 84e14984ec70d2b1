"""The pictures of page checks: of each check the last three are kept and shown to its owner."""

from tests.helpers.rows import add_evidence, add_ticket
from tests.helpers.service import Person, Service

JPEG = b"\xff\xd8\xff picture "


async def test_the_last_three_of_a_check_are_kept(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    ticket_id = await add_ticket(service.resources, job_id, 1)
    ids = [
        await add_evidence(service.resources, job_id, ticket_id, False, picture=JPEG + str(n).encode())
        for n in range(5)
    ]
    bare = await add_evidence(service.resources, job_id, ticket_id, True)
    listed = (await ada.client.get(f"/api/jobs/{job_id}/evidence/")).json()
    shown = {item["id"]: item["screenshot"] for item in listed}
    assert [shown[each] for each in ids] == [False, False, True, True, True]
    assert not shown[bare]
    for number, each in enumerate(ids):
        answer = await ada.client.get(f"/api/jobs/{job_id}/evidence/{each}/screenshot/")
        if number < 2:
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            continue
        assert (answer.status_code, answer.content) == (200, JPEG + str(number).encode())
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["x-content-type-options"] == "nosniff"
    other = await ada.job()
    answer = await ada.client.get(f"/api/jobs/{other}/evidence/{ids[-1]}/screenshot/")
    assert answer.status_code == 404, "of that job there is no such result"
    answer = await ada.client.get(f"/api/jobs/{job_id}/evidence/none/screenshot/")
    assert answer.status_code == 404
