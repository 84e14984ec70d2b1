"""Ends a child process when its supervisor has ended, in whatever way.

Only the supervisor has the writing end of a pipe. Each child inherits the reading end and reads the end of
file there when the supervisor is gone.
"""

import os
import signal
import threading
import time
from collections.abc import Mapping

VARIABLE = "BOARDROOM_LIFELINE"
"""The environment variable with the number of the inherited descriptor."""

GRACE_S = 20.0
"""Seconds for a child to stop by itself before it is ended."""


class Lifeline:
    """The supervisor's end. It goes with the supervisor's process."""

    def __init__(self) -> None:
        self.descriptor, self._ours = os.pipe()
        """`descriptor` is to be inherited by each child."""

    def environment(self) -> Mapping[str, str]:
        """The variable that a child finds its end by."""
        return {VARIABLE: str(self.descriptor)}

    def close(self) -> None:
        os.close(self.descriptor)
        os.close(self._ours)


def watch_parent() -> None:
    """Stop this process (SIGTERM, then force) once its supervisor is gone; without one, do nothing.
    Call it first in a child's `main`."""
    descriptor = os.environ.pop(VARIABLE, "")
    if descriptor:
        os.set_inheritable(int(descriptor), False)
        threading.Thread(target=_watch, args=(int(descriptor),), name="lifeline", daemon=True).start()


def _watch(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)
