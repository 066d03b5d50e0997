"""Who goes together to the nodes that take packs: what a dispatch asks before it sends, and tells it after.

`offer` a job when a slot of such a node is free; `take` when nobody else is at hand. Tell `answered` or
`failed`. It holds no task and no timer; every job it was offered comes out again exactly once: to be sent,
found to be done with, or given back. Decisions are `core.batching`, `core.packing`, `core.bisecting` and
`core.suspicion`; `streams.gathering` stands between this and the lanes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Generic, TypeAlias, assert_never

from schemas.policy import Policy
from schemas.settings import JudgeSettings
from streams.bundles import Answered, Back, Bundle, J, Looked
from streams.core.batching import Batching, Go, Like, Traits, Wait
from streams.core.bisecting import Alone, Halves, Together, after_failed_pack, halves
from streams.core.draws import ENTROPY_BYTES, Draws
from streams.core.judging import rule_on_answer
from streams.core.pack_size import PackSize
from streams.core.packing import make_pack
from streams.core.packing_pays import Patience, Pays
from streams.core.retrying import Evidence
from streams.core.sentinels import can_be_watched
from streams.core.suspicion import why_alone
from streams.core.tokens import estimated_tokens
from streams.ports import Answer, PackedAnswer, PackedQuestion, Question

CRITICAL_LANE = 0
POLICIES_MAX = 64


Offered: TypeAlias = Bundle[J] | Wait


class _Node(Generic[J]):
    """A node that takes packs."""

    def __init__(self, settings: JudgeSettings, *, is_per_request: bool) -> None:
        self.pays = Pays(is_per_request=is_per_request)
        self.size = PackSize(settings.pack_size_max, disagreement_max=settings.pack_disagreement_max)
        self.open: Batching[J] = Batching(self.pays)


class Packs(Generic[J]):
    """The packs of all nodes that take some, by the nodes' names."""

    def __init__(
        self,
        per_request: Mapping[str, bool],
        settings: Callable[[], JudgeSettings],
        entropy: Callable[[int], bytes],
        is_done: Callable[[J], bool] = lambda _: False,
    ) -> None:
        """Know the nodes that take packs, and whether each is priced per request; `secrets` gives entropy.

        `is_done` is asked of a job that is about to go: if it is done with, it has come to its end thereby.
        """
        self._settings = settings
        self._entropy = entropy
        self._is_done = is_done
        self._nodes: dict[str, _Node[J]] = {
            name: _Node(settings(), is_per_request=is_per_request)
            for name, is_per_request in per_request.items()
        }
        self.is_used = bool(per_request)
        """Whether any node takes packs: where none does, they cost nothing."""
        # What is left of packs that came to nothing goes first, and to any node.
        self._halves: deque[tuple[J, ...]] = deque()
        self._watched: dict[int, tuple[Policy, bool]] = {}

    def __repr__(self) -> str:
        waiting = sum(len(node.open) for node in self._nodes.values())
        sizes = ", ".join(f"{name} {node.size!r}" for name, node in self._nodes.items())
        return f"<Packs [{sizes} | {waiting} gathering, {len(self._halves)} halves]>"

    def __len__(self) -> int:
        return sum(1 for _ in self) if self.is_used else 0

    def __iter__(self) -> Iterator[J]:
        return chain(*self._halves, *(node.open for node in self._nodes.values()))

    def is_for(self, node: str) -> bool:
        """Whether a node takes packs at all."""
        return node in self._nodes

    def size(self, node: str, now_ms: float) -> int:
        """Most posts of a pack there."""
        return self._nodes[node].size.now(now_ms)

    @property
    def rest(self) -> tuple[J, ...]:
        """What goes next of what is left of packs that came to nothing; empty: there is nothing left."""
        return self._halves[0] if self._halves else ()

    def offer(self, node: str, job: J, now_ms: float) -> Offered[J]:
        """A job that a free slot of this node could take: what goes now, or how long it may wait for others.

        After a `Wait` offer those that `would_join`, then `take`: `streams.gathering` does it in this order.
        """
        at = self._nodes[node]
        size = at.size.now(now_ms)
        if size == 1 or self._is_for_itself(job):
            return Bundle((job,))
        settings = self._settings()
        patience = Patience(settings.pack_wait_ratio, settings.pack_wait_ms_max)
        offered = at.open.offer(job, self._traits(job), now_ms=now_ms, size=size, patience=patience)
        if isinstance(offered, Go):
            return self._bundle(offered.posts) or Wait(now_ms)
        return offered

    def gathering(self) -> list[str]:
        """The nodes with a pack that is not full yet."""
        return [name for name, node in self._nodes.items() if len(node.open)]

    def openings(self, node: str) -> list[tuple[Like, int]]:
        """Of each pack that is not full yet, what its posts have in common, and how many there are."""
        return self._nodes[node].open.openings()

    def would_join(self, node: str, job: J, now_ms: float) -> bool:
        """Whether a job would find others of its like in an open pack of this node."""
        at = self._nodes[node]
        size = at.size.now(now_ms)
        return at.open.would_join(self._traits(job), now_ms=now_ms, size=size) and not self._is_for_itself(
            job
        )

    def take(self, node: str, now_ms: float, *, is_wanted: bool = False) -> Bundle[J] | None:
        """What goes into a free slot, before anything that is not critical; None: nothing is due.

        Whatever gathers is, where somebody else would have the slot.
        """
        return self.take_rest() or self.take_due(node, now_ms, is_wanted=is_wanted)

    def take_rest(self) -> Bundle[J] | None:
        """What is left of a pack that came to nothing, for any node that takes packs."""
        while self._halves:
            if bundle := self._bundle(self._halves.popleft(), is_rest=True):
                return bundle
        return None

    def take_due(self, node: str, now_ms: float, *, is_wanted: bool = False) -> Bundle[J] | None:
        """A pack that waits no longer for others."""
        while posts := self._nodes[node].open.take(now_ms, is_wanted=is_wanted):
            if bundle := self._bundle(posts):
                return bundle
        return None

    def take_one(self) -> Bundle[J] | None:
        """One that is left of a failed pack, for any node: where none that takes packs is up."""
        while self._halves:
            job, *others = self._halves.popleft()
            if others:
                self._halves.appendleft(tuple(others))
            if not self._is_done(job):
                return Bundle((job,), is_rest=True)
        return None

    def due_at_ms(self) -> float | None:
        """When `take` gives something that it does not give now, if a slot is free."""
        moments = [node.open.due_at_ms() for node in self._nodes.values()]
        return min((at_ms for at_ms in moments if at_ms is not None), default=None)

    def remove(self, is_unwanted: Callable[[J], bool]) -> list[J]:
        """Take out every job of which this is true: expired ones, given up ones, or all, in a drain."""
        gone = [job for half in self._halves for job in half if is_unwanted(job)]
        left = (tuple(job for job in half if not is_unwanted(job)) for half in self._halves)
        self._halves = deque(half for half in left if half)
        for node in self._nodes.values():
            gone += node.open.remove(is_unwanted)
        return gone

    def release(self, node: str) -> list[J]:
        """A node went out: what was gathering for it goes back to the lanes."""
        return self._nodes[node].open.remove(lambda _: True) if node in self._nodes else []

    def took(self, node: str, posts: int, ms: float) -> None:
        """A request about so many posts was answered after this time; tell of single ones, too."""
        if node in self._nodes:
            self._nodes[node].pays.service.took(posts, ms)

    def answered(self, node: str, bundle: Bundle[J], answer: PackedAnswer) -> Answered[J]:
        """A pack was answered, and the answer is believed."""
        if not bundle.is_rest:
            self._nodes[node].size.clean()
        pairs = list(zip(bundle.jobs, answer.answers, strict=True))
        done = tuple((job, said) for job, said in pairs if said is not None)
        draws = Draws(self._entropy(ENTROPY_BYTES))
        share = self._settings().pack_recheck_ratio
        return Answered(
            done=done,
            alone=tuple(job for job, said in pairs if said is None),
            again=tuple(pair for pair in done if draws.fraction() < share),
        )

    def failed(
        self,
        node: str,
        bundle: Bundle[J],
        jobs: tuple[J, ...],
        code: str,
        evidence: Evidence,
        *,
        now_ms: float,
        may_retry: Callable[[], bool] = lambda: True,
    ) -> Back[J]:
        """A pack got a fault instead, and these of it still want an answer.

        What does not go back to the lanes is kept, in halves; each is a request that `may_retry` has to
        grant: where it does not, its posts go back, each by itself.
        """
        next_ = after_failed_pack(len(jobs), code, evidence)
        match next_:
            case Halves():
                if not bundle.is_rest:
                    self._nodes[node].size.discarded(now_ms)
                back: tuple[J, ...] = ()
                for half in halves(jobs):
                    if may_retry():
                        self._halves.append(half)
                    else:
                        back += half
                return Back(back, is_spoilt=True)
            case Together():
                return Back(jobs)
            case Alone():
                return Back(jobs, is_spoilt=True)
            case _:
                assert_never(next_)

    def compared(self, node: str, job: J, packed: Answer, alone: Answer, now_ms: float) -> bool:
        """A packed post was judged again, alone; whether both answers lead to the same action."""
        agrees = _action(job.question, packed) == _action(job.question, alone)
        self._nodes[node].size.compared(now_ms, agrees=agrees)
        return agrees

    def _is_for_itself(self, job: J) -> bool:
        if job.lane == CRITICAL_LANE or job.goes_alone:
            return True
        return self._look(job).is_apart or not self._is_watched(job.question.policy)

    def _look(self, job: J) -> Looked:
        """What its content says; as it was when it was first looked at, should the settings change."""
        if job.looked is None:
            question = job.question
            reason = why_alone(
                question.event,
                is_critical=False,
                is_hiding=False,
                tokens_max=self._settings().pack_post_tokens_max,
                labels=[label.name for label in question.policy.labels],
            )
            job.looked = Looked(reason is not None, estimated_tokens(question.event.text))
        return job.looked

    def _is_watched(self, policy: Policy) -> bool:
        # By identity, as hashing a policy takes longer; it is kept beside the answer, so that the identity
        # cannot pass to another.
        known = self._watched.get(id(policy))
        if known is None:
            if len(self._watched) >= POLICIES_MAX:
                self._watched.clear()
            known = self._watched[id(policy)] = (policy, can_be_watched(policy))
        return known[1]

    def _traits(self, job: J) -> Traits:
        question = job.question
        event = question.event
        return Traits(
            like=Like(job.lane, id(question.policy), event.tenant, event.kind),
            tokens=self._look(job).tokens,
            arrived_ms=job.arrived_ms,
            deadline_ms=question.deadline_ms,
        )

    def _bundle(self, going: tuple[J, ...], *, is_rest: bool = False) -> Bundle[J] | None:
        """One request about those that are not done with; None: all are."""
        jobs = tuple(job for job in going if not self._is_done(job))
        if not jobs:
            return None
        first = jobs[0].question
        events = [job.question.event for job in jobs]
        pack = make_pack(events, first.policy, self._entropy(ENTROPY_BYTES)) if len(jobs) > 1 else None
        if pack is None:
            return Bundle(jobs, is_rest=is_rest)
        deadlines = [job.question.deadline_ms for job in jobs]
        earliest_ms = min((at_ms for at_ms in deadlines if at_ms is not None), default=None)
        return Bundle(
            jobs,
            PackedQuestion(pack, first.policy, first.event.kind, earliest_ms, priority=first.priority),
            is_rest,
        )


def _action(question: Question, answer: Answer) -> str:
    return rule_on_answer(
        question.event.kind, answer.labels, answer.confidence, answer.result, question.policy
    ).action
