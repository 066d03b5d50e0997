"""Single flight: of all that ask the same at one time, one is asked about, and the others wait for that.

What is the same is the key: content digest and policy digest. One `Flights` holds one partition of all four
`pending` topics, so it sees every copy that this worker has. It only keeps the books; asking nodes, settling
and verdicts are the agent's. Whoever comes may wait; where that are too many, no more should be taken in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, TypeVar

from streams.core.lanes import LANES

T = TypeVar("T")

_STALE_MAX = 64
"""So many moments of waiters that have left may lie in the heap beside as many as wait."""


class Key(NamedTuple):
    """What must be equal for one answer to be the other's."""

    content_digest: str
    policy_digest: str


class Ticket(NamedTuple):
    """A place in a flight: good until its holder is answered, handed back or has left; then never again."""

    key: Key
    number: int


class Leads(NamedTuple):
    """Nobody asks this yet: ask, and say with the ticket how it ended."""

    ticket: Ticket


class Waits(NamedTuple):
    """Somebody asks already; the answer will come with `land`."""

    ticket: Ticket
    promote: Promote | None
    """Where the copy is more urgent than the flight was: pull what its leader asks forward."""


class Promote(NamedTuple):
    """The leader, and the lane in which it is to wait from now on, if it still waits."""

    leader: Ticket
    lane: int


class Successor(NamedTuple, Generic[T]):
    """Who asks now in place of the leader that brought no answer for others."""

    ticket: Ticket
    item: T
    lane: int


class _Seat(NamedTuple, Generic[T]):
    """One who waits."""

    lane: int
    number: int
    item: T


@dataclass(slots=True)
class _Flight(Generic[T]):
    """One question that is being asked. Tickets are numbered, so the order of seats is that of arrival."""

    leader: int
    lane: int
    seats: dict[int, _Seat[T]] = field(default_factory=dict)


class Flights(Generic[T]):
    """One partition's flights."""

    def __init__(self) -> None:
        self._flights: dict[Key, _Flight[T]] = {}
        self._waiting = [0] * LANES
        self._number = 0
        # (deadline, ticket); those of tickets that are good no more are passed over.
        self._deadlines: list[tuple[float, int, Key]] = []

    def __len__(self) -> int:
        return len(self._flights)

    def __repr__(self) -> str:
        return f"<Flights {len(self)} under way, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """How many wait for somebody else's answer."""
        return sum(self._waiting)

    def is_crowded(self, lane: int, waiting_max: int) -> bool:
        """Whether more than so many wait that are as urgent as this lane, or more: it should bring no more.

        Those who are less urgent take no room from it.
        """
        return sum(self._waiting[: lane + 1]) > waiting_max

    def is_under_way(self, key: Key) -> bool:
        """Whether somebody asks this."""
        return key in self._flights

    def join(self, key: Key, item: T, *, lane: int, deadline_ms: float | None = None) -> Leads | Waits:
        """Lead or wait; the item is kept only where it waits."""
        flight = self._flights.get(key)
        if flight is None:
            ticket = self._ticket(key)
            self._flights[key] = _Flight(ticket.number, lane)
            return Leads(ticket)
        ticket = self._ticket(key)
        flight.seats[ticket.number] = _Seat(lane, ticket.number, item)
        self._waiting[lane] += 1
        if deadline_ms is not None:
            self._note_deadline(deadline_ms, ticket)
        if lane >= flight.lane:
            return Waits(ticket, None)
        flight.lane = lane
        return Waits(ticket, Promote(Ticket(key, flight.leader), lane))

    def land(self, leader: Ticket) -> tuple[T, ...]:
        """The flight is over, with an answer for all or because it will have none: who waited, as they came.

        Nobody, where the ticket leads no more: then others have their own leader.
        """
        flight = self._led_by(leader)
        if flight is None:
            return ()
        del self._flights[leader.key]
        for seat in flight.seats.values():
            self._waiting[seat.lane] -= 1
        return tuple(seat.item for seat in flight.seats.values())

    def leave(self, ticket: Ticket) -> Successor[T] | None:
        """The holder goes without an answer for others: it failed, was late, was refused, was given up.

        If it led, the most urgent of those who wait takes over, alone: the others go on waiting, for it.
        """
        flight = self._flights.get(ticket.key)
        if flight is None:
            return None
        if flight.leader != ticket.number:
            self._unseat(flight, ticket.number)
            return None
        if not flight.seats:
            del self._flights[ticket.key]
            return None
        seat = min(flight.seats.values(), key=_urgency)
        self._unseat(flight, seat.number)
        flight.leader = seat.number
        # Nobody who waits is more urgent than the one who was chosen.
        flight.lane = seat.lane
        return Successor(Ticket(ticket.key, seat.number), seat.item, seat.lane)

    def expired(self, now_ms: float) -> Iterator[T]:
        """Take out all who waited until their deadline passed."""
        while self._deadlines and self._deadlines[0][0] <= now_ms:
            _, number, key = heappop(self._deadlines)
            flight = self._flights.get(key)
            seat = self._unseat(flight, number) if flight else None
            if seat is not None:
                yield seat.item

    def next_deadline_ms(self) -> float | None:
        """The earliest deadline of all who wait."""
        while self._deadlines and not self._is_seated(*self._deadlines[0][1:]):
            heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def remove(self, is_unwanted: Callable[[T], bool], *, key: Key | None = None) -> list[T]:
        """Take out everybody who waits, for this or for anything, and of whom it is true: a drain begins.

        Leaders are not among them: their job ends by itself, and then they `leave`. Before a drain gives jobs
        up, take out who waits; otherwise each would take over only to be given up in turn.
        """
        gone: list[T] = []
        for flight in [self._flights[key]] if key else self._flights.values():
            for seat in [seat for seat in flight.seats.values() if is_unwanted(seat.item)]:
                self._unseat(flight, seat.number)
                gone.append(seat.item)
        return gone

    def _ticket(self, key: Key) -> Ticket:
        self._number += 1
        return Ticket(key, self._number)

    def _led_by(self, ticket: Ticket) -> _Flight[T] | None:
        flight = self._flights.get(ticket.key)
        return flight if flight is not None and flight.leader == ticket.number else None

    def _unseat(self, flight: _Flight[T], number: int) -> _Seat[T] | None:
        seat = flight.seats.pop(number, None)
        if seat is not None:
            self._waiting[seat.lane] -= 1
        return seat

    def _note_deadline(self, deadline_ms: float, ticket: Ticket) -> None:
        heappush(self._deadlines, (deadline_ms, ticket.number, ticket.key))
        if len(self._deadlines) > 2 * self.waiting + _STALE_MAX:
            self._deadlines = [entry for entry in self._deadlines if self._is_seated(*entry[1:])]
            heapify(self._deadlines)

    def _is_seated(self, number: int, key: Key) -> bool:
        flight = self._flights.get(key)
        return flight is not None and number in flight.seats


def _urgency(seat: _Seat[T]) -> tuple[int, int]:
    return seat.lane, seat.number
