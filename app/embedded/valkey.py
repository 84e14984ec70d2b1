"""The embedded Valkey. It stores nothing on disk: Redis only carries hints."""

import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from app.embedded.binaries import find_valkey
from app.embedded.datadir import DataDir
from app.embedded.server import Server, free_port

PASSWORD_FILE = "valkey.password"  # noqa: S105 - the name of a file


class Valkey(Server):
    name = "Valkey"
    stop_signal = signal.SIGTERM
    orphaned_signal = signal.SIGKILL

    def __init__(self, home: DataDir, *, program: Path | None = None) -> None:
        """NotInstalled."""
        super().__init__(cwd=home.path, log=home.path / "valkey.log", port=free_port(home.last().valkey_port))
        self._program = find_valkey(program)
        self._password = home.secret(PASSWORD_FILE)

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str | Path]:
        return [self._program, "-"]

    def configuration(self) -> str:
        lines = (
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self._password}",
            'save ""',
            "appendonly no",
        )
        return "\n".join(lines) + "\n"

    def answers(self, pid: int) -> bool:
        """Asks by the inline form of the protocol. Only our Valkey accepts the password."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as link:
                link.sendall(f"AUTH {self._password}\r\nPING\r\nQUIT\r\n".encode())
                return b"+PONG" in link.makefile("rb").read()
        except OSError:
            return False
