"""`python -m app.main` without one of the things that make it faster.

python -m bench.without gc | write_now
"""

import gc
import runpy
import sys


def _nothing() -> None:
    """Leaves the collector switched on."""


def main(what: str) -> None:
    if what == "gc":
        gc.disable = _nothing
    else:
        from app.api.wire.websocket_protocol import SocketProtocol  # noqa: PLC0415 - not before the collector

        SocketProtocol.write_now = lambda *_: False  # type: ignore[method-assign]
    sys.argv[1:] = []
    runpy.run_module("app.main", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
