"""Orders: whatever was ordered in whatever sequence, the latest order of a subject holds."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st
from strategies import orders

from schemas.control import Enforce, Pause
from schemas.event import PRIORITIES
from streams.core.orders import Orders

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pause(priority: str, *, active: bool = True) -> Pause:
    return Pause(v=1, issued_at=NOW, priority=priority, active=active)


def enforce(*, active: bool) -> Enforce:
    return Enforce(v=1, issued_at=NOW, active=active)


def after(*given_orders: Pause | Enforce) -> Orders:
    return reduce(Orders.after, given_orders, Orders())


def test_without_orders_everything_runs_and_blocks():
    assert Orders() == Orders(enforce=True, paused=frozenset())


def test_a_pause_holds_until_it_is_taken_back():
    assert after(pause("low"), pause("high")).paused == {"low", "high"}
    assert after(pause("low"), pause("high"), pause("low", active=False)).paused == {"high"}


def test_enforcement_is_off_until_it_is_on():
    assert not after(enforce(active=False)).enforce
    assert after(enforce(active=False), enforce(active=True)).enforce


def test_an_order_changes_nothing_but_its_subject():
    assert after(pause("low"), enforce(active=False)) == Orders(enforce=False, paused=frozenset({"low"}))


@given(st.lists(orders(), max_size=30))
def test_the_latest_order_of_a_subject_holds(given_orders):
    """As it must be, for the topic is compacted: whoever comes later finds the latest ones only."""
    latest = {order.subject: order for order in given_orders}
    assert after(*given_orders) == after(*latest.values())
    holds = after(*given_orders)
    assert holds.enforce is (latest["enforce"].active if "enforce" in latest else True)
    assert holds.paused == {
        priority
        for priority in PRIORITIES
        if f"pause/{priority}" in latest and latest[f"pause/{priority}"].active
    }


@given(st.lists(orders(), max_size=10), orders())
def test_an_order_given_twice_holds_once(given_orders, order):
    assert after(*given_orders, order, order) == after(*given_orders, order)
