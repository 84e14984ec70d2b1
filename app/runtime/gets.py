"""Runs `http` checks that only ask for a page together; see `guest.gets`."""

import time
from collections.abc import Sequence

from app.domain.ticket import AnyCheck, HttpCheck
from app.runtime import answers, http_answers
from app.runtime.channel import Channel
from app.runtime.checker import AROUND_S, MAX_HTTP_BYTES, SHOWN_LOG, manifest_of, tail
from app.runtime.leave import Leave
from app.runtime.workspace import CheckResult

MOST = 8
"""How many are run together, at most."""

_PLAIN = {"id", "criterion", "kind", "method", "path", "expect_status", "expect_text", "expect_json"}


def only_gets(check: AnyCheck) -> bool:
    """Whether a check is one GET, and says nothing else of what it sends or looks at."""
    said = check.model_dump(exclude_defaults=True, exclude_none=True)
    return isinstance(check, HttpCheck) and check.method == "GET" and said.keys() <= _PLAIN


async def run_gets(
    channel: Channel, commit: str, checks: Sequence[HttpCheck], leave: Leave | None
) -> list[CheckResult]:
    """The results of the first ones of `checks`, as far as each has seen what it would have seen alone; none
    if the app did not answer. The others are to be run again. Raises what `run_check` raises."""
    manifest, _ = await manifest_of(channel, commit)
    if manifest is None:
        return []
    began = time.monotonic()
    gate = leave if manifest.install else None
    done, data = await channel.ask(
        answers.CheckedHttp,
        "check_gets",
        commit=commit,
        install=manifest.install,
        first=gate,
        gated=gate is not None,
        start=manifest.start,
        health=manifest.health,
        paths=[check.path for check in checks],
        bytes_limit=MAX_HTTP_BYTES,
        deadline_s=AROUND_S,
    )
    if done.stage != "answer":
        return []
    with channel.believing():
        found, log = http_answers.read(done, data)
    took = round((time.monotonic() - began) * 1000 / max(len(found), 1))
    results = list[CheckResult]()
    for check, answer in zip(checks, found, strict=False):
        if results and not 0 < answer.status < 500:
            break  # one before it may have harmed the app
        passed, said = http_answers.judge(check, [answer], "")
        results.append(CheckResult(passed, None, tail(f"{log[-SHOWN_LOG:]}\n{said}"), took))
    return results
