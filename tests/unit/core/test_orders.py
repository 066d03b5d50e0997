"""Orders: whatever was ordered in whatever sequence, the latest order of a subject holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce

from hypothesis import given
from hypothesis import strategies as st
from strategies import orders, purges

from schemas.control import Drain, Enforce, Pause, Purge
from schemas.event import PRIORITIES
from streams.core.cuts import Cut
from streams.core.orders import CUTS_TOLD_MAX, Orders, cut_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pause(priority: str, *, active: bool = True) -> Pause:
    return Pause(v=1, issued_at=NOW, priority=priority, active=active)


def enforce(*, active: bool) -> Enforce:
    return Enforce(v=1, issued_at=NOW, active=active)


def purge(about: str, value: str = "", *, hours: int = 0) -> Purge:
    return Purge(v=1, issued_at=NOW, about=about, value=value, before=NOW + timedelta(hours=hours))


def drain(node: str, *, active: bool = True) -> Drain:
    return Drain(v=1, issued_at=NOW, node=node, active=active)


def after(*given_orders: Pause | Enforce | Drain | Purge) -> Orders:
    return reduce(Orders.after, given_orders, Orders())


def test_without_orders_everything_runs_and_blocks():
    assert Orders() == Orders(enforce=True, paused=frozenset())


def test_a_pause_holds_until_it_is_taken_back():
    assert after(pause("low"), pause("high")).paused == {"low", "high"}
    assert after(pause("low"), pause("high"), pause("low", active=False)).paused == {"high"}


def test_a_node_is_drained_until_it_is_resumed():
    assert after(drain("a"), drain("b"), drain("a", active=False)).drained == {"b"}


def test_enforcement_is_off_until_it_is_on():
    assert not after(enforce(active=False)).enforce
    assert after(enforce(active=False), enforce(active=True)).enforce


def test_an_order_changes_nothing_but_its_subject():
    assert after(pause("low"), enforce(active=False)) == Orders(enforce=False, paused=frozenset({"low"}))


@given(st.lists(orders(), max_size=30))
def test_the_latest_order_of_a_subject_holds(given_orders):
    """As it must be, for the topic is compacted: whoever comes later finds the latest ones only.

    Of a purge that would be wrong if it went back in time: whoever gives one sees to that.
    """
    latest = {order.subject: order for order in given_orders}
    given_orders = [
        order
        for order in given_orders
        if not isinstance(order, Purge) or order.before <= latest[order.subject].before
    ]
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


# -- having answers forgotten --


def test_a_purge_is_a_cut_off_in_milliseconds():
    order = purge("model", "m-7b")
    moment_ms = int(NOW.timestamp() * 1_000)
    assert cut_of(order) == Cut("model", "m-7b", moment_ms)
    assert after(order).cuts.before_ms("model", "m-7b") == moment_ms
    assert order.subject == "purge/model/m-7b"


def test_a_purge_of_everything_is_one_whatever_else_it_says():
    assert cut_of(purge("all", "nonsense")).subject == "all"
    assert purge("all").subject == "purge/all"


def test_a_purge_never_goes_back_in_time():
    moments = {after(*orders).cuts.before_ms("all") for orders in BOTH_WAYS}
    assert moments == {int((NOW + timedelta(hours=2)).timestamp() * 1_000)}


BOTH_WAYS = [(purge("all", hours=2), purge("all", hours=1)), (purge("all", hours=1), purge("all", hours=2))]


def test_a_purge_changes_neither_pauses_nor_enforcement():
    holds = after(pause("low"), enforce(active=False), purge("all"))
    assert (holds.paused, holds.enforce, len(holds.cuts)) == ({"low"}, False, 1)
    assert len(after(purge("all"), pause("low"), pause("low", active=False), enforce(active=True)).cuts) == 1


def test_what_was_forgotten_last_is_told_and_not_all_of_it():
    orders_given = [purge("digest", f"{number:032}") for number in range(CUTS_TOLD_MAX + 5)]
    told = after(*orders_given).purged
    assert len(told) == CUTS_TOLD_MAX
    assert next(iter(told)) == cut_of(orders_given[-1]).subject


@given(purges())
def test_whatever_is_purged_is_told(order):
    cut = cut_of(order)
    assert after(order).purged == {cut.subject: cut.before_ms}
