"""PostgreSQL and Valkey together, in one DATA_DIR."""

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from app.embedded.datadir import DataDir
from app.embedded.postgres import Postgres
from app.embedded.server import Server
from app.embedded.valkey import Valkey


class Stack:
    """What was started here. An address that was given is passed on, and nothing is started for it."""

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
        """Starts what is needed and waits until it answers. From the main thread only; the caller holds
        `home.locked()`. StackProblem."""
        self.database_url, self.redis_url = database_url, redis_url
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
        """Start again, where it was, whatever has died; the names of what had to be. StackProblem."""
        dead = [server for server in self._servers if not server.alive()]
        for server in dead:
            server.start(may_move=False)
        return [server.name for server in dead]

    def stop(self) -> None:
        """Valkey first, PostgreSQL last. Idempotent."""
        while self._servers:
            self._servers.pop().stop()


def start(data_dir: Path, *, durable: bool = True) -> Stack:
    """Both, on free ports, for tests and tools; end them with `stop()`. From the main thread only."""
    return Stack(DataDir(data_dir), durable=durable)
