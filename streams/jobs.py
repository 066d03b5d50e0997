"""What the dispatch is given and what it says: a job, an attempt at it, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from streams.bundles import Bundle, Looked
from streams.core.lane import Ticket
from streams.core.lanes import CRITICAL
from streams.core.retrying import SUSPECT_AFTER
from streams.core.tokens import estimated_work
from streams.ports import Answer, Question


@dataclass(frozen=True, slots=True)
class Judged:
    """A node has answered."""

    answer: Answer
    node: str
    attempts: int
    dispatched_ms: float
    answered_ms: float


@dataclass(frozen=True, slots=True)
class Failed:
    """No node will ever answer this."""

    code: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Late:
    """The deadline passed before a node was free, or no node can answer before it."""

    attempts: int


@dataclass(frozen=True, slots=True)
class Overdue:
    """It waited so long while nodes were up that others should not wait for it any longer."""

    before_ms: float
    """Who came before this moment has waited for so long."""


Outcome = Judged | Failed | Late | Overdue


@dataclass(slots=True, eq=False)
class Attempt:
    """One request at one node."""

    job: Job
    """Whom it is about; of a pack, the first."""
    lane: int
    """Of the job, when it was dispatched."""
    began_ms: float
    is_alone: bool
    """Whether its node has had nothing else to do since it was dispatched."""
    answered_before: int
    """How many answers its node had given when it was dispatched."""
    task: asyncio.Task[None] | None = None
    hedge: asyncio.TimerHandle | None = None
    """When it is asked a second time elsewhere, if it is not answered."""
    is_lost: bool = False
    """Nobody waits for it: another attempt at the same job was answered first, or it was cancelled."""
    bundle: Bundle[Job] | None = None
    """The pack that it is about; None: one question."""

    def __repr__(self) -> str:
        about = "" if self.bundle is None else f" about {len(self.bundle.jobs)}"
        return f"<Attempt{about} since {self.began_ms:.0f} ms>"

    @property
    def jobs(self) -> tuple[Job, ...]:
        """All that it is about, whether they still wait for it or not."""
        return (self.job,) if self.bundle is None else self.bundle.jobs

    @property
    def waiting(self) -> list[Job]:
        """Those of them that still wait for it."""
        return [job for job in self.jobs if self in job.tries]

    @property
    def work(self) -> int:
        return self.job.work if self.bundle is None else sum([job.work for job in self.bundle.jobs])


@dataclass(slots=True, eq=False)
class Job:
    """One question in the lanes, and whom to tell."""

    question: Question
    lane: int
    arrived_ms: float
    done: Callable[[Outcome], None]
    is_wanted: Callable[[], bool]
    """False once its partition is given away, or about to be: nobody would settle the answer."""
    give_up: Callable[[], None]
    """Called instead of `done` when the job leaves without an answer: a drain, or it is not wanted any
    more.
    """
    is_answered: Callable[[], bool] = lambda: False
    """Asked when a node is free for it; True: it has been answered from elsewhere now, and is done with."""
    written_ms: float | None = None
    """When its record was written, on the clock that only goes forward; None: when it arrived."""
    offset: int = 0
    attempts: int = 0
    failed_on: set[str] = field(default_factory=set)
    """The nodes that had it: another one is asked first."""
    tries: list[Attempt] = field(default_factory=list)
    """What is under way."""
    breaks: int = 0
    """How often the node broke off that it was on, with others beside it."""
    rests: int = 0
    """How often it had to rest because the budget for retries was spent."""
    is_apart: bool = False
    """It is never in one request with others, whatever its content says."""
    was_spoilt: bool = False
    """It was in a pack that came to nothing: it goes with what is left of that, or alone."""
    looked: Looked | None = None
    """What packs found out about its content."""
    work: int = 0

    def __post_init__(self) -> None:
        self.work = estimated_work(self.question.event)

    def __repr__(self) -> str:
        return f"<Job in lane {self.lane} | {self.attempts} attempts, {len(self.tries)} under way>"

    @property
    def is_critical(self) -> bool:
        return self.lane == CRITICAL

    @property
    def goes_alone(self) -> bool:
        """Whether it may not be put together with others, or not any more."""
        return self.is_apart or self.was_spoilt or self.attempts > 0 or self.breaks > 0

    @property
    def is_suspect(self) -> bool:
        """Whether it may be what breaks nodes."""
        return self.breaks >= SUSPECT_AFTER

    def ticket(self, *, by_tenant: bool) -> Ticket:
        """What it queues up with."""
        return Ticket(
            lane=self.lane,
            at_ms=self.arrived_ms if self.written_ms is None else self.written_ms,
            deadline_ms=self.question.deadline_ms,
            offset=self.offset,
            cost=self.work,
            tenant=self.question.event.tenant if by_tenant else "",
        )

    def left_ms(self, now_ms: float) -> float | None:
        """How long until its deadline, where it has one."""
        deadline_ms = self.question.deadline_ms
        return None if deadline_ms is None else deadline_ms - now_ms

    def is_late(self, now_ms: float) -> bool:
        left_ms = self.left_ms(now_ms)
        return left_ms is not None and left_ms <= 0
