"""Apps and tickets."""

from tests.helpers.rows import SPEC, add_app, add_ticket
from tests.helpers.service import Person, Service


async def test_an_app(service: Service, ada: Person) -> None:
    job_id = await ada.job()
    none_yet = await ada.client.get(f"/api/apps/by-job/{job_id}/")
    assert (none_yet.status_code, none_yet.content) == (204, b"")
    assert (await ada.client.get("/api/apps/")).json() == []
    app_id = await add_app(service.resources, job_id)
    app = (await ada.client.get(f"/api/apps/by-job/{job_id}/")).json()
    assert (app["id"], app["job_id"], app["spec"], app["prd_markdown"]) == (app_id, job_id, SPEC, "# PRD")
    assert (await ada.client.get(f"/api/apps/{app_id}/")).json() == app
    assert (await ada.client.get("/api/apps/")).json() == [app]


async def test_tickets_in_execution_order(service: Service, ada: Person) -> None:
    job_id, other = await ada.job(), await ada.job()
    second = await add_ticket(service.resources, job_id, 2)
    first = await add_ticket(service.resources, job_id, 1, type="epic", checks=[], dependencies=[])
    third = await add_ticket(service.resources, job_id, 3, parent_id=first, dependencies=[second])
    elsewhere = await add_ticket(service.resources, other, 1)
    answer = await ada.client.get(f"/api/tickets/?job_id={job_id}")
    assert [ticket["id"] for ticket in answer.json()] == [first, second, third]
    assert answer.json()[2]["parent_id"] == first
    assert answer.json()[2]["dependencies"] == [second]
    everything = (await ada.client.get("/api/tickets/")).json()
    assert {ticket["id"] for ticket in everything} == {first, second, third, elsewhere}
    assert (await ada.client.get(f"/api/tickets/{second}/")).json() == answer.json()[1]
    page = await ada.client.get(f"/api/tickets/?job={job_id}&limit=1&after={first}")
    assert page.json() == answer.json()[1:2]
