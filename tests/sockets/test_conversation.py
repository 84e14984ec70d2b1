"""A socket's conversation on a simulated connection, which is full and free again at chosen moments."""

from typing import Any, cast

from fastapi import WebSocket
from starlette.datastructures import QueryParams, State
from uuid_utils.compat import uuid7

from app.api.sockets.conversation import Conversation
from app.resources import Resources
from app.store.users import SignedIn


class Connection:
    """A WebSocket, as far as a conversation uses it to send."""

    def __init__(self) -> None:
        self.full = True
        self.sent: list[str] = []
        self.query_params = QueryParams()
        self.state = State({"write_now": self.write_now})

    def write_now(self, text: str) -> bool:
        if not self.full:
            self.sent.append(text)
        return not self.full

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message["text"])


async def test_no_event_overtakes_waiting_ones() -> None:
    connection = Connection()
    visitor, resources = cast(SignedIn, None), cast(Resources, None)
    conversation = Conversation(cast(WebSocket, connection), resources, visitor, uuid7())
    conversation.hear("first")
    connection.full = False
    conversation.hear("second")
    await conversation.replay([])
    conversation.hear("third")
    assert connection.sent == ["first", "second", "third"]
