"""Runs several checks that only ask for a page on one start of the app, as long as nothing was written.

Each of them has to see what it would see after a start of its own. So the others are left as soon as any file
has changed since the app began to answer, or the app has ended.
"""

import json
import os
from collections.abc import Iterable

from .box import SHARED, Box
from .checking import LOG_BYTES, START_S, clean_checkout
from .frames import Json
from .installing import gate_of
from .link import Stream
from .output import Output
from .process import ending
from .web import Answer, answers, request

ANSWER_S = 20.0
MOST_FILES = 5000
"""With more files than this, looking at all of them is no quicker than another start."""

Seen = frozenset[tuple[str, int, int, int, int]]


async def check_gets(box: Box, stream: Stream, args: Json) -> Json:
    """Ask for `paths`, one after the other, as far as the others see what they would have seen alone; for the
    first in any case, if the app answers. What is sent and answered is that of `check_http`."""
    async with clean_checkout(box, args["commit"], args["install"], gate_of(stream, args)) as checkout:
        if checkout.problem is not None:
            await stream.send(checkout.problem)
            return {"stage": "install"}
        log = Output(LOG_BYTES)
        command = box.start(["/bin/sh", "-c", args["start"]], log.add, cwd=checkout.folder, env=checkout.env)
        found = list[Answer]()
        places = (os.path.dirname(checkout.folder), *SHARED)
        try:
            up = await answers(command, checkout.port, args["health"], START_S)
            before = seen(places) if up else None
            for path in args["paths"] if up else ():
                found.append(await request(checkout.port, "GET", path, None, ANSWER_S))
                if command.over.done() or before is None or seen(places) != before:
                    break
            exit_code = command.over.result().exit_code if command.over.done() else None
        finally:
            await ending(command)
        more = [{"headers": answer.head, "taken": {}, "cut": answer.cut} for answer in found]
        about = json.dumps(more).encode()
        for piece in (*(answer.body for answer in found), about, log.text):
            await stream.send(piece)
        return {
            "stage": "answer" if up else "start",
            "exit": exit_code,
            "statuses": [answer.status for answer in found],
            "sizes": [len(answer.body) for answer in found],
            "about": len(about),
        }


def seen(folders: Iterable[str]) -> Seen | None:
    """What is known of all files below the folders without reading them; None if there are too many."""
    found, waiting = set[tuple[str, int, int, int, int]](), list(folders)
    try:
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    about = entry.stat(follow_symlinks=False)
                    found.add((entry.path, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns))
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
            if len(found) > MOST_FILES:
                return None
    except OSError:
        return None  # somebody is writing, or does not want to be seen
    return frozenset(found)
