"""One inference for one text: an answer from memory, or that of a copy that is being judged, or a node's.

Stands between the judge and the dispatch. Who may share an answer is `core.reusing`, who waits for whom is
`core.flights`; what is remembered is kept by a `Recall`. Verdicts and settling are the agent's.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from schemas.memory import Memo
from schemas.verdict import Verdict
from streams.core.flights import Flights, Full, Key, Leads, Ticket, Waits
from streams.core.judging import Case, Ruling
from streams.core.reusing import Questions, answers, may_share, memo_of
from streams.core.rules import Document
from streams.dispatch import Dispatch, Job, Late, Overdue
from streams.ports import Clock
from streams.turns import ByAndBy

TOLD_AT_ONCE = 100
"""A verdict of a copy takes some 20 us, so this takes two milliseconds of the loop."""


class Recall(Protocol):
    """What was answered before, by partition of `pending`."""

    def is_usable(self, partition: int) -> bool:
        """Whether what was remembered of a partition can be asked for; until then its events wait."""
        ...

    def look_up(self, partition: int, questions: Sequence[str]) -> Memo | None:
        """The first of these questions that has an answer which still stands."""
        ...

    def remember(self, partition: int, memo: Memo, done: Callable[[], None]) -> None:
        """Keep an answer; `done` is called when it is kept, or will never be."""
        ...


@dataclass(slots=True, eq=False)
class Ask:
    """A question on its way to an answer, whoever gives it."""

    job: Job
    case: Case
    document: Document
    partition: int
    flags: tuple[str, ...]
    answered: Callable[[Memo], None]
    """Called instead of the job's `done` where the answer is another's."""
    again: Callable[[], None]
    """Called where it could not be asked about when its turn came: it is to be submitted anew."""
    is_shared: bool = False
    """Whether it may be answered so, and its answer stand for others."""
    ticket: Ticket | None = None
    flights: Flights[Ask] | None = None
    """The flights in which the ticket is good: those of the time when the partition was ours."""

    @property
    def key(self) -> Key:
        """What must be equal for one answer to be the other's."""
        return Key(self.case.content_digest, self.case.policy.digest)

    def sit(self, flights: Flights[Ask], ticket: Ticket) -> None:
        """It leads or waits."""
        self.flights, self.ticket = flights, ticket

    def rise(self) -> None:
        """It does neither any more."""
        self.flights = self.ticket = None


class SharingSettings(NamedTuple):
    """Whether answers are shared at all, and how many copies may wait for one, in each partition."""

    enabled: bool = True
    waiting_max: int = 1_000


@dataclass(slots=True, eq=False)
class Sharing:
    """All questions of one stage."""

    recall: Recall
    dispatch: Dispatch
    questions: Questions
    settings: Callable[[], SharingSettings]
    clock: Clock
    refuses: Callable[[Memo], bool] = lambda _: False
    """Whether an operator has had such an answer forgotten."""
    _flights: dict[int, Flights[Ask]] = field(default_factory=dict)
    _leading: dict[tuple[int, int], Ask] = field(default_factory=dict)
    """By their flights and the number of their ticket, which only these flights tell apart from others."""
    _outside: defaultdict[int, deque[Ask]] = field(default_factory=lambda: defaultdict(deque))
    """Copies for which there is no room to wait, by partition. It is held until they are in, what is more
    urgent than all of them excepted.
    """
    _later: ByAndBy[Callable[[], None]] = field(
        default_factory=lambda: ByAndBy(lambda tell: tell(), at_once=TOLD_AT_ONCE)
    )
    _wake: asyncio.TimerHandle | None = None
    _wake_at_ms: float = 0.0

    def __repr__(self) -> str:
        waiting = sum(flights.waiting for flights in self._flights.values())
        return f"<Sharing | {len(self._leading)} asked, {waiting} waiting>"

    # -- asking ---------------------------------------------------------------------------------------------

    def submit(self, ask: Ask) -> None:
        """Have it answered: by memory at once, by a copy's answer when that is there, or by a node."""
        ask.is_shared = self.settings().enabled and may_share(ask.case.event, ask.flags)
        if not ask.is_shared:
            self.dispatch.submit(ask.job)
        else:
            self._enter(ask)

    def is_held(self, partition: int, lane: int) -> bool:
        """Whether no more of a partition should be taken in for now, for this lane."""
        if not self.settings().enabled:
            return False
        outside = self._outside[partition]
        is_crowded = bool(outside) and lane >= min(ask.job.lane for ask in outside)
        return is_crowded or not self.recall.is_usable(partition)

    def _remembered(self, ask: Ask) -> Memo | None:
        kind, models = ask.case.event.kind, self.dispatch.models()
        questions = self.questions.to_look_up(ask.case.content_digest, ask.document, kind, models)
        memo = self.recall.look_up(ask.partition, questions)
        return memo if memo is not None and answers(memo, ask.case) else None

    def _enter(self, ask: Ask) -> None:
        """Have it answered, wait, or lead. While it is asked about, no memory has an answer for it."""
        flights = self._of(ask.partition)
        if not flights.is_under_way(ask.key) and (memo := self._remembered(ask)) is not None:
            ask.answered(memo)
            return
        deadline_ms = ask.job.question.deadline_ms
        match flights.join(ask.key, ask, lane=ask.job.lane, deadline_ms=deadline_ms):
            case Leads(ticket):
                self._lead(ask, flights, ticket)
            case Waits(ticket, promote):
                ask.sit(flights, ticket)
                if promote and (leader := self._leading.get(_place(flights, promote.leader))):
                    self.dispatch.promote(leader.job, promote.lane)
                self._wake_by(deadline_ms)
            case Full():
                self._outside[ask.partition].append(ask)
                self._wake_by(deadline_ms)

    def _of(self, partition: int) -> Flights[Ask]:
        if partition not in self._flights:
            self._flights[partition] = Flights(lambda: self.settings().waiting_max)
        return self._flights[partition]

    def _lead(self, ask: Ask, flights: Flights[Ask], ticket: Ticket) -> None:
        ask.sit(flights, ticket)
        self._leading[_place(flights, ticket)] = ask
        if not self.dispatch.models():
            # It was looked up under no model's name; by the time it is its turn, one may be known.
            ask.job.is_answered = lambda: self._is_found(ask)
        try:
            self.dispatch.submit(ask.job)
        except Exception:
            # It will be tried again from the beginning, and must not wait for itself.
            self.leave(ask)
            raise

    def _is_found(self, ask: Ask) -> bool:
        """Whether the memory has the answer after all; then it gets it, and so do those who wait for it."""
        memo = self._remembered(ask)
        if memo is None:
            return False
        ask.answered(memo)
        self._tell(ask, memo)
        return True

    def memo_of(
        self, ask: Ask, verdict: Verdict, ruling: Ruling, asked: str, *, asked_ms: float
    ) -> Memo | None:
        """What to remember of a model's answer; None: it stands for itself only."""
        case = ask.case
        if not ask.is_shared:
            return None
        # The moment it was asked, on the clock that machines share.
        asked_at_ms = round(self.clock.wall_ms() - (self.clock.now_ms() - asked_ms))
        question = self.questions.digest(case.content_digest, ask.document, case.event.kind, asked)
        return memo_of(verdict, ruling, ask.document.policy, question=question, asked_at_ms=asked_at_ms)

    # -- how it ends ----------------------------------------------------------------------------------------

    def share(self, ask: Ask, memo: Memo | None, settle: Callable[[], None]) -> None:
        """A verdict is safe: keep the answer, settle, and give it to those who wait for it.

        In this order: whoever comes in between finds the flight, and whoever comes later the memory.
        """
        if memo is None or self.refuses(memo):
            settle()
            self.leave(ask)
            return
        self.recall.remember(ask.partition, memo, lambda: self._landed(ask, memo, settle))

    def leave(self, ask: Ask) -> None:
        """It has no answer for others: another of those who wait is asked in its place."""
        flights, ticket = ask.flights, ask.ticket
        if flights is None or ticket is None:
            return
        ask.rise()
        self._leading.pop(_place(flights, ticket), None)
        # Whoever is late already is not worth a turn.
        self._tell_late_of(flights)
        while (successor := flights.leave(ticket)) is not None:
            ticket = successor.ticket
            if successor.item.job.is_wanted():
                self._take_over(successor.item, flights, ticket)
                break
            successor.item.rise()
            successor.item.job.give_up()
        self._let_in(ask.partition)

    def _take_over(self, ask: Ask, flights: Flights[Ask], ticket: Ticket) -> None:
        try:
            self._lead(ask, flights, ticket)
        except Exception:  # noqa: BLE001 - whatever it was: it is told of if it happens again
            self._later.add([ask.again])

    def overdue(self, ask: Ask) -> None:
        """It waited for too long while nodes were up, and so did all who waited for it."""
        self._later.add(partial(one.job.done, Overdue()) for one in self._landed_with(ask))
        self._let_in(ask.partition)

    def begin_drain(self) -> None:
        """Give up all who wait; whoever was asked about ends by itself. Must come before the dispatch's."""
        gone = [ask for flights in self._flights.values() for ask in flights.remove(lambda _: True)]
        gone += [ask for outside in self._outside.values() for ask in outside]
        self._outside.clear()
        # Who is still asked about keeps its own; those to come begin anew.
        self._flights.clear()
        self._later.add(ask.job.give_up for ask in gone)

    def _landed(self, ask: Ask, memo: Memo, settle: Callable[[], None]) -> None:
        settle()
        self._tell(ask, memo)

    def _tell(self, ask: Ask, memo: Memo) -> None:
        """Give the answer to those who wait for it."""
        self._later.add(partial(one.answered, memo) for one in self._landed_with(ask))
        self._let_in(ask.partition)

    def _landed_with(self, ask: Ask) -> Sequence[Ask]:
        flights, ticket = ask.flights, ask.ticket
        if flights is None or ticket is None:
            return ()
        ask.rise()
        self._leading.pop(_place(flights, ticket), None)
        waiting = flights.land(ticket)
        for one in waiting:
            one.rise()
        return waiting

    def _let_in(self, partition: int) -> None:
        """Those who found no room, as far as there is some; and whoever need not wait any more."""
        outside, now_ms = self._outside[partition], self.clock.now_ms()
        for _ in range(len(outside)):
            if not outside:
                return
            ask = outside.popleft()
            deadline_ms = ask.job.question.deadline_ms
            if not ask.job.is_wanted():
                ask.job.give_up()
            elif deadline_ms is not None and deadline_ms <= now_ms:
                ask.job.done(Late(ask.job.attempts))
            else:
                # Where there is no room it is outside again, behind the others of this round.
                self._enter(ask)

    # -- deadlines of those who wait ------------------------------------------------------------------------

    def _wake_by(self, deadline_ms: float | None) -> None:
        """Look at who is late then, if not before."""
        if deadline_ms is None or (self._wake is not None and self._wake_at_ms <= deadline_ms):
            return
        if self._wake is not None:
            self._wake.cancel()
        self._wake_at_ms = deadline_ms
        left_s = max(0.0, deadline_ms - self.clock.now_ms()) / 1_000
        self._wake = asyncio.get_running_loop().call_later(left_s, self._tell_late)

    def _tell_late(self) -> None:
        self._wake = None
        for flights in tuple(self._flights.values()):
            self._tell_late_of(flights)
            self._wake_by(flights.next_deadline_ms())
        for partition in tuple(self._outside):
            # Who stays outside wakes us by itself.
            self._let_in(partition)

    def _tell_late_of(self, flights: Flights[Ask]) -> None:
        for ask in tuple(flights.expired(self.clock.now_ms())):
            ask.rise()
            ask.job.done(Late(ask.job.attempts))


def _place(flights: Flights[Ask], ticket: Ticket) -> tuple[int, int]:
    return id(flights), ticket.number
