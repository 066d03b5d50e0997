"""The ports of the house: what the agents and services need of the world, as small protocols.

Each has one in-memory implementation shipped with the product, one real one, and one contract suite for both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from schemas.event import Event
from schemas.policy import Policy
from schemas.verdict import Result, ScoredLabel

Headers = Sequence[tuple[str, bytes]]


class Clock(Protocol):
    """The only way to the time."""

    def wall_ms(self) -> int:
        """Milliseconds since the epoch: to compare with Kafka's timestamps."""
        ...

    def now_ms(self) -> float:
        """Milliseconds of a clock that only goes forward: to measure spans."""
        ...


class Record(Protocol):
    """A record as a fetch brings it."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


BY_KEY = -1
"""In place of a partition: the one that Java's clients and `core.partitioning` would choose for the key.

Of as many as the topic really has: who starts on the topic checks that they are those of the table.
"""


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to be written; its partition is named by us, or left to its key.

    Made for every event: a named tuple takes three times as long to make and to read.
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: Headers = ()


def size_of(records: Sequence[Outgoing]) -> int:
    """The bytes of their values and keys: what they take in a queue, nearly."""
    return sum([len(record.value) + len(record.key or b"") for record in records])


class PublishError(Exception):
    """Some records of a batch will never be written; the others were.

    `failed` holds their positions in the batch.
    """

    def __init__(self, code: str, failed: Sequence[int]) -> None:
        super().__init__(f"{len(failed)} records were refused: {code}")
        self.code = code
        self.failed = tuple(failed)


class Publisher(Protocol):
    """Writes records to Kafka and says when they are safe."""

    async def room(self, records: int, size_bytes: int) -> None:
        """Wait until so many more of this size fit in the local queue: backpressure, not an error.

        What is larger than the whole queue waits until that is empty.
        """
        ...

    def publish(self, records: Sequence[Outgoing]) -> asyncio.Future[None]:
        """Hand records over at once; the future is done when Kafka has confirmed all of them.

        It fails with `PublishError` where a record can never be written, and stays open while brokers are
        away.
        """
        ...


# -- inference
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a node about one event."""

    event: Event
    policy: Policy
    deadline_ms: float | None = None
    """On the clock that only goes forward; None: the node's own bound."""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node said, validated."""

    labels: tuple[ScoredLabel, ...]
    confidence: float
    model: str
    result: Result | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class NodeFault(Exception):
    """A question that got no usable answer. The class says whose fault it was, and so what to do."""

    code = "node_fault"

    def __init__(self, detail: str = "", *, retry_after_ms: float = 0.0, was_sent: bool = True) -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        self.retry_after_ms = retry_after_ms
        self.was_sent = was_sent
        """Whether the node may have begun with the question; one it never saw is not to blame."""


class Overloaded(NodeFault):
    """The node is full or still loading: slow down; nobody's fault, not an attempt."""

    code = "node_overloaded"


class Unreachable(NodeFault):
    """No connection, or it broke, or the node failed inside: try another node at once."""

    code = "node_unreachable"


class TimedOut(NodeFault):
    """No answer within the bound."""

    code = "node_timed_out"


class BadAnswer(NodeFault):
    """An answer that is not what was asked for: malformed, truncated, foreign labels, too large."""

    code = "node_bad_answer"


class Refused(NodeFault):
    """The node will not take this question (too long, malformed for it): another try is in vain."""

    code = "node_refused"


class Misconfigured(NodeFault):
    """Wrong token, wrong model, wrong path: the node is of no use until somebody mends it."""

    code = "node_misconfigured"


class Node(Protocol):
    """One inference endpoint."""

    @property
    def name(self) -> str: ...
    @property
    def slots(self) -> int: ...

    async def judge(self, question: Question) -> Answer:
        """Ask; raises a `NodeFault`. Cancelling it frees the slot on the node."""
        ...

    async def probe(self) -> None:
        """Return if the node would take a question now; raises a `NodeFault`."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...
