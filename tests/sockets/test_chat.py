"""Messages that a client can send on a socket, and their effects."""

from typing import Any
from uuid import UUID

import pytest

from app.domain.job import MAX_CLIENT_MESSAGES, Status
from tests.helpers.sockets import open_socket, stored, tell
from tests.sockets.conftest import Person, Web


async def test_chat_is_stored_and_echoed_to_every_socket(web: Web, ada: Person, job_id: UUID) -> None:
    content = '  "quotes" \\ <b>\t\u2028 ünïcödé 🎉\n'
    async with (
        open_socket(web.url(job_id), ada.access) as one,
        open_socket(web.url(job_id), ada.access) as other,
    ):
        await one.say(kind="chat", content=content, extra="is ignored")
        heard = [await one.hear(), await other.hear()]
    assert heard[0] == heard[1] == (await stored(web.resources, job_id))[-1]
    assert heard[0] | {"id": "", "timestamp": ""} == {
        "kind": "stageUpdate",
        "jobId": str(job_id),
        "seq": 2,
        "timestamp": "",
        "id": "",
        "role": "user",
        "sender": "Ada",
        "content": content,
        "metadata": {"stage": "requirements"},
    }


async def test_messages_keep_their_order(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id), ada.access) as socket:
        for n in range(15):
            await socket.say(kind="chat", content=f"message {n}")
        heard = await socket.hear_all(15)
    assert [event["content"] for event in heard] == [f"message {n}" for n in range(15)]


async def test_chat_is_ignored_once_requirements_are_collected(web: Web, ada: Person, job_id: UUID) -> None:
    async with web.resources.unit() as unit:
        job = await unit.take(job_id, ada.id)
        job.status = Status.PLANNING
    async with open_socket(web.url(job_id), ada.access) as socket:
        await socket.say(kind="chat", content="too late")
        assert await socket.pings() == []
    assert len(await stored(web.resources, job_id)) == 1


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("nope", "invalid_json"),
        ("[" * 5000, "invalid_json"),
        (b'{"kind":"ping"}', "invalid_json"),
        ('{"kind":"chat","content":"\\ud800"}', "invalid_json"),
        ("NaN", "invalid_json"),
        ("[]", "not_an_object"),
        ("null", "not_an_object"),
        ('"chat"', "not_an_object"),
        ("{}", "unknown_kind"),
        ('{"kind":"shout"}', "unknown_kind"),
        ('{"kind":["chat"]}', "unknown_kind"),
        ('{"kind":null}', "unknown_kind"),
        ('{"kind":"jobStatus"}', "unknown_kind"),
        ('{"kind":"chat"}', "invalid_message"),
        ('{"kind":"chat","content":null}', "invalid_message"),
        ('{"kind":"chat","content":7}', "invalid_message"),
        ('{"kind":"chat","content":""}', "invalid_message"),
        ('{"kind":"chat","content":" \\n\\t "}', "invalid_message"),
        ('{"kind":"chat","content":"a\\u0000b"}', "invalid_message"),
        ('{"kind":"chat","content":"' + "x" * 5001 + '"}', "invalid_message"),
    ],
)
async def test_nonsense_is_one_error_and_the_socket_stays(
    web: Web, ada: Person, job_id: UUID, frame: Any, code: str
) -> None:
    async with open_socket(web.url(job_id), ada.access) as socket:
        await socket.connection.send(frame)
        error = await socket.hear()
        assert (error["kind"], error["code"]) == ("error", code)
        assert error["message"].endswith(".")
        assert "error" not in error["message"]
        assert "seq" not in error
        assert await socket.pings() == []
    assert len(await stored(web.resources, job_id)) == 1


async def test_the_longest_message_is_taken(web: Web, ada: Person, job_id: UUID) -> None:
    async with open_socket(web.url(job_id), ada.access) as socket:
        await socket.say(kind="chat", content="🎉" * 5000)
        assert (await socket.hear())["content"] == "🎉" * 5000


async def test_a_full_job_is_an_error_and_the_service_still_speaks(
    web: Web, ada: Person, job_id: UUID
) -> None:
    async with web.resources.unit() as unit:
        job = await unit.take(job_id, ada.id)
        job.client_messages = MAX_CLIENT_MESSAGES
    async with open_socket(web.url(job_id), ada.access) as socket:
        await socket.say(kind="chat", content="one more")
        error = await socket.hear()
        assert (error["kind"], error["code"]) == ("error", "job_full")
        await tell(web.resources, job_id, "the service")
        assert (await socket.hear())["content"] == "the service"
