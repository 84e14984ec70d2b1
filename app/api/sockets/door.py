"""The WebSocket of a job: `/ws/jobs/<job_id>/`.

A refused socket is accepted and then closed, because a browser cannot see the code of a refused handshake.
An allowed socket is accepted only after the hub has subscribed to its job, so that it gets every event that
is stored after the accept.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from uuid import UUID

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketState

from app import metrics
from app.api.background import kept_up
from app.api.envelope import request_id
from app.api.sockets.codes import Close, close_for, label_of
from app.api.sockets.conversation import Conversation
from app.api.sockets.credentials import SUBPROTOCOL, identify
from app.auth.tokens import Tokens
from app.domain.errors import NOT_FOUND, NotFound, Refusal, Unauthorized, Unavailable
from app.domain.values import parse_id
from app.events.hub import Hub
from app.logs import log_request
from app.resources import Resources
from app.store import jobs
from app.store.statements import StatementPool
from app.store.users import SignedIn, live_sessions, signed_in

MAX_SOCKETS = 5000
"""Per process."""

MAX_SOCKETS_PER_USER = 200
"""Per process. A user has one per tab and job."""

SESSION_CHECK_S = 2.0
"""How often the sessions of open sockets are checked. A logout has to close its sockets within 5 s."""


async def job_socket(websocket: WebSocket) -> None:
    door: SocketDoor = websocket.app.state.sockets
    await door.serve(websocket, websocket.path_params["job_id"])


# Starlette's route: FastAPI's would keep 4 KiB per socket for dependencies, and this one has none.
router = APIRouter(routes=[WebSocketRoute("/ws/jobs/{job_id:path}/", job_socket)])


class SocketDoor:
    """Accepts or refuses sockets and closes them. `app.state.sockets`; open while the process serves."""

    def __init__(
        self,
        resources: Resources,
        reads: StatementPool,
        tokens: Tokens,
        hub: Hub,
        *,
        token_query: bool,
        origins: frozenset[str] | None,
    ) -> None:
        """`token_query` is ALLOW_WS_TOKEN_QUERY, `origins` the listed CORS_ORIGINS."""
        self._resources = resources
        self._reads = reads
        self._tokens = tokens
        self._hub = hub
        self._token_query = token_query
        self._origins = origins
        self._conversations: set[Conversation] = set()
        self._per_user: Counter[UUID] = Counter()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Run the background tasks that all sockets need."""
        async with kept_up("hub", self._hub.run), kept_up("session watch", self._watch_sessions):
            yield

    async def serve(self, websocket: WebSocket, job_id: str) -> None:
        """From the handshake to the Close frame."""
        began = time.perf_counter()
        code: int = Close.OUR_FAULT
        reason = ""
        try:
            code = await self._converse(websocket, parse_id(job_id))
        except Refusal as refusal:
            code, reason = close_for(refusal), refusal.code
        except WebSocketDisconnect as left:
            code = left.code
        finally:
            await _close(websocket, code, reason)
            metrics.sockets_closed.labels(code=label_of(code)).inc()
            path = websocket.scope["raw_path"].decode("latin-1")
            took_ms = (time.perf_counter() - began) * 1000
            log_request("WS", path, int(code), took_ms, request_id(websocket.scope))

    async def _converse(self, websocket: WebSocket, job_id: UUID | None) -> Close:
        """Accept or refuse the socket and serve it. Returns the code with which to close it. Raises Refusal,
        WebSocketDisconnect."""
        visitor = await self._identify(websocket)
        if job_id is None:
            raise NotFound(NOT_FOUND)
        with self._counted(Conversation(websocket, self._resources, visitor, job_id)) as conversation:
            if not await self._owns(visitor, job_id):
                raise NotFound(NOT_FOUND)
            async with self._hub.follow(job_id) as (pump, head):
                await _accept(websocket)
                code = await conversation.run(pump, head)
        if code is Close.GONE and not await self._in_session(visitor):
            return Close.UNAUTHORIZED  # the job is gone because its user was deleted
        return code

    async def _identify(self, websocket: WebSocket) -> SignedIn:
        user_id, session_id = await identify(
            websocket,
            self._resources,
            self._tokens,
            token_query=self._token_query,
            origins=self._origins,
        )
        async with self._reads.open() as statements:
            visitor = await signed_in(statements, user_id, session_id)
        if visitor is None:
            raise Unauthorized("This session is over: log in again.", code="session_over")
        return visitor

    async def _owns(self, visitor: SignedIn, job_id: UUID) -> bool:
        async with self._reads.open() as statements:
            return await jobs.exists(statements, visitor.user_id, job_id)

    async def _in_session(self, visitor: SignedIn) -> bool:
        async with self._reads.open() as statements:
            return bool(await live_sessions(statements, [visitor.session_id]))

    @contextmanager
    def _counted(self, conversation: Conversation) -> Iterator[Conversation]:
        """Count the socket while it is open, and before the next await, since many may be opened at once.
        Raises Unavailable."""
        user_id = conversation.visitor.user_id
        if len(self._conversations) >= MAX_SOCKETS or self._per_user[user_id] >= MAX_SOCKETS_PER_USER:
            raise Unavailable("There are too many sockets open.", code="too_many_sockets")
        self._conversations.add(conversation)
        self._per_user[user_id] += 1
        metrics.sockets.inc()
        try:
            yield conversation
        finally:
            metrics.sockets.dec()
            self._conversations.discard(conversation)
            self._per_user[user_id] -= 1
            if not self._per_user[user_id]:
                del self._per_user[user_id]

    async def _watch_sessions(self) -> None:
        """Close the sockets of sessions that were revoked or whose user was deleted."""
        while True:
            await asyncio.sleep(SESSION_CHECK_S)
            sessions = {conversation.visitor.session_id for conversation in self._conversations}
            if not sessions:
                continue
            try:
                async with self._reads.open() as statements:
                    over = sessions - await live_sessions(statements, sessions)
            except Unavailable:
                continue  # without the database nobody can log out either
            for conversation in self._conversations:
                if conversation.visitor.session_id in over:
                    conversation.end(Close.UNAUTHORIZED)


async def _accept(websocket: WebSocket) -> None:
    """Answer an offered subprotocol `bearer`: a browser gives up a socket whose offer is not answered."""
    offered = websocket.scope["subprotocols"]
    try:
        await websocket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    except OSError:
        raise WebSocketDisconnect(1006) from None


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close with this code. A socket that was refused is accepted first. Does nothing if the client has
    left."""
    with suppress(WebSocketDisconnect):
        if websocket.application_state is WebSocketState.CONNECTING:
            await _accept(websocket)
        here = websocket.client_state is WebSocketState.CONNECTED
        if here and websocket.application_state is WebSocketState.CONNECTED:
            await websocket.close(code, reason)
