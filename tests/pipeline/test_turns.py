"""The runs of a worker take turns with their own work; while a run waits for a model, it has no turn."""

import asyncio

import pytest

from workers.turns import AT_ONCE, Turn, new_turns


async def test_turns_are_limited_and_go_to_who_waited_longest() -> None:
    turns = new_turns()
    running = [Turn(turns) for _ in range(AT_ONCE)]
    for turn in running:
        await turn.take()
        await turn.take()  # which it has already
    order: list[int] = []

    async def come(number: int) -> None:
        await Turn(turns).take()
        order.append(number)

    waiting = [asyncio.create_task(come(number)) for number in range(3)]
    await asyncio.sleep(0)
    assert order == []
    for turn in running:
        turn.leave()
        turn.leave()  # a second time does nothing
    await asyncio.wait_for(asyncio.gather(*waiting[:AT_ONCE]), 5)
    assert order == list(range(AT_ONCE))[:3]


async def test_a_run_that_waits_for_a_model_gives_its_turn_to_others() -> None:
    turns = asyncio.Semaphore(1)
    first, second = Turn(turns), Turn(turns)
    await first.take()
    async with first.left():
        await asyncio.wait_for(second.take(), 5)
        second.leave()
    assert turns.locked()
    with pytest.raises(ValueError, match="no model"):
        async with first.left():
            raise ValueError("no model")
    assert not turns.locked(), "after an error it has none"
    async with second.left():
        pass
    assert not turns.locked(), "who had none takes none"
