"""What tests of the stages share: records as a fetch brings them, a book, a publisher in the hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from virtual_time import now_ms

from infra.policies import default_policy_path, read
from schemas.memory import Memo
from schemas.policy import ActivePolicy, Policy
from schemas.wire import encode
from streams.core.digest import document_digest
from streams.core.policies import PolicyBook, active_key, document_key
from streams.core.pressure import Bounds
from streams.partitions import Batch, Partitions
from streams.ports import Answer, Clock, Headers, NodeFault, Outgoing, PublishError, Question
from streams.topics import Topics

TOPICS = Topics(partitions=4)
BOUNDS = Bounds(
    partition_records_max=1_000,
    partition_bytes_max=1 << 30,
    total_records_max=10_000,
    total_bytes_max=1 << 30,
)


class FakeRecord(NamedTuple):
    """A record as a fetch brings it."""

    topic: str
    partition: int
    offset: int
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    timestamp: int = 1_700_000_000_000


def records(
    topic: str, values: Sequence[bytes | None], *, partition: int = 0, first: int = 0
) -> list[FakeRecord]:
    """Give records with these values, one after the other."""
    return [FakeRecord(topic, partition, first + at, value) for at, value in enumerate(values)]


def book(clock: Clock, *, bounds: Bounds = BOUNDS, stage: str = "test") -> Partitions:
    """Give the book of a stage that owns no partition yet."""
    return Partitions(
        stage=stage, group="group", clock=clock, bounds=lambda: bounds, urgency_of=TOPICS.urgency_of
    )


def fetched(partitions: Partitions, batch: Sequence[FakeRecord]) -> Batch:
    """Give the batch that a fetch of these records makes, taken by its agent."""
    made = partitions.fetched((batch[0].topic, batch[0].partition), batch)
    assert made is not None
    assert made.take()
    return made


def policy_book(policy: Policy | None = None, *, active: bool = True) -> PolicyBook:
    """Give the state of a policy topic with one policy: the one that Penstock brings along, unless told."""
    policy = policy or read(default_policy_path()).policy
    document = encode(policy)
    digest = document_digest(document)
    policies = PolicyBook()
    policies.apply(document_key(digest), document)
    if active:
        pointer = ActivePolicy(id=policy.id, version=policy.version, digest=digest)
        policies.apply(active_key(policy.id), encode(pointer))
        assert policies.compile_due() == ()
    return policies


@dataclass(slots=True, eq=False)
class Handed:
    """One call of `publish`, and what the test makes of it."""

    records: tuple[Outgoing, ...]
    future: asyncio.Future[None]

    def confirm(self) -> None:
        self.future.set_result(None)

    def refuse(self, *positions: int, code: str = "msg_size_too_large") -> None:
        self.future.set_exception(PublishError(code, positions))


class FakePublisher:
    """A publisher that confirms when the test says so."""

    def __init__(self) -> None:
        self.handed: list[Handed] = []
        self.placed: list[tuple[tuple[Outgoing, ...], asyncio.Future[int]]] = []
        self.asked_room: list[tuple[int, int]] = []
        self.has_room = asyncio.Event()
        self.has_room.set()

    async def room(self, records: int, size_bytes: int) -> None:
        self.asked_room.append((records, size_bytes))
        await self.has_room.wait()

    def publish(self, records: Sequence[Outgoing]) -> asyncio.Future[None]:
        handed = Handed(tuple(records), asyncio.get_running_loop().create_future())
        self.handed.append(handed)
        return handed.future

    def place(self, records: Sequence[Outgoing]) -> asyncio.Future[int]:
        """The test names the offset."""
        placed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.placed.append((tuple(records), placed))
        return placed


async def callbacks_ran() -> None:
    """Let what hangs on finished futures happen; three turns, as callbacks set futures in their turn."""
    for _ in range(3):
        await asyncio.sleep(0)


MODEL = "fake"
ANSWER = Answer(labels=(), confidence=1.0, model=MODEL)
SERVICE_MS = 100.0
Step = NodeFault | Exception | type[BaseException] | None


class FakeNode:
    """Meets each question with the next step of its script: a fault, or an answer where none is left."""

    def __init__(self, *script: Step, name: str = "a", slots: int = 8, takes_ms: float = SERVICE_MS) -> None:
        self.name = name
        self.slots = slots
        self.model = MODEL
        self.takes_ms = takes_ms
        self.script = list(script)
        self.probe_script: list[Step] = []
        self.asked: list[tuple[str, float]] = []
        self.probed_ms: list[float] = []
        self.busy = 0
        self.busy_max = 0
        self.cancelled = 0
        self.is_closed = False

    @property
    def asks(self) -> tuple[str, ...]:
        return (self.model,) if self.model else ()

    async def judge(self, question: Question) -> Answer:
        self.asked.append((question.event.id, now_ms()))
        self.busy += 1
        self.busy_max = max(self.busy_max, self.busy)
        step = self.script.pop(0) if self.script else None
        try:
            await asyncio.sleep(self.takes_ms / 1_000)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.busy -= 1
        if step is not None:
            raise step
        return ANSWER

    async def probe(self) -> None:
        self.probed_ms.append(now_ms())
        step = self.probe_script.pop(0) if self.probe_script else None
        if step is not None:
            raise step

    async def close(self) -> None:
        self.is_closed = True


class WorkingClock:
    """A clock on which every look at it has cost half a millisecond of work."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._looks = 0

    def now_ms(self) -> float:
        self._looks += 1
        return self._clock.now_ms() + self._looks / 2

    def wall_ms(self) -> int:
        return self._clock.wall_ms()


class FakeRecall:
    """What is remembered, in a dictionary; while `keeping` is a list, what is new waits there to be kept."""

    def __init__(self) -> None:
        self.memos: dict[tuple[int, str], Memo] = {}
        self.is_restored = True
        self.keeping: list[Callable[[], None]] | None = None
        self.refuses: Callable[[Memo], bool] = lambda _: False

    def is_usable(self, _partition: int) -> bool:
        return self.is_restored

    def look_up(self, partition: int, questions: Sequence[str]) -> Memo | None:
        found = (self.memos.get((partition, question)) for question in questions)
        return next((memo for memo in found if memo and not self.refuses(memo)), None)

    def remember(self, partition: int, memo: Memo, done: Callable[[], None]) -> None:
        def keep() -> None:
            self.memos[partition, memo.question_digest] = memo
            done()

        if self.keeping is None:
            keep()
        else:
            self.keeping.append(keep)
