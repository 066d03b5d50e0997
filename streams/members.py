"""A node of the pool, and how it is doing: its limit, its breaker, what it may be asked in a minute.

The decisions are `core.pacing`, `core.breaker` and `core.rates`; here they come together for one node.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.bundles import Bundle
from streams.core.breaker import Breaker
from streams.core.latencies import Latencies
from streams.core.pacing import Pacer
from streams.core.rates import Allowance
from streams.core.retrying import Evidence
from streams.core.routing import Candidate, Terms
from streams.jobs import Attempt, Job
from streams.observing import NodeStatus
from streams.ports import Answer, Node, NodeFault, PackedAnswer, TakesPacks

# An overloaded node is left alone for what it asked for, or for this, doubled with each refusal in a row.
_OVERLOAD_PAUSE_MS = 50.0
_OVERLOAD_PAUSE_MS_MAX = 4_000.0
# How much one question moves what is thought to be a usual one.
_USUAL_SHARE = 1 / 64


@dataclass(slots=True, eq=False)
class Member:
    """One node."""

    node: Node
    terms: Terms
    pacer: Pacer = field(init=False)
    breaker: Breaker = field(default_factory=Breaker)
    recent: Latencies = field(default_factory=Latencies)
    requests: Allowance = field(init=False)
    tokens: Allowance = field(init=False)
    running: set[Attempt] = field(default_factory=set)
    quiet_until_ms: float = 0.0
    refusals: int = 0
    answered: int = 0
    failed: int = 0
    """Questions that got no answer, other than for overload."""
    refused: int = 0
    clearing: bool = False
    """It gets nothing more until it is idle: then a suspect is asked, alone."""
    charged: list[Job] = field(default_factory=list)
    """Those that the present row of faults was held against; forgiven if it was the node after all."""
    is_drained: bool = False
    """By an order it is asked nothing."""
    last_error: str = ""
    packing: TakesPacks | None = None
    """The node, if posts are put together for it."""
    _usual_work: float = 0.0

    def __post_init__(self) -> None:
        self.pacer = Pacer(self.node.slots, goal_ms=self.terms.goal_ms)
        self.requests = Allowance(self.terms.requests_per_minute_max)
        self.tokens = Allowance(self.terms.tokens_per_minute_max)
        if self.terms.takes_packs and isinstance(self.node, TakesPacks):
            self.packing = self.node

    def __repr__(self) -> str:
        return f"<Member {self.name} {self.breaker.state} | {len(self.running)} of {self.limit} in flight>"

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def is_out(self) -> bool:
        return self.breaker.state == "open"

    @property
    def is_on_trial(self) -> bool:
        """Whether its next question shows if it is well."""
        return self.breaker.state == "half open"

    @property
    def limit(self) -> int:
        """How many questions it may have; on trial, one."""
        return 1 if self.is_on_trial else self.pacer.limit

    def has_room(self, now_ms: float) -> bool:
        """Whether it takes a question now."""
        return (
            len(self.running) < self.limit
            and not self.is_out
            and now_ms >= self.quiet_until_ms
            and self.requests.ready_at_ms(now_ms) <= now_ms
            and self.tokens.ready_at_ms(now_ms) <= now_ms
        )

    def opens_at_ms(self, now_ms: float) -> float | None:
        """When it will have room by itself, where it is neither out nor full; None: not by itself."""
        if self.is_out or len(self.running) >= self.limit:
            return None
        ready_ms = max(
            self.quiet_until_ms, self.requests.ready_at_ms(now_ms), self.tokens.ready_at_ms(now_ms)
        )
        return ready_ms if ready_ms > now_ms else None

    def candidate(self, job: Job, now_ms: float) -> Candidate:
        """As it stands, for a choice."""
        takes_ms = 0.0 if job.question.deadline_ms is None else self.recent.fastest_ms(now_ms)
        return Candidate(
            self.name,
            len(self.running),
            self.limit,
            self.terms.weight,
            self.name in job.failed_on,
            takes_ms,
        )

    # -- what happens to it ---------------------------------------------------------------------------------

    def begin(self, job: Job, now_ms: float, bundle: Bundle[Job] | None = None) -> Attempt:
        """It gets a question, or several in one request."""
        if len(self.running) == 1:
            # Where there are more, none of them is alone any longer.
            for other in self.running:
                other.is_alone = False
        attempt = Attempt(
            job, job.lane, now_ms, is_alone=not self.running, answered_before=self.answered, bundle=bundle
        )
        work = attempt.work
        self.running.add(attempt)
        self.pacer.began(len(self.running))
        self.requests.take(now_ms)
        self.tokens.take(now_ms, work)
        self._usual_work += (work - self._usual_work) * (_USUAL_SHARE if self._usual_work else 1.0)
        return attempt

    def end(self, attempt: Attempt) -> None:
        """A question has come back, in whatever way."""
        self.running.discard(attempt)

    def answer(self, attempt: Attempt, answer: Answer | PackedAnswer, now_ms: float) -> None:
        """It has answered."""
        self.answered += 1 if attempt.bundle is None else len(attempt.bundle.jobs)
        self.refusals = 0
        self.charged.clear()
        took_ms = now_ms - attempt.began_ms
        work = attempt.work
        if isinstance(answer, PackedAnswer):
            # It says nothing of how soon one question is answered.
            tokens = answer.tokens
        else:
            tokens = answer.prompt_tokens + answer.output_tokens
            self.recent.answered(now_ms, took_ms)
        self.tokens.settle(work, tokens or work)
        if self.breaker.answered(now_ms):
            self.pacer.warm_up(now_ms)
        self.pacer.answered(now_ms, began_ms=attempt.began_ms, took_ms=took_ms, work=work / self._usual_work)

    def refuse(self, now_ms: float, retry_after_ms: float) -> None:
        """It is overloaded: nobody's fault, but it gets less, and nothing for a while."""
        # Requests that were under way together are refused together: that is one refusal, not a row of them.
        self.refused += 1
        if now_ms >= self.quiet_until_ms:
            self.refusals += 1
        self.pacer.overloaded(now_ms)
        doubled_ms = _OVERLOAD_PAUSE_MS * 2 ** min(self.refusals - 1, 10)
        pause_ms = retry_after_ms or min(doubled_ms, _OVERLOAD_PAUSE_MS_MAX)
        self.quiet_until_ms = max(self.quiet_until_ms, now_ms + pause_ms)

    def evidence(self, attempt: Attempt, fault: NodeFault) -> Evidence:
        return Evidence(
            was_sent=fault.was_sent,
            was_alone=attempt.is_alone,
            others_answered=self.answered > attempt.answered_before,
            is_out=self.is_out,
        )

    def forgive(self) -> None:
        """It was the node: what the row of faults was held against is acquitted."""
        for job in self.charged:
            job.attempts = max(0, job.attempts - 1)
        self.charged.clear()

    # -- what it says of itself -----------------------------------------------------------------------------

    def status(self, now_ms: float) -> NodeStatus:
        return NodeStatus(
            name=self.name,
            state=self._state(now_ms),
            in_flight=len(self.running),
            slots=self.node.slots,
            limit=self.limit,
            answered=self.answered,
            failed=self.failed,
            refused=self.refused,
            last_error=self.last_error,
        )

    def _state(self, now_ms: float) -> str:
        if self.is_drained:
            return "draining" if self.running else "drained"
        return "out" if self.is_out else "overloaded" if now_ms < self.quiet_until_ms else "up"
