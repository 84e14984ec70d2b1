"""The embedded PostgreSQL.

`postgres` itself is our child process, not `pg_ctl`, so that it ends when we do. It listens on TCP, on
loopback only, because the path of a Unix socket may not be longer than 107 bytes. Logins use scram with a
random password.
"""

import signal
from collections.abc import Sequence
from pathlib import Path

from app.database_url import ALONE
from app.embedded import cluster
from app.embedded.binaries import find_postgres
from app.embedded.datadir import DataDir
from app.embedded.server import Server, free_port

SETTINGS = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_checkpoints=off",
)
NOT_DURABLE = ("fsync=off", "full_page_writes=off")


class Postgres(Server):
    name = "PostgreSQL"
    stop_signal = signal.SIGINT  # "fast": end the sessions, write a checkpoint, go
    orphaned_signal = signal.SIGINT

    def __init__(self, home: DataDir, *, programs: Path | None = None, durable: bool = True) -> None:
        """Find the programs, and make the data folder on first use. Without `durable` (for tests) a power cut
        may lose the data; a crash of our processes never does. Raises StackProblem."""
        self._programs = find_postgres(programs)
        identity, major = cluster.identity_and_major(self._programs, home.path)
        self._folder = cluster.cluster_folder(home.path, major, self._programs)
        self._password = home.secret(cluster.PASSWORD_FILE)
        if not self._folder.exists():
            cluster.make_cluster(
                self._folder,
                programs=self._programs,
                major=major,
                password_file=home.path / cluster.PASSWORD_FILE,
                identity=identity,
                durable=durable,
            )
        cluster.clear_leftover(self._folder)
        self._durable = durable
        super().__init__(
            cwd=self._folder,
            log=home.path / "postgres.log",
            port=free_port(home.last().postgres_port),
            identity=cluster.owners_identity(self._folder, identity),
        )

    @property
    def url(self) -> str:
        login = f"{cluster.USER}:{self._password}"
        return f"postgresql://{login}@127.0.0.1:{self.port}/{cluster.DATABASE}?{ALONE}"

    def command(self) -> Sequence[str | Path]:
        settings = (*SETTINGS, *(() if self._durable else NOT_DURABLE))
        words = [word for setting in settings for word in ("-c", setting)]
        return [self._programs / "postgres", "-D", self._folder, "-p", str(self.port), *words]

    def answers(self, pid: int) -> bool:
        """Like `pg_ctl`: line 8 of `postmaster.pid` has the state, line 1 the pid."""
        note = self._folder / "postmaster.pid"
        try:
            lines = note.read_text().split("\n")
        except OSError:
            return False
        return lines[0] == str(pid) and len(lines) > 7 and lines[7].strip() == "ready"
