"""A partition's memory on disk: the memos used last in process, over all that fits in a RocksDB.

A store that is corrupt is moved aside and filled again from the changelog. One that a living process holds is
left to it: there is none for now. A disk that takes nothing turns the memory read-only, with all answers that
can be read; moderation goes on, and so does the memory once there is room. Each is said in the log, once.
"""

from __future__ import annotations

import logging
from binascii import Error as NoHex
from binascii import unhexlify
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import maxsize

from schemas.memory import Memo
from streams.core.recent import Recent
from streams.core.restoring import is_of
from streams.ports import Change, MemoryLimits, MemoryStats, Placed
from streams.premises import Premises
from streams.recalling import Counts, is_expired, memo_of, refuses_none
from streams.rocks import BlockCache, RocksStore, StoreFault

# Memos that were written while older ones were still being read, and are known to be newer: 6 MiB at most. Of
# what is beyond, an older answer may take the place, which costs an inference once that has expired.
_EARLY_MAX = 10_000

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
    """Nothing can be written; what can be read of the store, where there is one, still answers."""

    store: RocksStore | None
    is_tried_again: bool = True
    """Whether time or room may help."""


_State = _Whole | _Gapped | _ReadOnly


class RocksMemory:
    """The real one: over `directory`, which is made where it is missing."""

    def __init__(self, directory: Path, limits: MemoryLimits, cache: BlockCache) -> None:
        self._premises = Premises(directory)
        self._limits = limits
        self._cache = cache
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
        self._source: str | None = None
        self._early: dict[bytes, Change] = {}
        """What was remembered while it was restored, by its key."""
        self._is_void = False
        """What the directory holds must go, and could not yet."""
        self._state = self._opened()

    def __repr__(self) -> str:
        read_only = ", read-only" if isinstance(self._state, _ReadOnly) else ""
        return f"<RocksMemory {self._recent!r} over {self._state.store!r}{read_only}>"

    @property
    def next_offset(self) -> int | None:
        """Where the changelog goes on: where something is missing, from before that."""
        return self._read_to if isinstance(self._state, _Whole) else self._durable

    @property
    def source(self) -> str | None:
        """The changelog that the store is filled from, by its own word until `belong_to` was called."""
        return self._source

    def belong_to(self, source: str) -> None:
        """Write it down before anything else of it: what a crash leaves behind says whose it is."""
        if source != self._source:
            self._source = source
            state = self._state
            if not isinstance(state, _ReadOnly):
                try:
                    state.store.belong_to(source)
                except StoreFault as fault:
                    self._turn_read_only(state, fault)

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
        if not self._is_restored:
            self._note_early(changes, offset)
        self._put(changes, self._advanced(offset + 1))

    def restore(self, changes: Sequence[Change]) -> None:
        """Write what was read; what it means is looked at when somebody asks. Leaves `Recent` to the loop."""
        if changes:
            found = {
                key: change
                for change in changes
                if (key := _key_of(change)) is not None and not self._is_outdated(key, change)
            }
            while found:
                self._put([(key, one.value) for key, one in found.items()], None, is_logged=False)
                # The loop goes on meanwhile: what it wrote in between may just have been overwritten.
                found = {key: self._early[key] for key, one in found.items() if self._is_outdated(key, one)}
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
        self._early.clear()

    def obey(self, refuses: Callable[[Memo], bool]) -> None:
        """Refuse these from now on, wherever they stand."""
        self._refuses = refuses

    def _advanced(self, next_offset: int) -> int | None:
        """The offset to write: an earlier owner's records may stand between ours, so the highest counts."""
        return max(self._read_to or 0, next_offset) if self._is_restored else None

    def _note_early(self, changes: Sequence[tuple[bytes, bytes | None]], offset: int) -> None:
        """Know these as newer than what is being read. Before they are written, or nobody would know them."""
        if len(self._early) + len(changes) <= _EARLY_MAX:
            # Where it is not known where they stand, they stand at the end.
            stands_at = offset if offset >= 0 else maxsize
            self._early.update({key: Change(key, value, stands_at) for key, value in changes})

    def _is_outdated(self, key: bytes, change: Change) -> bool:
        early = self._early.get(key)
        return early is not None and early.offset > change.offset

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
                log.warning("%s: new limits were not taken up: %s", self._premises, fault)

    def clear(self) -> None:
        """Begin with an empty directory. Nobody may ask meanwhile."""
        was = self._state
        self.close()
        self._recent.clear()
        self._early.clear()
        self._is_restored = self._is_marked = False
        if isinstance(was, _ReadOnly):
            # It may be another process that holds it, or a disk that takes nothing: emptied once it is ours.
            self._durable = self._read_to = self._source = None
            self._is_void = True
            self._state = _ReadOnly(None)
        else:
            self._premises.empty()
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
        state, self._state = self._state, _ReadOnly(None, is_tried_again=False)
        self._close(state)

    def _close(self, state: _State) -> None:
        if state.store is not None:
            try:
                state.store.close()
            except StoreFault as fault:
                if not isinstance(state, _ReadOnly):
                    log.warning("%s was not closed well: %s", self._premises, fault)

    # -- what goes wrong ------------------------------------------------------------------------------------

    def _opened(self) -> _State:
        """The store; a new one where the old one is of no use, and what can be read where nothing is written.

        It is opened before it is moved aside: so nobody else has it.
        """
        self._written = self._entries_before = 0
        self._durable = self._read_to = self._source = None
        why = "corrupt"
        try:
            whole = self._open()
        except StoreFault as fault:
            if fault.code != "corrupt":
                return self._not_opened(fault)
            why = str(fault)
        else:
            if not self._premises.is_marked:
                return whole
            self._close(whole)
        self._premises.move_aside(why)
        self._source = None
        try:
            return self._open()
        except StoreFault as fault:
            return self._not_opened(fault)

    def _open(self, *, is_read_only: bool = False) -> _Whole:
        """Open it, and take stock: what holds the offset may be what is corrupt."""
        limits = self._limits
        store = RocksStore(
            self._premises.directory,
            self._cache,
            bytes_max=limits.bytes_max,
            ttl_s=limits.ttl_ms // 1_000,
            is_read_only=is_read_only,
        )
        whole = _Whole(store)
        try:
            # What was written before it was opened again is among them, and was counted.
            self._entries_before = self._entries_before if self._written else store.entries
            self._durable = self._read_to = store.next_offset
            self._source = self._source or store.source
        except StoreFault:
            self._close(_ReadOnly(store))
            raise
        return whole

    def _not_opened(self, fault: StoreFault) -> _ReadOnly:
        if fault.code == "locked":
            log.warning(
                "%s is left alone, and no answers are kept on disk for now: %s", self._premises, fault
            )
            return _ReadOnly(None)
        return self._read_only(self._readable(), fault)

    def _readable(self) -> RocksStore | None:
        try:
            return self._open(is_read_only=True).store
        except StoreFault:
            return None

    def _mark(self, fault: StoreFault) -> None:
        """A file is damaged: answers are missing, and the next start moves the store aside."""
        if not self._is_marked:
            self._is_marked = True
            self._premises.mark(fault)

    def _turn_read_only(self, state: _State, fault: StoreFault) -> None:
        """Where it is corrupt, opening it again would only bring the next error: a start fills it anew."""
        if state is self._state:
            if fault.code == "corrupt":
                self._mark(fault)
            self._state = self._read_only(state.store, fault)

    def _read_only(self, store: RocksStore | None, fault: StoreFault) -> _ReadOnly:
        log.warning("%s is read-only, and new answers are not kept on disk: %s", self._premises, fault)
        return _ReadOnly(store, is_tried_again=fault.code != "corrupt")

    def recover(self) -> None:
        """Write again, where that is possible now; what was missed meanwhile, the next start reads."""
        state = self._state
        if isinstance(state, _ReadOnly) and state.is_tried_again:
            store = self._written_again(state)
            if store is not None:
                self._state = _Gapped(store)
                # They may have changed while it was opened.
                self.bound(self._limits)
                log.warning("%s can be written again", self._premises)

    def _written_again(self, state: _ReadOnly) -> RocksStore | None:
        """A store that takes something, at no risk for the one that can be read.

        1. RocksDB gets over a full disk by itself.
        2. Any other error of a disk needs the store opened anew, which is in vain while that takes nothing.
        3. What is open to be written must be closed before; what is open to be read only stays, until the
           other is there.
        """
        store = state.store
        holds_it = store is not None and not store.is_read_only
        if store is not None and holds_it and _takes(store):
            return store
        if not self._premises.has_room():
            return None
        if holds_it:
            # A moment of misses, and only where all speaks for it.
            self._state = _ReadOnly(None)
            self._close(state)
        try:
            opened = self._opened_as_ours()
        except StoreFault as fault:
            self._not_recovered(fault, self._readable() if holds_it else store)
            return None
        if not holds_it:
            self._close(state)
        if _takes(opened):
            return opened
        self._state = _ReadOnly(opened)
        return None

    def _not_recovered(self, fault: StoreFault, readable: RocksStore | None) -> None:
        if fault.code == "corrupt":
            self._mark(fault)
        self._state = _ReadOnly(readable, is_tried_again=fault.code != "corrupt")

    def _opened_as_ours(self) -> RocksStore:
        """Opened when its changelog is known already: what is of another, or too old, is removed now."""
        store = self._open().store
        if self._is_void or not self._is_ours(store):
            self._close(_ReadOnly(store))
            self._premises.empty()
            store = self._open().store
            self._is_void = False
        if self._source is not None and store.source != self._source:
            store.belong_to(self._source)
        return store

    def _is_ours(self, store: RocksStore) -> bool:
        return self._source is None or is_of(
            self._source, stored_source=store.source, stored=store.next_offset
        )


def _takes(store: RocksStore) -> bool:
    try:
        store.try_out()
    except StoreFault:
        return False
    return True


def _key_of(change: Change) -> bytes | None:
    try:
        return unhexlify(change.key)
    except NoHex:
        return None
