"""An operator's orders: written to `control`, and seen to be obeyed by the workers of this data directory.

Workers elsewhere obey as well; only those on this machine can be asked whether they have.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never

from infra.clients import Cluster, Writer, reach
from infra.errors import ExitCode, Failure
from infra.reading import read_to_end, refuse
from infra.running import worker_statuses
from schemas.control import Control, Drain, Enforce, Pause, Purge, PurgeAbout
from schemas.errors import UnknownVersion, WireError
from schemas.event import PRIORITIES, Priority
from schemas.settings import Settings
from schemas.wire import decode_control, encode
from streams.core.cuts import Cuts
from streams.core.newer import NewerRecords
from streams.core.orders import Orders, cut_of
from streams.observing import WorkerStatus
from streams.ports import Clock
from streams.topics import Topics

# What an operator is promised. A worker reads `control` within its fetch wait, 0.1 s.
OBEYED_WITHIN_S = 2.0
_LOOK_EVERY_S = 0.05


def pauses(which: Priority | str, clock: Clock, *, active: bool) -> list[Control]:
    """The orders that hold back one priority, or `all`, or let it go on."""
    chosen: Sequence[Priority] = [one for one in PRIORITIES if which in {one, "all"}]
    return [Pause(v=1, issued_at=_moment(clock), priority=one, active=active) for one in chosen]


def enforcing(clock: Clock, *, active: bool) -> list[Control]:
    """The order that turns blocking on or off."""
    return [Enforce(v=1, issued_at=_moment(clock), active=active)]


def draining(node: str, clock: Clock, *, active: bool) -> list[Control]:
    """The order that has a node asked nothing more, or asked again."""
    return [Drain(v=1, issued_at=_moment(clock), node=node, active=active)]


def purge(about: PurgeAbout, value: str, before_ms: int, clock: Clock, standing: Cuts) -> Purge:
    """The order that has answers forgotten; a moment that was named before, and is later, stays.

    Only the latest order of a subject is kept in the topic: one that went back would let older answers in
    again wherever a worker starts anew.
    """
    before_ms = max(before_ms, standing.before_ms(about, value) or 0)
    before = datetime.fromtimestamp(before_ms / 1_000, UTC)
    return Purge(v=1, issued_at=_moment(clock), about=about, value=value, before=before)


def standing_orders(settings: Settings, cluster: Cluster) -> Orders:
    """What all orders that were given amount to now."""
    orders, newer = Orders(), NewerRecords()
    topic = Topics.of(settings.topics).control
    for found in read_to_end(settings, cluster, topic):
        try:
            orders = orders.after(decode_control(found.value))
        except UnknownVersion as error:
            newer.found(found, error)
            continue
        except WireError:
            # No order of ours: no worker obeys it.
            pass
        newer.replaced(found)
    refuse(newer, topic)
    return orders


def is_obeyed(order: Control, status: WorkerStatus) -> bool:
    """Whether a worker does what an order says."""
    match order:
        case Pause():
            return (order.priority in status.paused) == order.active
        case Enforce():
            return status.enforce == order.active
        case Drain():
            return all(node.is_drained == order.active for node in status.nodes if node.name == order.node)
        case Purge():
            return _is_purged(order, status)
        case _:
            assert_never(order)


def give(orders: Sequence[Control], settings: Settings) -> str:
    """Write orders and wait until they are obeyed; who obeyed, as a sentence."""
    cluster = reach(settings)
    writer = Writer(settings, cluster)
    topic = Topics.of(settings.topics).control
    for order in orders:
        writer.write(topic, order.subject.encode(), encode(order))
    writer.flush()
    return _await_obedience(orders, lambda: worker_statuses(Path(settings.data_dir)))


def _is_purged(order: Purge, status: WorkerStatus) -> bool:
    """Whether a worker tells of this cut-off, or of a later one that covers it."""
    cut = cut_of(order)
    return max(status.purged.get(cut.subject, -1), status.purged.get("all", -1)) >= cut.before_ms


def _await_obedience(orders: Sequence[Control], ask: Callable[[], dict[str, WorkerStatus | None]]) -> str:
    deadline = time.monotonic() + OBEYED_WITHIN_S
    while True:
        statuses = ask()
        # One that does not answer cannot be said to obey.
        waiting = [
            name
            for name, status in statuses.items()
            if status is None or not all(is_obeyed(order, status) for order in orders)
        ]
        if not waiting:
            break
        if time.monotonic() >= deadline:
            raise Failure(
                f"The order is written, but not obeyed within {OBEYED_WITHIN_S:g} s by "
                f"{', '.join(waiting)}: see `penstock status` and its log.",
                exit_code=ExitCode.TIMED_OUT,
            )
        time.sleep(_LOOK_EVERY_S)
    if not statuses:
        return "the order is written; no worker runs for this data directory to be asked"
    return f"obeyed by {', '.join(statuses)}"


def _moment(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.wall_ms() / 1_000, UTC)
