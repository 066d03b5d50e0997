"""The stage `judge` for tests: everything real but Kafka, the time, and what the nodes say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from typing import Any, Protocol, TypeVar

from stages import MODEL, TOPICS, FakeNode, FakeRecall, book, fetched, policy_book, records
from virtual_time import LoopClock, now_ms, reaches

from agents.judge import Judge
from schemas.event import Moderate, Source
from schemas.memory import Memo
from schemas.pending import Pending
from schemas.settings import CampaignSettings, JudgeSettings
from schemas.verdict import ScoredLabel, Verdict
from schemas.wire import decode_verdict, encode
from streams.campaigning import Campaigns
from streams.core.orders import Orders
from streams.core.policies import PolicyBook
from streams.core.reusing import Questions
from streams.core.routing import Terms
from streams.dead_lettering import DeadLetters
from streams.dispatch import Dispatch
from streams.failing import Failing
from streams.observing import Tally
from streams.partitions import Batch
from streams.ports import Answer, Question
from streams.publishing import MemoryPublisher
from streams.settling import Settling
from streams.sharing import Sharing, SharingSettings
from streams.tracing import NullTracer

POLICIES = policy_book()
ACTIVE = POLICIES.active("default")
assert ACTIVE is not None
REF = ACTIVE.ref
OURS = [*((TOPICS.pending(priority), 0) for priority in ("critical", "low")), (TOPICS.pending("low"), 1)]
WROTE_MS = 1_700_000_000_000
SPAM = Answer(labels=(ScoredLabel(name="spam", score=0.99),), confidence=0.99, model=MODEL)


class Dispatching(Protocol):
    """Whatever has a dispatch."""

    dispatch: Dispatch


S = TypeVar("S", bound=Dispatching)


class Judging(FakeNode):
    """Says that everything is spam, as sure as it is told."""

    def __init__(self, *script: Any, answer: Answer = SPAM, **parts: Any) -> None:
        super().__init__(*script, **parts)
        self.answer = answer

    async def judge(self, question: Question) -> Answer:
        await super().judge(question)
        return self.answer


class Stage:
    """What was remembered is in a dictionary, unless there is a `recall`; `open` says what is ours then."""

    def __init__(
        self,
        *nodes: Any,
        waiting_max: int = 100,
        attempts_max: int = 3,
        publisher: Any = None,
        recall: Any = None,
        policies: PolicyBook = POLICIES,
        clock: LoopClock | None = None,
        terms: Terms = Terms(),  # noqa: B008 - it is frozen
    ) -> None:
        self.clock = clock or LoopClock(wall_ms=int(WROTE_MS - now_ms()))
        self.partitions = book(self.clock, stage="judge")
        if recall is None:
            self.partitions.open(OURS)
        self.publisher: Any = publisher or MemoryPublisher()
        self.recall: Any = recall or FakeRecall()
        self.campaigns = CampaignSettings(copies_min=4, authors_min=2)
        self.memory = SharingSettings(waiting_max=waiting_max)
        self.refuses: Callable[[Memo], bool] = lambda _: False
        self.nodes = nodes or (Judging(),)
        tally = Tally()
        self.stopped: list[Exception] = []
        self.dispatch = Dispatch(
            self.nodes,
            lambda: JudgeSettings(attempts_max=attempts_max, probe_interval_ms=500, pack_recheck_ratio=0.0),
            self.clock,
            terms=lambda _: terms,
        )
        self.sharing = Sharing(
            recall=self.recall,
            dispatch=self.dispatch,
            questions=Questions(b""),
            settings=lambda: self.memory,
            refuses=self._refuses,
            clock=self.clock,
        )
        self.partitions.is_kept_waiting = lambda tp: self.sharing.is_held(
            tp.partition, TOPICS.urgency_of(tp.topic)
        )
        self.dispatch.on_overdue = self.sharing.release_overdue
        self.partitions.on_drain += (self.sharing.begin_drain, self.dispatch.begin_drain)
        dead_letters = DeadLetters("judge", TOPICS, self.clock)
        settling = Settling(self.publisher, dead_letters, tally)
        self.judge = Judge(
            topics=TOPICS,
            policies=policies,
            orders=Orders,
            sharing=self.sharing,
            campaigns=Campaigns(lambda: self.campaigns, self.publisher, TOPICS, tally),
            clock=self.clock,
            settling=settling,
            dead_letters=dead_letters,
            tally=tally,
            tracer=NullTracer(),
            failing=Failing(self.partitions, condemn=settling.condemn, stop_worker=self.stopped.append),
            stop_worker=self.stopped.append,
        )

    def _refuses(self, memo: Memo) -> bool:
        return self.refuses(memo)

    async def put(
        self, *values: bytes, priority: str = "low", partition: int = 0, first: int | None = None
    ) -> Batch:
        topic = TOPICS.pending(priority)  # type: ignore[arg-type]
        if first is None:
            first = self.partitions.owned[topic, partition].watermark.next_offset or 0
        batch = fetched(self.partitions, records(topic, values, partition=partition, first=first))
        await self.judge.handle(batch)
        return batch

    async def settled(self) -> None:
        await reaches(lambda: not self.partitions.awaited)

    @property
    def verdicts(self) -> list[Verdict]:
        return [decode_verdict(one.value) for one in self.publisher.records if one.topic == TOPICS.verdicts]

    @property
    def asked(self) -> list[str]:
        return [event for node in self.nodes for event, _ in node.asked]

    @property
    def is_held(self) -> bool:
        return bool(self.partitions.held())


def staged(*nodes: Any, **parts: Any) -> AbstractAsyncContextManager[Stage]:
    return at_work(Stage(*nodes, **parts))


@asynccontextmanager
async def at_work(stage: S) -> AsyncIterator[S]:
    """A stage, whose dispatch runs until the end."""
    await stage.dispatch.start()
    try:
        yield stage
    finally:
        await stage.dispatch.stop()


_OFFSETS = count()


def post(event_id: str, text: str = "a text", priority: str = "low", parked: int = 0, **fields: Any) -> bytes:
    """Give a pending record; equal texts have equal digests, and each comes from a place of its own."""
    event = Moderate(v=1, id=event_id, tenant="acme", text=text, **fields)
    return encode(
        Pending(
            v=1,
            content_digest=text.encode().hex().ljust(32, "0")[:32],
            priority=priority,  # type: ignore[arg-type]
            event=event,
            source=Source(
                topic=TOPICS.content("low"), partition=3, offset=next(_OFFSETS), timestamp_ms=WROTE_MS
            ),
            policy=REF,
            parked=parked,
        )
    )
