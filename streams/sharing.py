"""One inference for one text: an answer from memory, or that of a copy that is being judged, or a node's.

Stands between the judge and the dispatch. Who may share an answer is `core.reusing`, who waits for whom is
`core.flights`; what is remembered is kept by a `Recall`. Verdicts and settling are the agent's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

from schemas.memory import Memo
from schemas.verdict import Verdict
from streams.core.flights import Flights, Key, Leads, Ticket, Waits
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
    """Its place while it leads or waits."""

    @property
    def key(self) -> Key:
        """What must be equal for one answer to be the other's."""
        return Key(self.case.content_digest, self.case.policy.digest)


class SharingSettings(NamedTuple):
    """Whether answers are shared at all, and past how many copies that wait a partition brings no more."""

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
    """By partition and the number of their ticket."""
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
        is_crowded = self._of(partition).is_crowded(lane, self.settings().waiting_max)
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
                self._lead(ask, ticket)
            case Waits(ticket, promote):
                ask.ticket = ticket
                if promote and (leader := self._leading.get((ask.partition, promote.leader.number))):
                    self.dispatch.promote(leader.job, promote.lane)
                self._wake_by(deadline_ms)

    def _of(self, partition: int) -> Flights[Ask]:
        if partition not in self._flights:
            self._flights[partition] = Flights()
        return self._flights[partition]

    def _lead(self, ask: Ask, ticket: Ticket) -> None:
        ask.ticket = ticket
        self._leading[ask.partition, ticket.number] = ask
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
        if memo is None:
            settle()
            self._part(ask)
        elif self.refuses(memo):
            settle()
            self.leave(ask)
        else:
            self.recall.remember(ask.partition, memo, lambda: self._landed(ask, memo, settle))

    def leave(self, ask: Ask) -> None:
        """It brought nothing: another of those who wait is asked in its place."""
        ticket = self._rise(ask)
        if ticket is None:
            return
        flights = self._of(ask.partition)
        # Whoever is late already is not worth a turn.
        self._tell_late_of(flights)
        while (successor := flights.leave(ticket)) is not None:
            ticket = successor.ticket
            if successor.item.job.is_wanted():
                self._take_over(successor.item, ticket)
                break
            successor.item.ticket = None
            successor.item.job.give_up()

    def overdue(self, ask: Ask, before_ms: float) -> None:
        """It waited for too long while nodes were up, and so did some who waited for it, or all."""
        if ask.ticket is None:
            return
        gone = self._of(ask.partition).remove(lambda one: one.job.arrived_ms < before_ms, key=ask.ticket.key)
        self._end(gone, lambda _: Overdue(before_ms))
        self.leave(ask)

    def release_overdue(self, before_ms: float) -> None:
        """Let go of those who have waited for others since before then, each of whom failed in its turn."""
        for flights in self._flights.values():
            self._end(
                flights.remove(lambda one: one.job.arrived_ms < before_ms), lambda _: Overdue(before_ms)
            )

    def begin_drain(self) -> None:
        """Give up all who wait; whoever was asked about ends by itself. Must come before the dispatch's.

        Until then its flight goes on: a copy that is delivered anew meanwhile waits for it like any other.
        """
        gone = [ask for flights in self._flights.values() for ask in flights.remove(lambda _: True)]
        for ask in gone:
            ask.ticket = None
        self._later.add(ask.job.give_up for ask in gone)

    def _take_over(self, ask: Ask, ticket: Ticket) -> None:
        try:
            self._lead(ask, ticket)
        except Exception:  # noqa: BLE001 - whatever it was: it is told of if it happens again
            self._later.add([ask.again])

    def _landed(self, ask: Ask, memo: Memo, settle: Callable[[], None]) -> None:
        settle()
        if self.refuses(memo):
            self.leave(ask)
        else:
            self._tell(ask, memo)

    def _tell(self, ask: Ask, memo: Memo) -> None:
        """Give the answer to those who wait for it."""
        self._later.add(partial(self._give, one, memo) for one in self._landed_with(ask))

    def _give(self, ask: Ask, memo: Memo) -> None:
        """Give it, unless an operator has had it forgotten since."""
        if not self.refuses(memo):
            ask.answered(memo)
        elif ask.job.is_wanted():
            ask.again()
        else:
            ask.job.give_up()

    def _part(self, ask: Ask) -> None:
        """Its answer is sound and stands for itself only, as the next one will: all who wait are asked about.

        Should one of them bring an answer for others after all, those who are not on a node yet get it.
        """
        self._later.add(partial(self._go_alone, one) for one in self._landed_with(ask))

    def _go_alone(self, ask: Ask) -> None:
        ask.job.is_answered = lambda: self._is_found(ask)
        try:
            self.dispatch.submit(ask.job)
        except Exception:  # noqa: BLE001 - as above
            ask.again()

    def _landed_with(self, ask: Ask) -> Sequence[Ask]:
        ticket = self._rise(ask)
        waiting = () if ticket is None else self._of(ask.partition).land(ticket)
        for one in waiting:
            one.ticket = None
        return waiting

    def _rise(self, ask: Ask) -> Ticket | None:
        """It leads or waits no more; the ticket that it had."""
        ticket, ask.ticket = ask.ticket, None
        if ticket is not None:
            self._leading.pop((ask.partition, ticket.number), None)
        return ticket

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

    def _tell_late_of(self, flights: Flights[Ask]) -> None:
        self._end(flights.expired(self.clock.now_ms()), lambda job: Late(job.attempts))

    def _end(self, gone: Iterable[Ask], how: Callable[[Job], Late | Overdue]) -> None:
        """They wait no more. Thousands may have come with one record batch, which has one moment."""
        ended = tuple(gone)
        for ask in ended:
            ask.ticket = None
        self._later.add(partial(ask.job.done, how(ask.job)) for ask in ended)
