"""Which status of a job may follow which: it follows from the table of stages."""

import itertools

import pytest

from app.domain.job import FINISHED, ORDER, Status
from app.domain.stages import may_follow, next_statuses

NEXT = {
    Status.COLLECTING: {Status.QUEUED, Status.FAILED},
    Status.QUEUED: {Status.PLANNING, Status.TICKETING, Status.BUILDING, Status.FAILED},
    Status.PLANNING: {Status.PRD_READY, Status.FAILED},
    Status.PRD_READY: {Status.TICKETING, Status.FAILED},
    Status.TICKETING: {Status.TICKETS_READY, Status.FAILED},
    Status.TICKETS_READY: {Status.BUILDING, Status.FAILED},
    Status.BUILDING: {Status.BUILD_DONE, Status.FAILED},
    Status.BUILD_DONE: {Status.QUEUED},
    Status.FAILED: {Status.QUEUED},
}
"""What clients rely on. Only after a retry does `queued` skip to a later status."""


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


def test_the_stages_give_the_statuses_that_clients_rely_on() -> None:
    assert next_statuses() == NEXT
