"""Starts the proxy of `compose.yaml` in front of an engine, with deploy/engine.conf except for its
addresses."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CONFIG = Path(__file__).parents[2] / "deploy" / "engine.conf"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


@contextlib.contextmanager
def engine_proxy(engine: str) -> Iterator[str]:
    """The address of a proxy in front of the engine at `engine` (unix://… or tcp://…). Needs NGINX."""
    assert NGINX is not None
    # Not in tmp_path, because the path of a socket has to be short.
    with tempfile.TemporaryDirectory(prefix="boardroom-") as folder:
        ours = f"unix:{folder}/engine.sock"
        behind = engine.replace("unix://", "unix:").removeprefix("tcp://")
        words = CONFIG.read_text().replace("/tmp/", f"{folder}/")
        words = words.replace("unix:/var/run/docker.sock", behind).replace("listen 2375", f"listen {ours}")
        config = Path(folder, "engine.conf")
        config.write_text(words)
        user = "user root;" if os.geteuid() == 0 else ""
        with subprocess.Popen([NGINX, "-c", config, "-g", f"daemon off; {user}"]) as nginx:
            try:
                _until_there(Path(folder, "engine.sock"), nginx)
                yield ours.replace("unix:", "unix://")
            finally:
                nginx.terminate()


def _until_there(socket: Path, nginx: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 10
    while not socket.exists():
        assert nginx.poll() is None, "the proxy does not start"
        assert time.monotonic() < end, "the proxy took too long to start"
        time.sleep(0.01)
