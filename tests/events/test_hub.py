"""The hub under difficult conditions: hints that are lost, late, repeated or out of order, sockets that come
and go, and a slow log.

The log and the bell are in memory here, so that thousands of schedules can be tried; `tests/sockets` uses
real ones. In all of them each socket gets every event after its start exactly once and in order.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import NotFound, Unavailable
from app.events.bus import Numbered
from app.events.hub import Hub, Listener
from app.events.log import PAGE

NEVER_S = 3600.0


@dataclass
class Memory:
    """A log in memory that is slow and can be made to fail."""

    numbers: dict[UUID, int] = field(default_factory=dict)
    turns: int = 0
    away: bool = False

    async def after(self, job_id: UUID, seq: int, limit: int = PAGE) -> Sequence[Numbered]:
        page = [Numbered(n, str(n)) for n in range(seq + 1, self.numbers.get(job_id, 0) + 1)]
        await self._answer()
        return page[: min(limit, 3)]

    async def heads(self, job_ids: Collection[UUID]) -> Mapping[UUID, int]:
        heads = {job_id: self.numbers[job_id] for job_id in job_ids if job_id in self.numbers}
        await self._answer()
        return heads

    async def _answer(self) -> None:
        await turn(self.turns)
        if self.away:
            raise Unavailable("The log is away.")


@dataclass
class Bell:
    """A bell whose hints the test delivers."""

    listener: Listener | None = None
    subscribed: set[UUID] = field(default_factory=set)

    async def subscribe(self, job_id: UUID) -> None:
        self.subscribed.add(job_id)
        await turn(1)

    async def unsubscribe(self, job_id: UUID) -> None:
        self.subscribed.remove(job_id)

    async def run(self, listener: Listener) -> None:
        self.listener = listener
        await asyncio.get_running_loop().create_future()


class Ear:
    """A socket that records what it gets."""

    def __init__(self, hub: Hub, job_id: UUID, back: int | None) -> None:
        self.heard: list[int] = []
        self.start: int | None = None
        self.joined_at: int | None = None
        self.is_gone = False
        self.is_broken = False
        self.task = asyncio.create_task(self._follow(hub, job_id, back))

    async def _follow(self, hub: Hub, job_id: UUID, back: int | None) -> None:
        async with hub.follow(job_id) as (pump, head):
            self.start = head if back is None else max(0, head - back)
            try:
                await pump.join(self, self.start, head)
                await asyncio.get_running_loop().create_future()
            finally:
                pump.leave(self)

    async def replay(self, events: Sequence[Numbered]) -> None:
        for event in events:
            self.heard.append(event.seq)
            await turn(1)

    def joined(self, seq: int) -> None:
        assert self.heard[-1:] in ([], [seq])
        self.joined_at = seq

    def overhear(self, payload: str) -> None:
        raise AssertionError("nobody whispers here")

    def hear(self, payload: str) -> None:
        assert self.joined_at is not None
        self.heard.append(int(payload))

    def gone(self) -> None:
        self.is_gone = True

    def broken(self) -> None:
        self.is_broken = True

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def turn(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


async def settle() -> None:
    await turn(100)


class Scene:
    """One job, one hub, and hints that wait for their delivery, if it comes."""

    def __init__(self, turns: int = 0) -> None:
        self.job_id = uuid4()
        self.log = Memory({self.job_id: 0}, turns)
        self.bell = Bell()
        self.hub = Hub(self.log, self.bell, NEVER_S)
        self.hints: list[tuple[int, str]] = []
        self.ears: list[Ear] = []

    async def __aenter__(self) -> "Scene":
        self.running = asyncio.create_task(self.hub.run())
        await turn(10)
        return self

    async def __aexit__(self, *_: object) -> None:
        for ear in self.ears:
            await ear.leave()
        assert self.bell.subscribed == set()
        self.running.cancel()
        await asyncio.wait([self.running])

    def commit(self, count: int, *, travels: bool = True) -> None:
        for _ in range(count):
            self.log.numbers[self.job_id] += 1
            seq = self.log.numbers[self.job_id]
            self.hints.append((seq, str(seq) if travels else ""))

    def hint(self, at: int, *, keep: bool = False) -> None:
        """Deliver one of the waiting hints, and keep it, so that it can be delivered again."""
        if self.hints and self.bell.listener is not None:
            at %= len(self.hints)
            seq, payload = self.hints[at] if keep else self.hints.pop(at)
            self.bell.listener.heard(self.job_id, seq, payload)

    def enter(self, back: int | None) -> Ear:
        self.ears.append(Ear(self.hub, self.job_id, back))
        return self.ears[-1]

    async def sweep(self) -> None:
        self.hub.look()
        await settle()


Moves = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(1, 5)),
        st.tuples(st.just("commit long"), st.integers(1, 2)),
        st.tuples(st.just("hint"), st.integers(0, 3)),
        st.tuples(st.just("hint"), st.integers(0, 3)),
        st.tuples(st.just("double"), st.integers(0, 3)),
        st.tuples(st.just("lose"), st.integers(0, 3)),
        st.tuples(st.just("turn"), st.integers(1, 30)),
        st.tuples(st.just("enter"), st.just(0)),
        st.tuples(st.just("return"), st.integers(0, 12)),
        st.tuples(st.just("leave"), st.integers(0, 5)),
        st.tuples(st.just("look"), st.just(0)),
    ),
    min_size=20,
    max_size=120,
)


async def play(moves: list[tuple[str, int]], turns: int) -> None:
    async with Scene(turns) as scene:
        scene.enter(None)
        await turn(turns)
        for move, number in moves:
            match move:
                case "commit":
                    scene.commit(number)
                case "commit long":
                    scene.commit(number, travels=False)
                case "hint":
                    scene.hint(number)
                case "double":
                    scene.hint(number, keep=True)
                case "lose" if scene.hints:
                    scene.hints.pop(number % len(scene.hints))
                case "turn":
                    await turn(number)
                case "enter":
                    scene.enter(None)
                case "return":
                    scene.enter(number)
                case "leave" if scene.ears:
                    await scene.ears.pop(number % len(scene.ears)).leave()
                case "look":
                    scene.hub.look()
        last = scene.log.numbers[scene.job_id]
        await settle()
        await scene.sweep()
        for _ in range(200):
            if all(ear.joined_at == last or ear.heard[-1:] == [last] for ear in scene.ears):
                break
            await settle()
        for ear in scene.ears:
            assert ear.start is not None
            assert ear.heard == list(range(ear.start + 1, last + 1))


@given(moves=Moves, turns=st.integers(0, 12))
@settings(max_examples=200)
def test_every_socket_hears_everything_once_and_in_order(moves: list[tuple[str, int]], turns: int) -> None:
    asyncio.run(play(moves, turns))


async def test_the_next_number_needs_no_log() -> None:
    async with Scene() as scene:
        ear = scene.enter(None)
        await settle()
        scene.log.away = True
        scene.commit(3)
        for _ in range(3):
            scene.hint(0)
        assert ear.heard == [1, 2, 3]


async def test_a_late_hint_does_not_stop_a_read() -> None:
    async with Scene(turns=5) as scene:
        ear = scene.enter(None)
        await settle()
        scene.commit(9, travels=False)
        scene.hint(8)
        await turn(3)
        scene.hint(0)
        await settle()
        assert ear.heard == list(range(1, 10))


async def test_one_query_for_all_jobs_finds_events_whose_hints_were_lost() -> None:
    async with Scene() as scene:
        ears = [scene.enter(None) for _ in range(3)]
        await settle()
        scene.commit(7)
        await settle()
        assert [ear.heard for ear in ears] == [[], [], []]
        await scene.sweep()
        assert [ear.heard for ear in ears] == [list(range(1, 8))] * 3


async def test_a_log_that_was_away_is_read_when_it_is_back() -> None:
    async with Scene() as scene:
        ear = scene.enter(None)
        await settle()
        scene.log.away = True
        scene.commit(5, travels=False)
        scene.hint(4)
        await scene.sweep()
        assert ear.heard == []
        scene.log.away = False
        await scene.sweep()
        assert ear.heard == [1, 2, 3, 4, 5]


async def test_a_deleted_job_is_told_to_its_sockets_and_to_no_other() -> None:
    async with Scene() as scene:
        other = uuid4()
        scene.log.numbers[other] = 0
        ear, kept = scene.enter(None), Ear(scene.hub, other, None)
        scene.ears.append(kept)
        await settle()
        del scene.log.numbers[scene.job_id]
        await scene.sweep()
        assert (ear.is_gone, kept.is_gone) == (True, False)


async def test_a_job_deleted_during_its_replay_ends_it() -> None:
    async with Scene(turns=3) as scene:
        scene.commit(50)
        ear = scene.enter(50)
        await turn(30)
        assert 0 < len(ear.heard) < 50
        del scene.log.numbers[scene.job_id]
        await settle()
        assert ear.is_gone


async def test_a_socket_of_a_missing_job_is_told_so() -> None:
    async with Scene() as scene:
        ear = Ear(scene.hub, uuid4(), None)
        await settle()
        assert isinstance(ear.task.exception(), NotFound)
        assert scene.bell.subscribed == set()


async def test_a_hub_that_fails_tells_its_sockets_and_takes_no_more() -> None:
    scene = Scene()
    async with scene:
        ear = scene.enter(None)
        await settle()
        scene.running.cancel()
        await asyncio.wait([scene.running])
        assert ear.is_broken
        late = scene.enter(None)
        await settle()
        assert isinstance(late.task.exception(), Unavailable)


async def test_a_pump_that_cannot_read_what_the_log_says_tells_its_sockets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nonsense(*_: object) -> Sequence[Numbered]:
        raise ZeroDivisionError

    async with Scene() as scene:
        ear = scene.enter(None)
        await settle()
        monkeypatch.setattr(scene.log, "after", nonsense)
        scene.commit(1, travels=False)
        scene.hint(0)
        await settle()
        assert ear.is_broken


async def test_a_job_is_listened_for_while_it_has_a_socket() -> None:
    async with Scene() as scene:
        for _ in range(3):
            scene.enter(None)
        await settle()
        while scene.ears:
            assert scene.bell.subscribed == {scene.job_id}
            await scene.ears.pop().leave()
        assert scene.bell.subscribed == set()
