"""Orders name what they are about, and obedience is seen in what a worker says of itself."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from infra.orders import draining, enforcing, is_obeyed, pauses, purge
from schemas.control import Enforce, Pause
from schemas.event import PRIORITIES, Priority
from streams.clock import ManualClock
from streams.core.cuts import Cut, Cuts
from streams.core.orders import Orders
from streams.observing import NodeStatus, WorkerStatus

CLOCK = ManualClock()


def _status(*paused: Priority, enforce: bool = True) -> WorkerStatus:
    return WorkerStatus(worker="worker-1", pid=1, ready=True, paused=paused, enforce=enforce)


def test_all_is_an_order_for_each_priority() -> None:
    orders = pauses("all", CLOCK, active=True)
    assert [order.priority for order in orders if isinstance(order, Pause)] == [*PRIORITIES]
    assert len({order.subject for order in orders}) == 4


@pytest.mark.parametrize("priority", PRIORITIES)
def test_pausing_one_priority_is_obeyed_when_it_is_paused(priority: Priority) -> None:
    (order,) = pauses(priority, CLOCK, active=True)
    assert not is_obeyed(order, _status())
    assert is_obeyed(order, _status(priority))
    (other,) = pauses(priority, CLOCK, active=False)
    assert is_obeyed(other, _status())
    assert not is_obeyed(other, _status(priority))


def test_enforcing_is_obeyed_when_the_worker_says_so() -> None:
    (order,) = enforcing(CLOCK, active=False)
    assert isinstance(order, Enforce)
    assert not is_obeyed(order, _status())
    assert is_obeyed(order, _status(enforce=False))
    assert order.issued_at.timestamp() * 1_000 == CLOCK.wall_ms()


@pytest.mark.parametrize(
    ("state", "is_drained"), [("up", False), ("out", False), ("draining", True), ("drained", True)]
)
def test_draining_a_node_is_obeyed_when_the_worker_says_so(state: str, is_drained: bool) -> None:
    node = NodeStatus(name="a", state=state, in_flight=0, slots=1, answered=0, last_error="")
    other = replace(node, name="b", state="up")
    for active in (True, False):
        (order,) = draining("a", CLOCK, active=active)
        assert is_obeyed(order, replace(_status(), nodes=(node, other))) == (is_drained == active)
        assert is_obeyed(order, replace(_status(), nodes=(other,)))


def _telling(*cuts: Cut) -> WorkerStatus:
    return replace(_status(), purged={cut.subject: cut.before_ms for cut in cuts})


def test_a_purge_is_obeyed_when_the_worker_tells_of_it_or_of_one_that_covers_it() -> None:
    order = purge("model", "m-7b", 5_000, CLOCK, Cuts())
    assert not is_obeyed(order, _status())
    assert not is_obeyed(order, _telling(Cut("model", "m-7b", 4_999), Cut("model", "other", 9_000)))
    assert is_obeyed(order, _telling(Cut("model", "m-7b", 5_000)))
    assert is_obeyed(order, _telling(Cut("all", "", 5_001)))
    assert is_obeyed(order, replace(_status(), purged=Orders().after(order).purged))


def test_a_purge_that_would_go_back_in_time_says_the_later_moment_again() -> None:
    standing = Cuts().after(Cut("all", "", 7_000))
    assert purge("all", "", 5_000, CLOCK, standing).before.timestamp() == 7
    assert purge("all", "", 9_000, CLOCK, standing).before.timestamp() == 9
    assert purge("policy", "default", 5_000, CLOCK, standing).before.timestamp() == 5
