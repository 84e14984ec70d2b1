"""The whole table of a job's statuses."""

import itertools

import pytest

from app.domain.job import FINISHED, NEXT, ORDER, Status, may_follow
from app.domain.stages import STATUS_DURING, Stage


@pytest.mark.parametrize("now", Status)
@pytest.mark.parametrize("then", Status)
def test_no_status_goes_back_except_to_queued(now: Status, then: Status) -> None:
    if not may_follow(now, then):
        return
    if now in FINISHED:
        assert then is Status.QUEUED
    elif then is not Status.FAILED:
        assert ORDER.index(then) > ORDER.index(now)


def test_every_status_but_the_finished_may_fail_and_the_order_is_walkable() -> None:
    assert all(may_follow(now, Status.FAILED) for now in Status if now not in FINISHED)
    assert all(may_follow(now, then) for now, then in itertools.pairwise(ORDER))
    assert set(NEXT) == set(Status)


def test_every_stage_shows_a_status() -> None:
    assert set(STATUS_DURING) == set(Stage)
