"""A partition's memory in process only: the in-memory implementation, and what the one on disk begins with.

Nothing here reads Kafka: what is remembered, and what the changelog said, is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sys import maxsize

from schemas.errors import WireError
from schemas.memory import Memo
from schemas.wire import decode_memo
from streams.core.recent import Recent
from streams.ports import Change, MemoryLimits, MemoryStats, Placed


def refuses_none(_memo: Memo) -> bool:
    """What is obeyed before anybody gave an order."""
    return False


@dataclass(slots=True)
class Counts:
    """What a memory did."""

    hits_memory: int = 0
    hits_disk: int = 0
    misses: int = 0
    expired: int = 0


class MemoryMemory:
    """Keeps the memos used last, and forgets the others: for tests, and where nothing may be written."""

    def __init__(self, limits: MemoryLimits) -> None:
        self._recent = Recent(limits.entries_max)
        self._ttl_ms = limits.ttl_ms
        self._refuses: Callable[[Memo], bool] = refuses_none
        self._counts = Counts()
        self._next_offset: int | None = None
        self._source: str | None = None
        self._is_restored = False
        self._early: dict[str, int] = {}
        """Where a memo stands that was remembered while it was restored; no more of them than are kept."""

    def __repr__(self) -> str:
        return f"<MemoryMemory {self._recent!r}>"

    @property
    def next_offset(self) -> int | None:
        """Where the changelog goes on."""
        return self._next_offset

    @property
    def source(self) -> str | None:
        """As it was told."""
        return self._source

    def belong_to(self, source: str) -> None:
        """Another life begins with another memory: nothing is to be kept."""
        self._source = source

    def look_up(self, questions: Sequence[str], now_ms: float) -> Memo | None:
        """The first that stands."""
        for question in questions:
            memo = self._recent.get(question)
            if memo is not None and self._stands(memo, now_ms):
                self._counts.hits_memory += 1
                return memo
        self._counts.misses += 1
        return None

    def remember(self, placed: Sequence[Placed], offset: int) -> None:
        """Keep memos."""
        for one in placed:
            self._recent.put(one.memo)
            if not self._is_restored and len(self._early) < self._recent.entries_max:
                # Where it is not known where it stands, it stands at the end.
                self._early[one.memo.question_digest] = offset if offset >= 0 else maxsize
        self._advance(offset + 1)

    def restore(self, changes: Sequence[Change]) -> None:
        """Take in what can be read of the changes; the newest stay."""
        for change in changes:
            question = question_of(change)
            if self._early.get(question, -1) > change.offset:
                continue
            if change.value is None:
                self._recent.drop(question)
            elif (memo := memo_of(question, change.value)) is not None:
                self._recent.put(memo)
        if changes:
            self._next_offset = max(self._next_offset or 0, changes[-1].offset + 1)

    def restored(self, next_offset: int) -> None:
        """From here on the offsets of what is remembered count."""
        self._is_restored = True
        self._early.clear()
        self._advance(next_offset)

    def obey(self, refuses: Callable[[Memo], bool]) -> None:
        """Refuse these from now on."""
        self._refuses = refuses

    def recover(self) -> None:
        """Nothing is written anywhere."""

    def bound(self, limits: MemoryLimits) -> None:
        """Other limits."""
        self._recent.bound(limits.entries_max)
        self._ttl_ms = limits.ttl_ms

    def clear(self) -> None:
        """Begin anew."""
        self._recent.clear()
        self._early.clear()
        self._next_offset = self._source = None
        self._is_restored = False

    def stats(self) -> MemoryStats:
        """What there is, and what was done."""
        counts = self._counts
        return MemoryStats(
            entries=len(self._recent),
            hits_memory=counts.hits_memory,
            misses=counts.misses,
            expired=counts.expired,
            evicted=self._recent.evicted,
        )

    def close(self) -> None:
        """Nothing is to be given back."""

    def _stands(self, memo: Memo, now_ms: float) -> bool:
        if is_expired(memo, now_ms, self._ttl_ms):
            self._counts.expired += 1
            self._recent.drop(memo.question_digest)
            return False
        return not self._refuses(memo)

    def _advance(self, next_offset: int) -> None:
        # An earlier owner's records may stand between ours: the highest offset counts.
        if self._is_restored:
            self._next_offset = max(self._next_offset or 0, next_offset)


def is_expired(memo: Memo, now_ms: float, ttl_ms: int) -> bool:
    """Whether a memo is too old, by its own word or by the limit of all."""
    return memo.expires_at_ms <= now_ms or memo.judged_at_ms + ttl_ms <= now_ms


def question_of(change: Change) -> str:
    """Which question a change is about; an odd one is none that anybody asks."""
    return change.key.decode("ascii", "replace")


def memo_of(question: str, value: bytes) -> Memo | None:
    """The memo in a record's value; None if it cannot be read, or stands under another question's key.

    A memo of another version is passed by as well: to ask a model again is always right.
    """
    try:
        memo = decode_memo(value)
    except WireError:
        return None
    return memo if memo.question_digest == question else None
