"""A signal stops a command, wherever in the event loop it arrives."""

import asyncio
import os
import signal

import pytest

from app.embedded.running import run_until_stopped
from app.embedded.stopping import SIGNALS, stops_on_signal


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_in_a_callback_of_the_loop_is_not_lost(number: signal.Signals) -> None:
    ended: list[str] = []

    async def work() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 30)
        finally:
            os.kill(os.getpid(), number)  # a second signal does not interrupt the clean-up
            await asyncio.sleep(0)
            ended.append("in order")

    before = signal.getsignal(number)
    with stops_on_signal():
        run_until_stopped(work())
        ended.append("as if nothing had happened")
    assert ended == ["in order"]
    assert signal.getsignal(number) is before
