"""The ports of the house: what the agents and services need of the world, as small protocols.

Each has one in-memory implementation shipped with the product, one real one, and one contract suite for both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from schemas.event import Event, Kind, Priority
from schemas.memory import Memo
from schemas.policy import Policy
from schemas.verdict import Result, ScoredLabel
from streams.core.pacing import EngineLoad
from streams.core.packing import Pack

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


# What Python adds to the bytes of a record that was read: its object, its numbers, its place in the books.
# Measured: 260 for one without a value, and 150 for a header: a tuple, a name, a value.
_RECORD_BYTES = 256
_HEADER_BYTES = 128


def kept_bytes(records: Sequence[Record]) -> int:
    """What records that were read take in memory, nearly: one without a value is not for nothing."""
    size_bytes = _RECORD_BYTES * len(records)
    for record in records:
        size_bytes += len(record.value or b"") + len(record.key or b"")
        if record.headers:
            # A header without a value is legal, and None to aiokafka, whatever its types say.
            size_bytes += sum(
                [_HEADER_BYTES + len(name) + len(value or b"") for name, value in record.headers]
            )
    return size_bytes


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

    def place(self, records: Sequence[Outgoing]) -> asyncio.Future[int]:
        """The same for records of one partition, which is named; the future tells the highest offset."""
        ...


# -- memory
# ------------------------------------------------------------------------------------------------


class Change(NamedTuple):
    """One record of the changelog, as it was read."""

    key: bytes
    """The question digest, in hex."""
    value: bytes | None
    """The memo; None forgets."""
    offset: int


class Placed(NamedTuple):
    """A memo that stands in the changelog."""

    memo: Memo
    value: bytes
    """The same as it stands there."""


class MemoryLimits(NamedTuple):
    """How much is remembered, and for how long at most."""

    entries_max: int
    """In process."""
    bytes_max: int
    """On disk."""
    ttl_ms: int
    """Since the judgement, whatever a memo says of itself."""


class MemoryStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a memory holds, and what it did since it was opened."""

    entries: int = 0
    bytes: int = 0
    hits_memory: int = 0
    hits_disk: int = 0
    misses: int = 0
    expired: int = 0
    """Memos that were found and were too old."""
    evicted: int = 0
    """Memos that made room for others, or went with the file they stood in."""
    read_only: bool = False


class Restorable(Protocol):
    """What can be filled from a changelog, by a thread of its own."""

    @property
    def next_offset(self) -> int | None:
        """From where on the changelog must be read to know everything; None: from its beginning."""
        ...

    @property
    def source(self) -> str | None:
        """The changelog that it was filled from; None: nobody said."""
        ...

    def belong_to(self, source: str) -> None:
        """Be filled from this changelog from now on."""
        ...

    def restore(self, changes: Sequence[Change]) -> None:
        """Take in what was read from the changelog, in its order; what was remembered since stays."""
        ...

    def clear(self) -> None:
        """Remember nothing, and know no offset. Nobody may ask meanwhile."""
        ...


class PartitionMemory(Restorable, Protocol):
    """What one partition remembers. All that the loop calls takes microseconds."""

    def look_up(self, questions: Sequence[str], now_ms: float) -> Memo | None:
        """The answer to the first of these questions that has one; by the wall clock."""
        ...

    def remember(self, placed: Sequence[Placed], offset: int) -> None:
        """Keep memos, and that the last of them stands at this offset: all of it or nothing."""
        ...

    def restored(self, next_offset: int) -> None:
        """Everything before this offset was taken in; until then `remember` does not move `next_offset`.

        Called by the thread that called `restore`: it may take a second.
        """
        ...

    def obey(self, refuses: Callable[[Memo], bool]) -> None:
        """Give no answer that this refuses, also none that comes in later; replaces what was obeyed."""
        ...

    def recover(self) -> None:
        """Write again, if it could not and now can. Called by a thread, once it is restored."""
        ...

    def bound(self, limits: MemoryLimits) -> None:
        """Hold other limits from now on."""
        ...

    def stats(self) -> MemoryStats: ...

    def close(self) -> None:
        """Give files back; nothing is asked of it afterwards."""
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
    priority: Priority | None = None
    """Told to engines that are set to serve the urgent first; None: not told."""


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
    mass: float = 1.0
    """The probability that the model gave to valid answers, where its engine tells."""
    coverage: float = 1.0
    """The share of the content that the model was shown."""
    asked: str = ""
    """One of `Node.asks`; empty: by the model's name alone."""


@dataclass(frozen=True, slots=True)
class PackedQuestion:
    """What is asked of a node about several posts of one policy, tenant and kind, in one request."""

    pack: Pack
    policy: Policy
    kind: Kind
    deadline_ms: float | None = None
    """The earliest of the posts', on the clock that only goes forward; None: the node's own bound."""
    traceparent: str = ""
    priority: Priority | None = None
    """As in `Question`."""


@dataclass(frozen=True, slots=True)
class PackedAnswer:
    """What a node said about a pack, believed as a whole."""

    answers: tuple[Answer | None, ...]
    """For each post, in the order of `pack.posts`; None where what was said about it cannot be used."""
    tokens: int = 0
    """Of prompt and answer, the sentinels' among them."""


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
    @property
    def model(self) -> str:
        """Which model answers there; empty until a probe or an answer has told, where no setting does."""
        ...

    @property
    def asks(self) -> tuple[str, ...]:
        """Whom it asks, and how, beside policy and kind: answers to one are none to another.

        None as long as the model is not known; several as long as it is not known how it can be asked, as
        after each start. An answer says as which of them it stands.
        """
        ...

    async def judge(self, question: Question) -> Answer:
        """Ask; raises a `NodeFault`. Cancelling it frees the slot on the node."""
        ...

    async def probe(self) -> None:
        """Return if the node would take a question now; raises a `NodeFault`."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


@runtime_checkable
class TakesPacks(Protocol):
    """A node that can be asked about several posts in one request."""

    async def judge_pack(self, question: PackedQuestion) -> PackedAnswer:
        """Ask; raises a `NodeFault`, a `BadAnswer` where nothing is believed. Cancelling it is as for one."""
        ...


@runtime_checkable
class Gauged(Protocol):
    """A node whose engine tells how it is doing: the slow correction of its limit."""

    async def load(self) -> EngineLoad | None:
        """What the engine's own metrics say now; None: it never tells. Raises a `NodeFault`."""
        ...
