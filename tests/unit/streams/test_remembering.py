"""The memories of a worker: they come and go with partitions, and are written after the changelog."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from deadline import eventually
from memos import NOW_MS, change, digest, memo
from msgspec.structs import replace
from stages import FakePublisher, callbacks_ran

from schemas.settings import MemorySettings
from streams.clock import ManualClock
from streams.ports import PublishError
from streams.recalling import MemoryMemory
from streams.remembered import RocksMemory
from streams.remembering import Memories, limits_of
from streams.rocks import BlockCache, StoreFault

WITHIN_S = 10.0


class FakeChangelog:
    """Holds what the test put there, and lets a reading end when the test says so."""

    topic = "memory"

    def __init__(self) -> None:
        self.changes = {}
        self.may_end = threading.Event()
        self.may_end.set()
        self.bug: Exception | None = None
        self.read = []
        self.anew = 0

    def restore(self, partition, memory, progress, is_wanted: Callable[[], bool]) -> bool:
        self.read.append(partition)
        if self.bug:
            raise self.bug
        changes = self.changes.get(partition, ())
        progress.end = len(changes)
        for _ in range(self.anew):
            memory.clear()
            memory.restore(changes)
        memory.restore(changes)
        while not self.may_end.wait(0.01):
            if not is_wanted():
                return False
        progress.records = progress.position = len(changes)
        return True


class Bench:
    """Memories over fakes, and what they opened."""

    def __init__(self, directory: Path = Path("memory"), **settings) -> None:
        self.changelog = FakeChangelog()
        self.publisher = FakePublisher()
        self.opened: list[Path] = []
        self.may_open = threading.Event()
        self.may_open.set()
        self.make = MemoryMemory
        self.usable = 0
        self.done: list[str] = []
        self.memories = Memories(
            MemorySettings(**settings),
            directory=directory,
            open_memory=self._open,
            changelog=self.changelog,
            publisher=self.publisher,
            clock=ManualClock(wall_ms=NOW_MS),
            on_usable=self._is_usable,
        )

    def _open(self, directory, limits):
        self.opened.append(directory)
        assert self.may_open.wait(WITHIN_S)
        return self.make(limits)

    def _is_usable(self) -> None:
        self.usable += 1

    async def until_usable(self, *partitions: int) -> None:
        await eventually(lambda: all(map(self.memories.is_usable, partitions)), within_s=WITHIN_S)

    def remember(self, partition: int, name: str) -> None:
        self.memories.remember(partition, memo(name), lambda: self.done.append(name))

    def found(self, partition: int, name: str) -> bool:
        return self.memories.look_up(partition, [digest(name)]) is not None


@pytest.fixture
async def make() -> AsyncIterator[Callable[..., Bench]]:
    made: list[Bench] = []

    async def started(**settings) -> Bench:
        made.append(Bench(**settings))
        await made[-1].memories.start()
        return made[-1]

    yield started
    for bench in made:
        bench.changelog.may_end.set()
        await bench.memories.stop()


async def test_a_partition_finds_what_its_changelog_says(make):
    bench = await make()
    bench.changelog.changes = {3: [change("a", 0)], 5: [change("b", 0)]}
    bench.memories.own({3, 5})
    await bench.until_usable(3, 5)
    assert (bench.found(3, "a"), bench.found(3, "b"), bench.found(5, "b")) == (True, False, True)
    assert sorted(path.name for path in bench.opened) == ["3", "5"]
    assert bench.usable == 2
    status = bench.memories.status()
    assert (status.partitions, status.restoring, status.restored) == (2, 0, 2)
    assert (status.figures.entries, status.figures.hits_memory, status.figures.misses) == (2, 2, 1)


async def test_strict_is_usable_when_it_is_restored_and_warm_at_once(make):
    for mode, is_usable in (("strict", False), ("warm", True)):
        bench = await make(mode=mode)
        bench.changelog.may_end.clear()
        bench.memories.own({1})
        await eventually(lambda bench=bench: bench.changelog.read, within_s=WITHIN_S)
        assert bench.memories.is_usable(1) is is_usable
        assert bench.memories.status().restoring == 1
        bench.changelog.may_end.set()
        await bench.until_usable(1)


async def test_a_memo_is_local_once_the_changelog_is_confirmed_and_only_then_is_it_done(make):
    bench = await make()
    bench.memories.own({3})
    await bench.until_usable(3)
    bench.remember(3, "a")
    await callbacks_ran()
    [([record], placed)] = bench.publisher.placed
    assert (record.topic, record.partition, record.key) == ("memory", 3, digest("a").encode())
    assert not bench.found(3, "a")
    assert not bench.done
    placed.set_result(0)
    await callbacks_ran()
    assert bench.found(3, "a")
    assert bench.done == ["a"]


async def test_what_kafka_refuses_is_not_remembered_and_done_all_the_same(make):
    bench = await make()
    bench.memories.own({3})
    await bench.until_usable(3)
    bench.remember(3, "a")
    await callbacks_ran()
    bench.publisher.placed[0][1].set_exception(PublishError("msg_size_too_large", (0,)))
    await callbacks_ran()
    assert bench.done == ["a"]
    assert not bench.found(3, "a")
    assert bench.memories.status().refused == 1


async def test_of_memos_that_are_written_together_only_those_are_missing_that_were_refused(make):
    bench = await make()
    bench.memories.own({3})
    await bench.until_usable(3)
    for name in "abc":
        bench.remember(3, name)
    await callbacks_ran()
    [(records, placed)] = bench.publisher.placed
    assert len(records) == 3
    placed.set_exception(PublishError("msg_size_too_large", (1,)))
    await callbacks_ran()
    assert bench.done == ["a", "b", "c"]
    assert [bench.found(3, name) for name in "abc"] == [True, False, True]


async def test_a_confirmation_after_the_partition_was_given_away_is_done_and_writes_nothing(make):
    bench = await make()
    bench.memories.own({3})
    await bench.until_usable(3)
    bench.remember(3, "a")
    await callbacks_ran()
    bench.memories.own(())
    await eventually(lambda: not bench.memories._living, within_s=WITHIN_S)  # noqa: SLF001
    bench.publisher.placed[0][1].set_result(0)
    await callbacks_ran()
    assert bench.done == ["a"]
    bench.remember(3, "b")
    assert bench.done == ["a", "b"]
    assert len(bench.publisher.placed) == 1


async def test_a_partition_that_stays_is_not_opened_again_and_one_that_comes_back_is(make):
    bench = await make()
    bench.memories.own({1, 2})
    await bench.until_usable(1, 2)
    bench.memories.own({2})
    assert not bench.memories.is_usable(1)
    bench.memories.own({1, 2})
    await bench.until_usable(1, 2)
    assert sorted(path.name for path in bench.opened) == ["1", "1", "2"]


async def test_a_partition_that_is_given_away_while_it_is_restored_is_let_go(make):
    bench = await make()
    bench.changelog.may_end.clear()
    bench.memories.own({1})
    await eventually(lambda: bench.changelog.read, within_s=WITHIN_S)
    bench.memories.own(())
    await eventually(lambda: not bench.memories._living, within_s=WITHIN_S)  # noqa: SLF001
    assert not bench.memories.is_usable(1)
    assert bench.usable == 0


async def test_orders_hold_for_partitions_that_come_later_too(make):
    bench = await make()
    bench.changelog.changes = {1: [change("a", 0)], 2: [change("a", 0)]}
    bench.memories.own({1})
    await bench.until_usable(1)
    bench.memories.obey(lambda one: one.judged_at_ms <= NOW_MS)
    bench.memories.own({1, 2})
    await bench.until_usable(2)
    assert (bench.found(1, "a"), bench.found(2, "a")) == (False, False)


async def test_limits_change_while_it_runs(make):
    bench = await make()
    bench.changelog.changes = {1: [change(number, number) for number in range(10)]}
    bench.memories.own({1})
    await bench.until_usable(1)
    bench.memories.take_up(MemorySettings(entries_max=4))
    assert bench.memories.status().figures.entries == 4


async def test_limits_that_change_while_a_store_is_opened_hold_for_it(make):
    bench = await make()
    bench.may_open.clear()
    bench.changelog.changes = {1: [change(number, number) for number in range(10)]}
    bench.memories.own({1})
    await eventually(lambda: bench.opened, within_s=WITHIN_S)
    bench.memories.take_up(MemorySettings(entries_max=4))
    bench.may_open.set()
    await bench.until_usable(1)
    assert bench.memories.status().figures.entries == 4


async def test_a_memory_that_takes_nothing_is_tried_again_and_again_off_the_loop(make, tmp_path: Path):
    threads: list[int] = []

    class Stubborn(MemoryMemory):
        def recover(self):
            threads.append(threading.get_ident())

        def stats(self):
            return replace(super().stats(), read_only=len(threads) < 3)

    bench = await make()
    bench.memories.retry_s = 0.01
    bench.make = Stubborn
    bench.memories.own({1})
    await bench.until_usable(1)
    await eventually(lambda: not bench.memories.status().figures.read_only, within_s=WITHIN_S)
    await asyncio.sleep(0.05)
    assert len(threads) == 3, "once it takes something, it is left alone"
    assert threading.get_ident() not in threads


async def test_a_store_that_is_opened_anew_answers_meanwhile_and_afterwards(make, tmp_path: Path):
    """The loop asks all the time, also while the one is closed and the other is not there yet."""
    bench = await make()
    bench.memories.retry_s = 0.001
    store = RocksMemory(tmp_path / "1", limits_of(MemorySettings(entries_max=0)), BlockCache(1 << 20))
    bench.make = lambda _limits: store
    bench.changelog.changes = {1: [change(number, number) for number in range(50)]}
    bench.memories.own({1})
    await bench.until_usable(1)
    answered = 0
    for _ in range(5):
        store._turn_read_only(store._state, StoreFault("unwritable", "for a moment"))  # noqa: SLF001
        async with asyncio.timeout(WITHIN_S):
            while bench.memories.status().figures.read_only:
                answered += bench.found(1, 3)
                await asyncio.sleep(0)
        assert bench.found(1, 3)
    assert answered
    assert not bench.memories.crashed


async def test_what_may_take_long_is_not_done_by_the_loop(make):
    threads: list[tuple[str, int]] = []

    class Watched(MemoryMemory):
        def restored(self, next_offset):
            threads.append(("restored", threading.get_ident()))
            super().restored(next_offset)

        def clear(self):
            threads.append(("clear", threading.get_ident()))
            super().clear()

    bench = await make()
    bench.make = Watched
    bench.changelog.anew = 1
    bench.memories.own({1})
    await bench.until_usable(1)
    assert [what for what, _ in threads] == ["clear", "restored"]
    assert threading.get_ident() not in {thread for _, thread in threads}


async def test_while_a_memory_is_begun_anew_nobody_asks_it_and_what_is_ordered_meanwhile_counts_afterwards(
    make,
):
    """`warm`: the loop asks all the time."""
    asked = threading.Semaphore(0)
    seen: list[str] = []

    class Watched(MemoryMemory):
        is_clearing = False

        def clear(self):
            self.is_clearing = True
            for _ in range(20):
                assert asked.acquire(timeout=WITHIN_S)
            super().clear()
            self.is_clearing = False

        def look_up(self, questions, now_ms):
            seen.append("half" if self.is_clearing else "whole")
            return super().look_up(questions, now_ms)

        def stats(self):
            seen.append("half" if self.is_clearing else "whole")
            return super().stats()

    bench = await make(mode="warm")
    bench.make = Watched
    bench.changelog.changes = {1: [change(number, number) for number in range(50)]}
    bench.changelog.anew = 2
    bench.memories.own({1})
    async with asyncio.timeout(WITHIN_S):
        while bench.memories.status().restoring:
            bench.found(1, 3)
            bench.memories.obey(lambda one: one.question_digest == digest(48))
            bench.memories.take_up(MemorySettings(mode="warm", entries_max=7))
            asked.release()
            await asyncio.sleep(0.001)
    assert set(seen) == {"whole"}
    assert not bench.memories.crashed
    assert [bench.found(1, name) for name in (42, 43, 48, 49)] == [False, True, False, True]


async def test_a_store_may_be_begun_anew_again_and_again_while_it_is_asked(make, tmp_path: Path):
    bench = await make(mode="warm")
    bench.make = lambda limits: RocksMemory(tmp_path / "1", limits, BlockCache(1 << 20))
    bench.changelog.changes = {1: [change(number, number) for number in range(50)]}
    bench.changelog.anew = 4
    bench.memories.own({1})
    async with asyncio.timeout(3 * WITHIN_S):
        while bench.memories.status().restoring:
            bench.found(1, 3)
            await asyncio.sleep(0.001)
    assert not bench.memories.crashed
    assert bench.found(1, 3)


async def test_stores_in_which_nothing_stands_any_more_are_removed_and_what_is_ours_stays(tmp_path: Path):
    hour_ms = 3_600_000
    ages_h = {"1": 169, "2": 169, "3": 167, "1.aside": 25, "4.aside": 23, "notes": 1_000, "5.txt": 1_000}
    for name, age_h in ages_h.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "CURRENT").touch()
        for place in (tmp_path / name / "CURRENT", tmp_path / name):
            os.utime(place, times=((NOW_MS - age_h * hour_ms) / 1_000,) * 2)
    bench = Bench(directory=tmp_path)
    bench.changelog.may_end.clear()
    await bench.memories.start()
    bench.memories.own({2})
    left = {"2", "3", "4.aside", "notes", "5.txt"}
    await eventually(lambda: {place.name for place in tmp_path.iterdir()} == left, within_s=WITHIN_S)
    bench.changelog.may_end.set()
    await bench.memories.stop()


async def test_without_memories_everything_is_usable_and_nothing_is_found(make):
    bench = await make(enabled=False)
    bench.memories.own({1})
    assert bench.memories.is_usable(1)
    assert not bench.found(1, "a")
    bench.remember(1, "a")
    assert bench.done == ["a"]
    assert not bench.opened


async def test_a_bug_while_restoring_stops_the_worker_with_its_reason(make):
    bench = await make()
    bench.changelog.bug = RuntimeError("a bug")
    bench.memories.own({1})
    await eventually(lambda: bench.memories.crash_reason is bench.changelog.bug, within_s=WITHIN_S)


async def test_a_stop_in_the_middle_of_a_restore_closes_all(make):
    bench = await make()
    bench.changelog.may_end.clear()
    bench.memories.own({1, 2, 3})
    await eventually(lambda: bench.changelog.read, within_s=WITHIN_S)
    async with asyncio.timeout(WITHIN_S):
        await bench.memories.stop()
    assert bench.memories.status().partitions == 0
