"""Rules of tickets: the status of an epic, and the order in which tickets are built."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ticket import CLOSED, TicketStatus, epic_status, execution_order

TODO, RUNS, DONE, FAILED, SKIPPED = TicketStatus


@pytest.mark.parametrize("children", list(product(TicketStatus, repeat=2)))
def test_an_epic_follows_its_children(children: tuple[TicketStatus, TicketStatus]) -> None:
    status = epic_status(children)
    if FAILED in children:
        assert status is FAILED
    elif set(children) == {SKIPPED}:
        assert status is SKIPPED
    elif set(children) <= {TODO, SKIPPED}:
        assert status is TODO, "what is left out was not begun"
    elif set(children) <= CLOSED:
        assert status is DONE
    else:
        assert status is RUNS


def test_an_epic_without_children_is_to_do() -> None:
    assert epic_status([]) is TODO


@given(st.lists(st.integers(0, 20), unique=True), st.data())
def test_order_keeps_everything_and_puts_dependencies_first(keys: list[int], data: st.DataObject) -> None:
    dependencies = {
        key: data.draw(st.lists(st.sampled_from(keys[:place]), unique=True)) if place else []
        for place, key in enumerate(keys)
    }
    shuffled = data.draw(st.permutations(keys))
    order = execution_order(shuffled, dependencies)
    assert Counter(order) == Counter(keys)
    for key, before in dependencies.items():
        assert all(order.index(other) < order.index(key) for other in before)


def test_order_without_need_is_the_given_one() -> None:
    assert execution_order(["c", "a", "b"], {}) == ["c", "a", "b"]


@pytest.mark.parametrize("dependencies", [{"a": ["b"], "b": ["a"]}, {"a": ["a"]}, {"a": ["elsewhere"]}])
def test_a_cycle_or_an_unknown_dependency_is_refused(dependencies: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="dependency"):
        execution_order(["a", "b"], dependencies)
