"""Python imports this before anything else where this folder is in PYTHONPATH: it notes how long a worker
waits for its boxes, its database and its model, and writes that to the file BENCH_PROFILE when it ends.

It must run in older versions of the service, too: it names as little of them as possible.
"""

import atexit
import functools
import importlib.abc
import importlib.machinery
import json
import os
import sys
import time
from collections import Counter, defaultdict
from typing import Any

spent: defaultdict[str, float] = defaultdict(float)
times: Counter[str] = Counter()

PARTS = {
    "app.runtime.channel": [("Channel", "ask")],
    "app.runtime.attachment": [("Attachment", "run")],
    "sqlalchemy.ext.asyncio.session": [("AsyncSession", name) for name in ("execute", "flush", "commit")],
    "app.store.statements": [("Statements", "row"), ("Statements", "rows")],
    "workers.llm.provider": [("Provider", "ask"), ("OpenAIProvider", "ask")],
}


def timed(kind: str, method: Any) -> Any:
    @functools.wraps(method)
    async def call(self: Any, *args: Any, **more: Any) -> Any:
        name = f"box: {args[1]}" if kind == "Channel.ask" else KINDS.get(kind, kind)
        began = time.perf_counter()
        try:
            return await method(self, *args, **more)
        finally:
            spent[name] += time.perf_counter() - began
            times[name] += 1

    return call


KINDS = {"Attachment.run": "box: run", "Provider.ask": "model", "OpenAIProvider.ask": "model"}


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name not in PARTS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            for owner, method in PARTS[name]:
                found = getattr(getattr(module, owner, None), method, None)
                if found is not None:
                    kind = f"{owner}.{method}"
                    kind = "database" if owner in ("AsyncSession", "Statements") else kind
                    setattr(getattr(module, owner), method, timed(kind, found))

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def write() -> None:
    with open(os.environ["BENCH_PROFILE"], "w") as file:
        json.dump({name: [spent[name], times[name]] for name in spent}, file)


if os.environ.get("BENCH_PROFILE") and "workers.main" in sys.orig_argv:
    sys.meta_path.insert(0, Finder())
    atexit.register(write)
