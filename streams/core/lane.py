"""One lane: the earliest due goes first; with fairness by tenant, first whose turn it is.

Turns are taken by start-time fair queueing: who was given more (in tokens) waits longer for the next. Without
fairness all are one tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

# Tenants that wait for nothing are remembered as long as they are ahead of the others, these at most.
_AHEAD_MAX = 1_024
# Entries that left out of their turn are thrown away together, when they are more than this and half of all.
_GONE_MAX = 64


class Place(NamedTuple):
    """Where somebody stands: by the time it is due, then written, by offset, and last by order of arrival."""

    due_ms: float
    at_ms: float
    offset: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Ticket:
    """What somebody comes with."""

    lane: int
    at_ms: float
    """When it was written; what comes back after a failed attempt keeps its time, and so its place."""
    deadline_ms: float | None = None
    offset: int = 0
    cost: float = 1.0
    """In tokens, or whatever the lanes are to share."""
    tenant: str = ""


@dataclass(slots=True, eq=False)
class Entry(Generic[T]):
    """Somebody who waits."""

    item: T
    ticket: Ticket
    place: Place
    is_gone: bool = False
    """Left out of its turn; the heaps forget it later."""


class Heap(Generic[T]):
    """Entries by a key, of which any may leave at any time at no cost."""

    __slots__ = ("_gone", "_heap", "_pushed")

    def __init__(self) -> None:
        # With a number between key and entry: one that has moved may stand here twice, once as gone.
        self._heap: list[tuple[object, int, Entry[T]]] = []
        self._gone = 0
        self._pushed = 0

    def __repr__(self) -> str:
        return f"<Heap {len(self._heap)} entries, {self._gone} of them gone>"

    def push(self, key: object, entry: Entry[T]) -> None:
        self._pushed += 1
        heappush(self._heap, (key, self._pushed, entry))

    def first(self) -> Entry[T] | None:
        """The first who has not left."""
        heap = self._heap
        while heap and heap[0][2].is_gone:
            heappop(heap)
            self._gone = max(0, self._gone - 1)
        return heap[0][2] if heap else None

    def pop(self) -> Entry[T] | None:
        entry = self.first()
        if entry is not None:
            heappop(self._heap)
        return entry

    def left(self) -> None:
        """One of the entries is gone."""
        self._gone += 1
        if self._gone > _GONE_MAX and self._gone * 2 > len(self._heap):
            self._heap = [known for known in self._heap if not known[2].is_gone]
            heapify(self._heap)
            self._gone = 0


@dataclass(slots=True)
class _Share(Generic[T]):
    """What one tenant has waiting here."""

    heap: Heap[T] = field(default_factory=Heap)
    is_queued: bool = False
    owes: float = 0.0
    """The cost of what left beside others of it, before its turn: paid with the next one."""


class Lane(Generic[T]):
    """All that wait in one lane."""

    def __init__(self) -> None:
        self._shares: dict[str, _Share[T]] = {}
        # (virtual time, sequence, tenant): whose turn is next.
        self._turns: list[tuple[float, int, str]] = []
        self._ahead: dict[str, float] = {}
        self._virtual = 0.0
        self._sequence = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<Lane {self._count} waiting of {len(self._shares)} tenants>"

    def put(self, entry: Entry[T]) -> None:
        """Queue up."""
        tenant = entry.ticket.tenant
        share = self._shares.setdefault(tenant, _Share())
        share.heap.push(entry.place, entry)
        self._count += 1
        if not share.is_queued:
            share.is_queued = True
            # Who waited for nothing joins at the present time: idleness is not saved up, and a lead stays.
            self._queue(max(self._virtual, self._ahead.pop(tenant, 0.0)), tenant)

    def take(self) -> Entry[T]:
        """The next one. There must be one."""
        while True:
            virtual, _, tenant = self._turns[0]
            share = self._shares[tenant]
            entry = share.heap.pop()
            if entry is None:
                self._leave(tenant, virtual + share.owes)
                continue
            entry.is_gone = True
            self._count -= 1
            self._virtual = virtual
            after = virtual + entry.ticket.cost + share.owes
            share.owes = 0.0
            if share.heap.first() is None:
                self._leave(tenant, after)
            else:
                self._sequence += 1
                heapreplace(self._turns, (after, self._sequence, tenant))
            return entry

    def take_beside(self, tenant: str, is_mate: Callable[[T], bool], looks_max: int) -> list[Entry[T]]:
        """Of the first so many of a tenant those that go together with one that goes already."""
        share = self._shares.get(tenant)
        if share is None:
            return []
        mates: list[Entry[T]] = []
        others: list[Entry[T]] = []
        while len(mates) + len(others) < looks_max and (entry := share.heap.pop()) is not None:
            (mates if is_mate(entry.item) else others).append(entry)
        for entry in others:
            share.heap.push(entry.place, entry)
        for entry in mates:
            entry.is_gone = True
            share.owes += entry.ticket.cost
        self._count -= len(mates)
        if not self._count:
            self._shares.clear()
            self._turns.clear()
        return mates

    def left(self, entry: Entry[T]) -> None:
        """An entry is gone out of its turn."""
        self._count -= 1
        if self._count:
            self._shares[entry.ticket.tenant].heap.left()
        else:
            self._shares.clear()
            self._turns.clear()

    def _queue(self, virtual: float, tenant: str) -> None:
        self._sequence += 1
        heappush(self._turns, (virtual, self._sequence, tenant))

    def _leave(self, tenant: str, virtual: float) -> None:
        """The tenant whose turn it is has nothing more."""
        heappop(self._turns)
        del self._shares[tenant]
        if virtual > self._virtual:
            self._ahead[tenant] = virtual
        if len(self._ahead) > _AHEAD_MAX:
            self._ahead = dict(self._still_ahead())

    def _still_ahead(self) -> Iterator[tuple[str, float]]:
        ahead = [(tenant, at) for tenant, at in self._ahead.items() if at > self._virtual]
        return iter(ahead[-_AHEAD_MAX // 2 :])
