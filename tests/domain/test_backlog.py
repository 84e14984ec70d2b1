"""The order of tickets after the client has moved one, and which checks a changed ticket keeps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.backlog import moved_checks, places


@given(st.lists(st.integers(1, 9), max_size=9), st.data())
def test_positions_are_distinct_and_after_those_of_dependencies(
    orders: list[int], data: st.DataObject
) -> None:
    waits = {
        key: data.draw(st.lists(st.sampled_from(range(key)), unique=True)) if key else []
        for key in range(len(orders))
    }
    found = places(dict(enumerate(orders)), waits)
    assert len(set(found.values())) == len(orders)
    assert all(found[key] >= orders[key] for key in found)
    assert all(found[before] < found[key] for key, each in waits.items() for before in each)


def test_positions_in_order_stay() -> None:
    assert places({"a": 2, "b": 5, "c": 9}, {"c": ["a"]}) == {"a": 2, "b": 5, "c": 9}
    assert places({"new": 2, "a": 1, "b": 2, "c": 7}, {}) == {"a": 1, "new": 2, "b": 3, "c": 7}


def test_a_cycle_has_no_positions() -> None:
    with pytest.raises(ValueError, match="cycle"):
        places({"a": 1, "b": 2}, {"a": ["b"], "b": ["a"]})


def test_checks_go_with_their_criteria() -> None:
    checks = [{"id": "c1", "criterion": 0}, {"id": "c2", "criterion": 1}, {"id": "c3", "criterion": 7}]
    assert moved_checks(checks, ["one", "two"], ["new", "two"]) == [{"id": "c2", "criterion": 1}]
    assert moved_checks(checks, ["one", "two"], ["two", "one"]) == [
        {"id": "c1", "criterion": 1},
        {"id": "c2", "criterion": 0},
    ]
    assert moved_checks(checks, ["one", "two"], []) == []
