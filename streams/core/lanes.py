"""The lanes: what waits for a node, one lane a priority, and who goes next.

Within a lane the earliest due goes first (`core.lane`). Between lanes critical is strict; the others share by
token-weighted fair queueing; and a lane that has waited for most of its guard gets a turn, which critical
dispatches pay for.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from streams.core.budgets import Budget
from streams.core.lane import Entry, Heap, Lane, Place, Ticket

T = TypeVar("T", bound=Hashable)

LANES = 4
CRITICAL = 0
PATIENCE_MS = (5_000.0, 5_000.0, 60_000.0, 600_000.0)
"""When one without a deadline is due after it was written, so that those with one do not pass it for ever.

Critical ones get what the policy gives them by default; the others what starvation may take.
"""
# A lane gets its turn when so much of its guard is over: the rest is for a slot to become free, and for ten
# critical dispatches to earn the turn.
_OVERDUE_FROM = 0.8
_EARNED = 0.1
_NEVER_MS = float("inf")
_SAVED_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Shares:
    """How the lanes below critical share what it leaves: high, medium, low."""

    weights: tuple[float, float, float] = (8.0, 3.0, 1.0)
    guards_ms: tuple[float, float, float] = (5_000.0, 60_000.0, 600_000.0)
    """A lane with records gets at least one dispatch in this time."""


class Lanes(Generic[T]):
    """All that waits. What may come in is decided in `core.admission`."""

    def __init__(self, shares: Callable[[], Shares] = Shares) -> None:
        self._shares = shares
        self._lanes: tuple[Lane[T], ...] = tuple(Lane() for _ in range(LANES))
        self._entries: dict[T, Entry[T]] = {}
        self._deadlines: Heap[T] = Heap()
        self._sequence = 0
        # Of each lane: the tokens it was given, by its weight; and since when it waits for a dispatch.
        self._virtual = [0.0] * LANES
        self._since_ms = [0.0] * LANES
        self._now_virtual = 0.0
        self._turns = Budget(_EARNED, saved_max=_SAVED_MAX)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[T]:
        return iter(self._entries)

    def __contains__(self, item: object) -> bool:
        return item in self._entries

    def __repr__(self) -> str:
        return f"<Lanes | {', '.join(str(len(lane)) for lane in self._lanes)} waiting>"

    def waiting(self, lane: int) -> int:
        """How many wait in a lane."""
        return len(self._lanes[lane])

    def oldest_ms(self) -> list[float | None]:
        """When the oldest of each lane was written; asked only for a picture of now, for it looks at all."""
        oldest = [_NEVER_MS] * LANES
        for entry in self._entries.values():
            ticket = entry.ticket
            oldest[ticket.lane] = min(oldest[ticket.lane], ticket.at_ms)
        return [None if at_ms == _NEVER_MS else at_ms for at_ms in oldest]

    # -- coming and going -----------------------------------------------------------------------------------

    def put(self, item: T, ticket: Ticket, now_ms: float) -> None:
        """Queue up."""
        if item in self._entries:
            raise AssertionError("nobody waits twice")
        self._sequence += 1
        self._enter(item, ticket, self._sequence, now_ms)

    def take(self, now_ms: float, *, critical_only: bool = False) -> T | None:
        """Who goes next; None if nobody may."""
        lane = self._next_lane(now_ms, critical_only=critical_only)
        if lane is None:
            return None
        entry = self._lanes[lane].take()
        self._gone(entry)
        self._dispatched(lane, entry.ticket.cost, now_ms)
        return entry.item

    def take_beside(
        self, lane: int, tenant: str, is_mate: Callable[[T], bool], looks_max: int, now_ms: float
    ) -> None:
        """Take out, of the first so many of a lane and tenant, those that go together with one that goes."""
        for entry in self._lanes[lane].take_beside(tenant, is_mate, looks_max):
            self._gone(entry)
            self._dispatched(lane, entry.ticket.cost, now_ms)

    def cancel(self, item: T) -> bool:
        """Somebody does not wait any longer; False if he did not."""
        entry = self._entries.get(item)
        if entry is None:
            return False
        self._out_of_turn(entry)
        return True

    def move(self, item: T, lane: int, now_ms: float = 0.0) -> bool:
        """Let one who waits go on in another lane, with its time and deadline; whether it did wait."""
        entry = self._entries.get(item)
        if entry is None:
            return False
        self._out_of_turn(entry)
        self._enter(item, replace(entry.ticket, lane=lane), entry.place.sequence, now_ms)
        return True

    def expired(self, now_ms: float) -> Iterator[T]:
        """Take out everybody whose deadline has passed."""
        while (entry := self._deadlines.first()) is not None and entry.place.due_ms <= now_ms:
            self._out_of_turn(entry)
            yield entry.item

    def next_deadline_ms(self) -> float | None:
        """The earliest deadline of all that wait."""
        entry = self._deadlines.first()
        return None if entry is None else entry.place.due_ms

    def clear(self) -> list[T]:
        """Take out everybody."""
        waited = list(self._entries)
        self._lanes = tuple(Lane() for _ in range(LANES))
        self._entries = {}
        self._deadlines = Heap()
        return waited

    # -- who goes next --------------------------------------------------------------------------------------

    def _next_lane(self, now_ms: float, *, critical_only: bool) -> int | None:
        """Whose turn it is.

        1. A lane that has waited for most of its guard goes, if critical ones have earned it the turn.
        2. Critical ones go; a slot that is kept for them is for nobody else.
        3. While none of them waits, a lane that has waited for most of its guard goes unearned.
        4. Of the others the one that was given the least goes.
        """
        busy = [lane for lane in range(1, LANES) if self._lanes[lane]]
        is_theirs = critical_only or bool(self._lanes[CRITICAL])
        if busy and (not is_theirs or self._turns.is_there):
            overdue = self._most_overdue(busy, now_ms)
            if overdue is not None:
                if is_theirs:
                    self._turns.spend()
                return overdue
        if is_theirs:
            return CRITICAL if self._lanes[CRITICAL] else None
        return min(busy, key=self._virtual.__getitem__, default=None)

    def _most_overdue(self, busy: list[int], now_ms: float) -> int | None:
        guards_ms = self._shares().guards_ms
        share, lane = max(((now_ms - self._since_ms[lane]) / guards_ms[lane - 1], lane) for lane in busy)
        return lane if share >= _OVERDUE_FROM else None

    def _dispatched(self, lane: int, cost: float, now_ms: float) -> None:
        self._since_ms[lane] = now_ms
        if lane == CRITICAL:
            self._turns.earn()
            return
        self._now_virtual = max(self._now_virtual, self._virtual[lane])
        self._virtual[lane] += cost / self._shares().weights[lane - 1]

    # -- the books ------------------------------------------------------------------------------------------

    def _enter(self, item: T, ticket: Ticket, sequence: int, now_ms: float) -> None:
        lane, due_ms = ticket.lane, ticket.deadline_ms
        place = Place(
            ticket.at_ms + PATIENCE_MS[lane] if due_ms is None else due_ms,
            ticket.at_ms,
            ticket.offset,
            sequence,
        )
        if not self._lanes[lane]:
            self._since_ms[lane] = max(self._since_ms[lane], now_ms)
            # What was not asked for while the lane was empty is not saved up.
            self._virtual[lane] = max(self._virtual[lane], self._now_virtual)
        entry = self._entries[item] = Entry(item, ticket, place)
        self._lanes[lane].put(entry)
        if due_ms is not None:
            self._deadlines.push(due_ms, entry)

    def _gone(self, entry: Entry[T]) -> None:
        del self._entries[entry.item]
        entry.is_gone = True
        if entry.ticket.deadline_ms is not None:
            self._deadlines.left()

    def _out_of_turn(self, entry: Entry[T]) -> None:
        self._gone(entry)
        self._lanes[entry.ticket.lane].left(entry)
