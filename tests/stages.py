"""What tests of the stages share: records as a fetch brings them, a book, a publisher in the hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from infra.policies import default_policy_path, read
from schemas.policy import ActivePolicy, Policy
from schemas.wire import encode
from streams.core.digest import document_digest
from streams.core.policies import PolicyBook, active_key, document_key
from streams.core.pressure import Bounds
from streams.partitions import Batch, Partitions
from streams.ports import Clock, Headers, Outgoing, PublishError
from streams.topics import Topics

TOPICS = Topics(partitions=4)
BOUNDS = Bounds(partition_records_max=1_000, total_records_max=10_000, total_bytes_max=1 << 30)


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
        self.asked_room: list[int] = []
        self.has_room = asyncio.Event()
        self.has_room.set()

    async def room(self, records: int) -> None:
        self.asked_room.append(records)
        await self.has_room.wait()

    def publish(self, records: Sequence[Outgoing]) -> asyncio.Future[None]:
        handed = Handed(tuple(records), asyncio.get_running_loop().create_future())
        self.handed.append(handed)
        return handed.future


async def callbacks_ran() -> None:
    """Let what hangs on finished futures happen; three turns, as callbacks set futures in their turn."""
    for _ in range(3):
        await asyncio.sleep(0)
