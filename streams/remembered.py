"""A partition's memory on disk: the memos used last in process, over all that fits in a RocksDB.

A store that is corrupt, or that another process holds, is moved aside and filled again from the changelog. A
disk that takes nothing turns the memory read-only; moderation goes on, and so does the memory once there is
room. Both are said in the log, in one line.
"""

from __future__ import annotations

import logging
import shutil
from binascii import Error as NoHex
from binascii import unhexlify
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path

from schemas.memory import Memo
from streams.core.recent import Recent
from streams.leftovers import ASIDE
from streams.ports import Change, Clock, MemoryLimits, MemoryStats, Placed
from streams.recalling import Counts, is_expired, memo_of, refuses_none
from streams.rocks import BlockCache, RocksStore, StoreFault

# A disk that was full is tried again after so long: to open a store takes 10 ms of the loop.
RETRY_MS = 5_000.0
# Less room than two of the store's files is none.
_ROOM_BYTES = 64 << 20
# Left in the directory of a store that was found corrupt while it was read.
_MARK = "corrupt"

log = logging.getLogger("penstock.memory")


@dataclass(frozen=True, slots=True)
class _Whole:
    """Everything that was taken in is in the store, or will be with the next flush; its offset moves."""

    store: RocksStore


@dataclass(frozen=True, slots=True)
class _Gapped:
    """The store is written, and lacks something: its offset stays, and the next start reads that again."""

    store: RocksStore


@dataclass(frozen=True, slots=True)
class _ReadOnly:
    """Nothing can be written until the store is opened anew; what there is of it still answers."""

    store: RocksStore | None
    retry_at_ms: float


_State = _Whole | _Gapped | _ReadOnly


class RocksMemory:
    """The real one: over `directory`, which is made where it is missing."""

    def __init__(self, directory: Path, limits: MemoryLimits, cache: BlockCache, clock: Clock) -> None:
        self._directory = directory
        self._limits = limits
        self._cache = cache
        self._clock = clock
        self._recent = Recent(limits.entries_max)
        self._refuses: Callable[[Memo], bool] = refuses_none
        self._counts = Counts()
        self._is_restored = False
        self._is_marked = False
        self._written = 0
        self._entries_before = 0
        self._durable: int | None = None
        """As the store says it: what the next start goes on from."""
        self._read_to: int | None = None
        """Up to where all was taken in; what lies beyond `_durable` is lost with the process."""
        self._state = self._opened()

    def __repr__(self) -> str:
        read_only = ", read-only" if isinstance(self._state, _ReadOnly) else ""
        return f"<RocksMemory {self._recent!r} over {self._state.store!r}{read_only}>"

    @property
    def next_offset(self) -> int | None:
        """Where the changelog goes on: where something is missing, from before that."""
        return self._read_to if isinstance(self._state, _Whole) else self._durable

    # -- answers --------------------------------------------------------------------------------------------

    def look_up(self, questions: Sequence[str], now_ms: float) -> Memo | None:
        """The first that stands, from either tier."""
        counts = self._counts
        for question in questions:
            memo = self._recent.get(question)
            is_recent = memo is not None
            if memo is None and (memo := self._from_disk(question)) is None:
                continue
            if is_expired(memo, now_ms, self._limits.ttl_ms):
                counts.expired += 1
                self._recent.drop(question)
            elif not self._refuses(memo):
                if is_recent:
                    counts.hits_memory += 1
                else:
                    counts.hits_disk += 1
                    self._recent.put(memo)
                return memo
        counts.misses += 1
        return None

    def _from_disk(self, question: str) -> Memo | None:
        store = self._state.store
        if store is None:
            return None
        try:
            value = store.get(unhexlify(question))
        except NoHex:
            return None
        except StoreFault as fault:
            if store is self._state.store:
                self._mark(fault)
            return None
        return None if value is None else memo_of(question, value)

    # -- changes --------------------------------------------------------------------------------------------

    def remember(self, placed: Sequence[Placed], offset: int) -> None:
        """Keep memos, in both tiers."""
        changes: list[tuple[bytes, bytes | None]] = []
        for one in placed:
            self._recent.put(one.memo)
            changes.append((unhexlify(one.memo.question_digest), one.value))
        self._write(changes, self._advanced(offset + 1))

    def restore(self, changes: Sequence[Change]) -> None:
        """Write what was read; what it means is looked at when somebody asks. Leaves `Recent` to the loop."""
        if changes:
            found = [(key, change.value) for change in changes if (key := _key_of(change)) is not None]
            self._put(found, None, is_logged=False)
            self._read_to = max(self._read_to or 0, changes[-1].offset + 1)

    def restored(self, next_offset: int) -> None:
        """Put on disk what was restored, then its offset: from now on what is remembered moves that."""
        state = self._state
        if isinstance(state, _Whole) and self._read_to != self._durable:
            try:
                state.store.flush()
            except StoreFault as fault:
                self._turn_read_only(state, fault)
        self._put((), max(self._read_to or 0, next_offset))
        self._is_restored = True

    def obey(self, refuses: Callable[[Memo], bool]) -> None:
        """Refuse these from now on, wherever they stand."""
        self._refuses = refuses

    def _advanced(self, next_offset: int) -> int | None:
        """The offset to write: an earlier owner's records may stand between ours, so the highest counts."""
        return max(self._read_to or 0, next_offset) if self._is_restored else None

    def _write(self, changes: Sequence[tuple[bytes, bytes | None]], next_offset: int | None) -> None:
        # Only the loop opens a store anew, or it would take it from the thread that restores.
        if isinstance(self._state, _ReadOnly):
            self._state = self._tried_again(self._state)
        self._put(changes, next_offset)

    def _put(
        self,
        changes: Sequence[tuple[bytes, bytes | None]],
        next_offset: int | None,
        *,
        is_logged: bool = True,
    ) -> None:
        """Write, unless that is in vain now; an offset only where nothing before it is missing."""
        state = self._state
        if isinstance(state, _ReadOnly):
            return
        offset = next_offset if isinstance(state, _Whole) else None
        try:
            state.store.write(changes, offset, is_logged=is_logged)
        except StoreFault as fault:
            self._turn_read_only(state, fault)
            return
        self._written += len(changes)
        if offset is not None:
            self._durable = self._read_to = offset

    # -- limits and life ------------------------------------------------------------------------------------

    def bound(self, limits: MemoryLimits) -> None:
        """Other limits; files that are too many now go with the next that is written."""
        self._limits = limits
        self._recent.bound(limits.entries_max)
        if (store := self._state.store) is not None:
            try:
                store.bound(bytes_max=limits.bytes_max, ttl_s=limits.ttl_ms // 1_000)
            except StoreFault as fault:
                log.warning("%s: new limits were not taken up: %s", self._directory, fault)

    def clear(self) -> None:
        """Begin with an empty directory. Nobody may ask meanwhile."""
        self.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._recent.clear()
        self._is_restored = self._is_marked = False
        self._state = self._opened()

    def stats(self) -> MemoryStats:
        """What there is, and what was done."""
        counts, state = self._counts, self._state
        entries, size_bytes = self._stock(state.store)
        return MemoryStats(
            entries=entries,
            bytes=size_bytes,
            hits_memory=counts.hits_memory,
            hits_disk=counts.hits_disk,
            misses=counts.misses,
            expired=counts.expired,
            evicted=max(0, self._entries_before + self._written - entries),
            read_only=isinstance(state, _ReadOnly),
        )

    def _stock(self, store: RocksStore | None) -> tuple[int, int]:
        """Entries and bytes."""
        try:
            return (len(self._recent), 0) if store is None else (store.entries, store.size_bytes)
        except StoreFault:
            return len(self._recent), 0

    def close(self) -> None:
        """Give the files back."""
        state, self._state = self._state, _ReadOnly(None, inf)
        self._close(state)

    def _close(self, state: _State) -> None:
        if state.store is not None:
            try:
                state.store.close()
            except StoreFault as fault:
                if not isinstance(state, _ReadOnly):
                    log.warning("%s was not closed well: %s", self._directory, fault)

    # -- what goes wrong ------------------------------------------------------------------------------------

    def _opened(self) -> _State:
        """The store; a new one where the old one is of no use, and none where nothing can be written."""
        self._written = self._entries_before = 0
        self._durable = self._read_to = None
        if (self._directory / _MARK).exists():
            self._move_aside("corrupt")
        try:
            return self._open()
        except StoreFault as fault:
            if fault.code == "unwritable":
                return self._read_only(None, fault)
            self._move_aside(str(fault))
        try:
            return self._open()
        except StoreFault as fault:
            return self._read_only(None, fault)

    def _open(self) -> _Whole:
        """Open it, and take stock: what holds the offset may be what is corrupt."""
        limits = self._limits
        store = RocksStore(
            self._directory, self._cache, bytes_max=limits.bytes_max, ttl_s=limits.ttl_ms // 1_000
        )
        whole = _Whole(store)
        try:
            # What was written before it was opened again is among them, and was counted.
            self._entries_before = self._entries_before if self._written else store.entries
            self._durable = store.next_offset
        except StoreFault:
            self._close(_ReadOnly(store, inf))
            raise
        self._read_to = self._durable
        return whole

    def _move_aside(self, why: str) -> None:
        """Keep the last one that was of no use, for whoever wants to know why."""
        aside = self._directory.with_name(f"{self._directory.name}{ASIDE}")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            self._directory.rename(aside)
            # Its day begins now.
            aside.touch()
        except OSError as trouble:
            log.warning("%s is of no use (%s) and stays: %s", self._directory, why, trouble.strerror)
        else:
            log.warning("%s moved to %s and is filled anew: %s", self._directory, aside.name, why)

    def _mark(self, fault: StoreFault) -> None:
        """A read went wrong: this answer is missing, and the next start moves the store aside."""
        if not self._is_marked:
            self._is_marked = True
            log.warning(
                "%s cannot be read everywhere (%s): the next start fills it anew", self._directory, fault
            )
            try:
                (self._directory / _MARK).touch()
            except OSError:
                log.warning("%s could not be marked", self._directory)

    def _turn_read_only(self, state: _State, fault: StoreFault) -> None:
        if state is self._state:
            self._state = self._read_only(state.store, fault)

    def _read_only(self, store: RocksStore | None, fault: StoreFault) -> _ReadOnly:
        log.warning("%s is read-only, and new answers are not kept on disk: %s", self._directory, fault)
        return _ReadOnly(store, self._clock.now_ms() + RETRY_MS)

    def _tried_again(self, state: _ReadOnly) -> _State:
        """The store opened anew, as it must be after an error of the disk, once there may be room."""
        now_ms = self._clock.now_ms()
        if now_ms < state.retry_at_ms:
            return state
        store = state.store
        try:
            if shutil.disk_usage(self._directory.parent).free >= _ROOM_BYTES:
                self._close(state)
                store = None
                store = self._open().store
                store.write((), self._durable)
                log.warning("%s can be written again", self._directory)
                return _Gapped(store)
        except StoreFault as fault:
            if fault.code == "corrupt":
                self._mark(fault)
        except OSError:
            pass
        return _ReadOnly(store, now_ms + RETRY_MS)


def _key_of(change: Change) -> bytes | None:
    try:
        return unhexlify(change.key)
    except NoHex:
        return None
