"""What precedes the API and the workers when `boardroom up` starts: the database is brought up to date. Then
it is said what runs here, and when all of it works.

It is a process of its own, so that the supervisor stays small, and itself loads only what a start needs that
changes nothing.
"""

import asyncio
import http.client
import json
import os
import sys
import time
from importlib import import_module

from app.embedded.lifeline import watch_parent
from app.embedded.stopping import stops_on_signal
from app.store.revision import is_newest

TICK_S = 0.2
SLOW_S = 20.0
"""Seconds, longer than a start takes. After them the missing parts are named."""
ANSWER_S = 5.0
WHILE_OTHERS_START = 10
"""How much this process yields to the API and the workers once it keeps nobody waiting."""


def prepare(migrated: int) -> None:
    """Read the order of `supervisor.Preparation` from stdin and bring the database up to date. Then write a
    byte to the descriptor `migrated`, and say the rest."""
    line = sys.stdin.readline()
    if not line:  # there is no supervisor any more
        return
    order = json.loads(line)
    os.environ.update(order["environment"])
    # Of a database that is not ours more is asked than whether it is up to date.
    if not (order["ours"] and asyncio.run(is_newest(os.environ["DATABASE_URL"]))):
        import_module("app.errands").migrate()
    os.write(migrated, b"m")
    os.close(migrated)
    os.nice(WHILE_OTHERS_START)
    import_module("app.errands").describe()
    say_when_ready(order["url"], order["began"])


def say_when_ready(url: str, began: float) -> None:
    """Return when all parts of the service work, which is being started since `began` (of the monotonic
    clock)."""
    told = False
    while (missing := what_is_missing(url)) != "":
        if missing and not told and time.monotonic() - began > SLOW_S:
            told = True
            _say(f"Not ready yet: {missing}")
        time.sleep(TICK_S)
    _say(f"Ready after {time.monotonic() - began:.1f} s.")


def what_is_missing(url: str) -> str | None:
    """The parts that the API at this address reports as not working, with the reason; None if it does not
    answer."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=ANSWER_S)
    try:
        connection.request("GET", "/readyz")
        checks = json.loads(connection.getresponse().read())["checks"]
    except (OSError, http.client.HTTPException, ValueError, LookupError):
        return None
    finally:
        connection.close()
    return "; ".join(f"{part}: {check['detail']}" for part, check in checks.items() if not check["ok"])


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    watch_parent()
    with stops_on_signal():
        prepare(int(sys.argv[1]))


if __name__ == "__main__":
    main()
