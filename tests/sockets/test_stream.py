"""What arrives on a socket: everything, once, in order, wherever it was written."""

from uuid import UUID

from tests.sockets.conftest import OpenWeb, Person, Web, open_socket, stored, tell


async def test_what_is_stored_after_the_accept_arrives(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id), ada.access) as socket:
        await tell(web.resources, job_id, "one", "two")
        heard = await socket.hear_all(2)
    assert heard == (await stored(web.resources, job_id))[1:]
    assert [event["seq"] for event in heard] == [2, 3]
