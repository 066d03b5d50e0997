"""The memories of a worker: one for each partition of `pending.*` that it owns, restored before it is used.

A memo is written to the changelog first, and to the store once Kafka has confirmed it, with its offset: so a
store never knows more than its changelog, and a partition that moves finds all of it. What a memo may answer
is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mode import Service

from schemas.memory import Memo
from schemas.settings import MemorySettings
from schemas.wire import encode
from streams.leftovers import leftovers
from streams.memory_figures import summed, without_stock
from streams.observing import MemoryStatus
from streams.ports import (
    Change,
    Clock,
    MemoryLimits,
    MemoryStats,
    Outgoing,
    PartitionMemory,
    Placed,
    Publisher,
    PublishError,
)
from streams.recalling import refuses_none
from streams.restoring import Changelog, Progress

_HOUR_MS = 3_600_000
# Partitions that are restored at a time: each takes a thread and a connection, and two keep the disk busy.
_RESTORES_AT_ONCE = 2
_TELL_S = 2.0
_TIDY_S = 3_600.0
_NOWHERE = -1

log = logging.getLogger("penstock.memory")

Open = Callable[[Path, MemoryLimits], PartitionMemory]


class _Fresh(NamedTuple):
    """A memo on its way to the changelog, and whom to tell once it is remembered."""

    placed: Placed
    done: Callable[[], None]


@dataclass(slots=True, eq=False)
class _Partition:
    """One partition's memory while the partition is ours."""

    number: int
    limits: MemoryLimits
    memory: PartitionMemory | None = None
    is_usable: bool = False
    progress: Progress = field(default_factory=Progress)
    is_restoring: bool = True
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    fresh: list[_Fresh] = field(default_factory=list)
    """What is to be written in this turn of the loop."""

    @property
    def is_wanted(self) -> bool:
        return not self.let_go.is_set()


class _Reading:
    """A memory for the thread that restores it: nobody asks it while it is begun anew."""

    def __init__(self, memory: PartitionMemory, show: Callable[[PartitionMemory | None], None]) -> None:
        self._memory = memory
        self._show = show

    @property
    def next_offset(self) -> int | None:
        return self._memory.next_offset

    @property
    def source(self) -> str | None:
        return self._memory.source

    def belong_to(self, source: str) -> None:
        self._memory.belong_to(source)

    def restore(self, changes: Sequence[Change]) -> None:
        self._memory.restore(changes)

    def clear(self) -> None:
        self._show(None)
        self._memory.clear()
        self._show(self._memory)


class Memories(Service):
    """Opens, restores and closes them with the partitions; asks them, and writes to them."""

    abstract = False
    mundane_level = "debug"
    retry_s = 5.0
    """A store that takes nothing is tried again after so long; where there seems to be room, with 8 MiB."""

    def __init__(
        self,
        settings: MemorySettings,
        *,
        directory: Path,
        open_memory: Open,
        changelog: Changelog,
        publisher: Publisher,
        clock: Clock,
        on_usable: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._directory = directory
        self._open = open_memory
        self._changelog = changelog
        self._publisher = publisher
        self._clock = clock
        self._on_usable = on_usable
        self._refuses: Callable[[Memo], bool] = refuses_none
        self._owned: dict[int, _Partition] = {}
        # A store is closed before the same one is opened again.
        self._turns: dict[int, asyncio.Lock] = {}
        self._at_once = asyncio.Semaphore(_RESTORES_AT_ONCE)
        self._living: set[asyncio.Task[None]] = set()
        self._restored = 0
        self._refused = 0
        self._past = MemoryStats()

    def __repr__(self) -> str:
        return f"<Memories {self.status()}>"

    # -- ownership ------------------------------------------------------------------------------------------

    def own(self, partitions: Collection[int]) -> None:
        """These partitions are ours from now on, and no others; those that stay ours stay as they are."""
        if not self._settings.enabled or self.should_stop:
            return
        for number in self._owned.keys() - set(partitions):
            self._owned.pop(number).let_go.set()
        for number in set(partitions) - self._owned.keys():
            held = self._owned[number] = _Partition(number, limits_of(self._settings))
            living = asyncio.ensure_future(self._live(held))
            self._living.add(living)
            living.add_done_callback(self._ended)

    def is_usable(self, partition: int) -> bool:
        """Whether events of this partition may be judged."""
        held = self._owned.get(partition)
        return not self._settings.enabled or (held is not None and held.is_usable)

    async def on_start(self) -> None:
        """Begin to remove what nobody needs any more."""
        if self._settings.enabled:
            self.add_future(self._tidy())

    async def on_stop(self) -> None:
        """Close all stores."""
        for held in self._owned.values():
            held.let_go.set()
        self._owned.clear()
        await asyncio.gather(*self._living, return_exceptions=True)

    def _ended(self, living: asyncio.Task[None]) -> None:
        self._living.discard(living)
        if not living.cancelled() and (bug := living.exception()) is not None:
            # `crash` is a coroutine; what it does first is to take down the reason, by which a worker stops.
            self.add_future(self.crash(bug))

    async def _live(self, held: _Partition) -> None:
        """From the assignment to the revocation."""
        async with self._turns.setdefault(held.number, asyncio.Lock()):
            if not held.is_wanted:
                return
            place = self._directory / str(held.number)
            held.limits = limits_of(self._settings)
            memory = await asyncio.to_thread(self._open, place, held.limits)
            try:
                self._show(held, memory)
                if self._settings.mode == "warm":
                    self._use(held)
                if await self._restore(held, memory):
                    self._use(held)
                await self._until_let_go(held, memory)
            finally:
                held.is_usable, held.memory = False, None
                self._past = summed((self._past, without_stock(memory.stats())))
                await asyncio.to_thread(memory.close)

    async def _until_let_go(self, held: _Partition, memory: PartitionMemory) -> None:
        """While it is ours: have a store that takes nothing tried again, off the loop."""
        while held.is_wanted:
            try:
                async with asyncio.timeout(self.retry_s):
                    await held.let_go.wait()
            except TimeoutError:
                if memory.stats().read_only:
                    await asyncio.to_thread(memory.recover)

    async def _restore(self, held: _Partition, memory: PartitionMemory) -> bool:
        async with self._at_once:
            began_s = time.monotonic()
            telling = asyncio.ensure_future(self._tell(held))
            try:
                is_whole = await asyncio.to_thread(self._read, held, memory, asyncio.get_running_loop())
            finally:
                telling.cancel()
                held.is_restoring = False
                self._restored += held.progress.records
        if is_whole:
            took_s = time.monotonic() - began_s
            log.info("memory %d: restored %d records in %.1f s", held.number, held.progress.records, took_s)
        return is_whole

    def _read(self, held: _Partition, memory: PartitionMemory, loop: asyncio.AbstractEventLoop) -> bool:
        """In a thread: read the changelog, and have it written to disk, which may take as long again."""

        async def on_loop(shown: PartitionMemory | None) -> None:
            self._show(held, shown)

        def show(shown: PartitionMemory | None) -> None:
            asyncio.run_coroutine_threadsafe(on_loop(shown), loop).result()

        is_whole = self._changelog.restore(
            held.number, _Reading(memory, show), held.progress, lambda: held.is_wanted
        )
        if is_whole:
            memory.restored(held.progress.position)
        return is_whole

    def _show(self, held: _Partition, memory: PartitionMemory | None) -> None:
        """Have it asked from now on, or not; what came in while nobody asked it is told first."""
        held.memory = memory
        if memory is not None:
            memory.obey(self._refuses)
            self._bound(held, memory)

    def _bound(self, held: _Partition, memory: PartitionMemory) -> None:
        if (limits := limits_of(self._settings)) != held.limits:
            held.limits = limits
            memory.bound(limits)

    async def _tell(self, held: _Partition) -> None:
        while True:
            await asyncio.sleep(_TELL_S)
            progress = held.progress
            log.info("memory %d: %d records restored, %d to go", held.number, progress.records, progress.left)

    def _use(self, held: _Partition) -> None:
        if held.is_wanted and not held.is_usable:
            held.is_usable = True
            self._on_usable()

    async def _tidy(self) -> None:
        """Now and every hour, remove what stores have left behind that nobody needs any more."""
        while not self.should_stop:
            ttl_ms = limits_of(self._settings).ttl_ms
            for one in await asyncio.to_thread(leftovers, self._directory, self._clock.wall_ms(), ttl_ms):
                turn = self._turns.setdefault(one.partition, asyncio.Lock())
                if one.is_aside:
                    await _removed(one.place)
                elif not turn.locked():
                    async with turn:
                        await _removed(one.place)
            await self.sleep(_TIDY_S)

    # -- answers --------------------------------------------------------------------------------------------

    def look_up(self, partition: int, questions: Sequence[str]) -> Memo | None:
        """What is remembered of the first of these questions that has an answer."""
        held = self._owned.get(partition)
        if held is None or held.memory is None:
            return None
        return held.memory.look_up(questions, self._clock.wall_ms())

    def remember(self, partition: int, memo: Memo, done: Callable[[], None]) -> None:
        """Write to the changelog, then to the store; then `done`. Called once the verdict is confirmed.

        Like a verdict, it waits for brokers that are away. What Kafka will never take is not remembered; and
        where the partition was given away there is nothing to do: whoever owns it now judges again.
        """
        held = self._owned.get(partition)
        if held is None:
            done()
            return

        held.fresh.append(_Fresh(Placed(memo, encode(memo)), done))
        if len(held.fresh) == 1:
            # Verdicts are confirmed by the batch, and many memos cost little more than one.
            asyncio.get_running_loop().call_soon(self._place, held)

    def _place(self, held: _Partition) -> None:
        """Write what is fresh to the changelog."""
        fresh, held.fresh = held.fresh, []
        records = [
            Outgoing(
                self._changelog.topic, held.number, one.placed.memo.question_digest.encode(), one.placed.value
            )
            for one in fresh
        ]

        def ended(placed: asyncio.Future[int]) -> None:
            if placed.cancelled():
                return
            try:
                self._placed(held, fresh, placed)
            except Exception as bug:  # noqa: BLE001 - whatever it is, the records would never be settled
                self.add_future(self.crash(bug))
                return
            for one in fresh:
                one.done()

        self._publisher.place(records).add_done_callback(ended)

    def _placed(self, held: _Partition, fresh: Sequence[_Fresh], placed: asyncio.Future[int]) -> None:
        match placed.exception():
            case None:
                self._write(held, fresh, placed.result())
            case PublishError(failed=failed):
                self._refused += len(failed)
                # Where the others stand is not told: the store's offset stays until the next memo.
                self._write(held, [one for at, one in enumerate(fresh) if at not in failed], _NOWHERE)
            case unexpected:
                raise unexpected

    def _write(self, held: _Partition, fresh: Sequence[_Fresh], offset: int) -> None:
        if held.memory is not None and fresh:
            held.memory.remember([one.placed for one in fresh], offset)

    # -- what comes in beside events ------------------------------------------------------------------------

    def obey(self, refuses: Callable[[Memo], bool]) -> None:
        """Give no answer that this refuses, from whatever partition."""
        self._refuses = refuses
        for memory in self._memories():
            memory.obey(refuses)

    def take_up(self, settings: MemorySettings) -> None:
        """Live settings have changed."""
        self._settings = settings
        for held in self._owned.values():
            if held.memory is not None:
                self._bound(held, held.memory)

    def status(self) -> MemoryStatus:
        """All partitions together."""
        owned = self._owned.values()
        progress = [held.progress for held in owned if held.is_restoring]
        return MemoryStatus(
            partitions=len(owned),
            restoring=len(progress),
            restored=self._restored + sum(one.records for one in progress),
            to_restore=sum(one.left for one in progress),
            refused=self._refused,
            figures=summed((self._past, *(memory.stats() for memory in self._memories()))),
        )

    def _memories(self) -> list[PartitionMemory]:
        return [held.memory for held in self._owned.values() if held.memory is not None]


async def _removed(place: Path) -> None:
    await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
    log.info("%s was not needed any more and is removed", place)


def limits_of(settings: MemorySettings) -> MemoryLimits:
    """What a partition may hold, under these settings."""
    return MemoryLimits(settings.entries_max, settings.bytes_max, settings.ttl_hours_max * _HOUR_MS)
