"""The embedded PostgreSQL and Valkey of one DATA_DIR."""

import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from app.embedded.datadir import DataDir
from app.embedded.errors import NoRoom, StackProblem
from app.embedded.postgres import Postgres
from app.embedded.server import Server
from app.embedded.valkey import Valkey

ROOM_BYTES = 32 * 1024**2
"""With less free PostgreSQL may not start: it makes files of 16 MiB."""


class Stack:
    """The embedded servers and their addresses. For an address that was given no server is started."""

    def __init__(
        self,
        home: DataDir,
        *,
        database_url: str = "",
        redis_url: str = "",
        postgres_bin: Path | None = None,
        valkey_bin: Path | None = None,
        durable: bool = True,
    ) -> None:
        """Start what is needed and wait until it answers. Call it from the main thread, with `home.locked()`
        held. Raises StackProblem."""
        self.database_url, self.redis_url = database_url, redis_url
        self._home = home
        self._servers: list[Server] = []
        note = home.last()
        with ExitStack() as undo:
            undo.callback(self.stop)
            if not database_url:
                postgres = Postgres(home, programs=postgres_bin, durable=durable)
                self._start(postgres)
                self.database_url = postgres.url
                note = replace(note, postgres_port=postgres.port)
            if not redis_url:
                valkey = Valkey(home, program=valkey_bin)
                self._start(valkey)
                self.redis_url = valkey.url
                note = replace(note, valkey_port=valkey.port)
            undo.pop_all()
        home.note(replace(note, database_url=self.database_url, redis_url=self.redis_url))

    def _start(self, server: Server) -> None:
        self._servers.append(server)
        server.start(may_move=True)

    def revive(self) -> list[str]:
        """Start servers that have died again, on the same ports; returns their names. Raises StackProblem;
        NoRoom where it is worth trying again."""
        dead = [server for server in self._servers if not server.alive()]
        for server in dead:
            try:
                server.start(may_move=False)
            except StackProblem as problem:
                if shutil.disk_usage(self._home.path).free >= ROOM_BYTES:
                    raise
                where = self._home.path
                told = f"{server.name} has died and cannot start again: the disk of {where} is full."
                raise NoRoom(f"{told} It is tried again until there is room.") from problem
        return [server.name for server in dead]

    def stop(self) -> None:
        """Valkey first, PostgreSQL last. Idempotent."""
        while self._servers:
            self._servers.pop().stop()


def start(data_dir: Path, *, durable: bool = True) -> Stack:
    """Both servers on free ports, for tests and tools. Call it from the main thread; end them with
    `stop()`."""
    return Stack(DataDir(data_dir), durable=durable)
