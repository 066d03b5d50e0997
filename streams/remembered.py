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
from pathlib import Path

from schemas.memory import Memo
from streams.core.recent import Recent
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
        self._is_read_only = False
        self._is_marked = False
        self._retry_at_ms = 0.0
        self._has_gap = False
        """Whether something was not written: `next_offset` then stays where it is, so that the next start
        reads it again."""
        self._is_restored = False
        self._has_unlogged = False
        """Whether something was restored that is not on disk yet: the store's offset comes after it."""
        self._written = 0
        self._entries_before = 0
        self._next_offset: int | None = None
        self._store = self._opened()
        self._take_stock()

    def __repr__(self) -> str:
        read_only = ", read-only" if self._is_read_only else ""
        return f"<RocksMemory {self._recent!r} over {self._store!r}{read_only}>"

    @property
    def next_offset(self) -> int | None:
        """Where the changelog goes on, as the store says."""
        return self._next_offset

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
        store = self._store
        if store is None:
            return None
        try:
            value = store.get(unhexlify(question))
        except NoHex:
            return None
        except StoreFault as fault:
            # A `warm` memory is asked while it is restored, and may just have been begun anew.
            if store is self._store:
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

    def forget(self, question: str, offset: int) -> None:
        """Drop a memo, from both tiers."""
        self._recent.drop(question)
        self._write(((unhexlify(question), None),), self._advanced(offset + 1))

    def restore(self, changes: Sequence[Change]) -> None:
        """Write what was read; what it means is looked at when somebody asks. Leaves `Recent` to the loop."""
        if changes:
            found = [(key, change.value) for change in changes if (key := _key_of(change)) is not None]
            if self._is_read_only:
                # Only the loop opens a store anew, or it would lose it while it reads.
                self._has_gap = True
                return
            self._put(found, None, is_logged=False)
            self._next_offset = max(self._next_offset or 0, changes[-1].offset + 1)
            self._has_unlogged = True

    def restored(self, next_offset: int) -> None:
        """The store knows everything: what is remembered from now on moves its offset."""
        self._is_restored = True
        try:
            if self._store is not None and self._has_unlogged:
                self._store.flush()
        except StoreFault as fault:
            self._has_gap = True
            self._turn_read_only(fault)
        self._has_unlogged = False
        self._write((), self._advanced(next_offset))

    def obey(self, refuses: Callable[[Memo], bool]) -> None:
        """Refuse these from now on, wherever they stand."""
        self._refuses = refuses

    def _advanced(self, next_offset: int) -> int | None:
        """The offset to write: an earlier owner's records may stand between ours, so the highest counts."""
        return max(self._next_offset or 0, next_offset) if self._is_restored else None

    def _write(self, changes: Sequence[tuple[bytes, bytes | None]], next_offset: int | None) -> None:
        if self._is_read_only and not self._has_room_again():
            self._has_gap = True
            return
        self._put(changes, next_offset)

    def _put(
        self,
        changes: Sequence[tuple[bytes, bytes | None]],
        next_offset: int | None,
        *,
        is_logged: bool = True,
    ) -> None:
        offset = None if self._has_gap else next_offset
        try:
            if self._store is not None:
                self._store.write(changes, offset, is_logged=is_logged)
        except StoreFault as fault:
            self._has_gap = True
            self._turn_read_only(fault)
            return
        self._written += len(changes)
        if offset is not None:
            self._next_offset = offset

    # -- limits and life ------------------------------------------------------------------------------------

    def bound(self, limits: MemoryLimits) -> None:
        """Other limits; files that are too many now go with the next that is written."""
        self._limits = limits
        self._recent.bound(limits.entries_max)
        if self._store is not None:
            try:
                self._store.bound(bytes_max=limits.bytes_max, ttl_s=limits.ttl_ms // 1_000)
            except StoreFault as fault:
                log.warning("%s: new limits were not taken up: %s", self._directory, fault)

    def clear(self) -> None:
        """Begin with an empty directory."""
        self.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._recent.clear()
        self._is_restored = self._has_gap = self._is_read_only = False
        self._store = self._opened()
        self._take_stock()

    def stats(self) -> MemoryStats:
        """What there is, and what was done."""
        counts = self._counts
        entries = len(self._recent) if self._store is None else self._store.entries
        return MemoryStats(
            entries=entries,
            bytes=0 if self._store is None else self._store.size_bytes,
            hits_memory=counts.hits_memory,
            hits_disk=counts.hits_disk,
            misses=counts.misses,
            expired=counts.expired,
            evicted=max(0, self._entries_before + self._written - entries),
            read_only=self._is_read_only,
        )

    def close(self) -> None:
        """Give the files back."""
        store, self._store = self._store, None
        if store is not None:
            try:
                store.close()
            except StoreFault as fault:
                if not self._is_read_only:
                    log.warning("%s was not closed well: %s", self._directory, fault)

    # -- what goes wrong ------------------------------------------------------------------------------------

    def _opened(self) -> RocksStore | None:
        """The store; a new one where the old one is of no use, and none where nothing can be written."""
        if (self._directory / _MARK).exists():
            self._move_aside("corrupt")
        try:
            return self._open()
        except StoreFault as fault:
            if fault.code == "unwritable":
                self._turn_read_only(fault)
                return None
            self._move_aside(str(fault))
        try:
            return self._open()
        except StoreFault as fault:
            self._turn_read_only(fault)
            return None

    def _open(self) -> RocksStore:
        limits = self._limits
        return RocksStore(
            self._directory, self._cache, bytes_max=limits.bytes_max, ttl_s=limits.ttl_ms // 1_000
        )

    def _take_stock(self) -> None:
        self._written = 0
        self._entries_before = 0 if self._store is None else self._store.entries
        self._next_offset = None if self._store is None else self._store.next_offset

    def _move_aside(self, why: str) -> None:
        """Keep the last one that was of no use, for whoever wants to know why."""
        aside = self._directory.with_name(f"{self._directory.name}.aside")
        shutil.rmtree(aside, ignore_errors=True)
        try:
            self._directory.rename(aside)
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

    def _turn_read_only(self, fault: StoreFault) -> None:
        self._retry_at_ms = self._clock.now_ms() + RETRY_MS
        if not self._is_read_only:
            self._is_read_only = True
            log.warning("%s is read-only, and new answers are not kept on disk: %s", self._directory, fault)

    def _has_room_again(self) -> bool:
        """Whether the store can be written again: after an error of the disk, it must be opened anew."""
        if self._clock.now_ms() < self._retry_at_ms:
            return False
        self._retry_at_ms = self._clock.now_ms() + RETRY_MS
        try:
            if shutil.disk_usage(self._directory.parent).free < _ROOM_BYTES:
                return False
            self.close()
            self._store = self._open()
            self._store.write((), self._next_offset)
        except (OSError, StoreFault):
            return False
        self._is_read_only = False
        log.warning("%s can be written again", self._directory)
        return True


def _key_of(change: Change) -> bytes | None:
    try:
        return unhexlify(change.key)
    except NoHex:
        return None
