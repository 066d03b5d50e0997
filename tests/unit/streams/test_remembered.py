"""A memory on disk: what a restart keeps, what bounds it, and what becomes of broken files and full disks."""

from __future__ import annotations

import logging
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from deadline import until
from memos import DAY_MS, LIMITS, NOW_MS, change, digest, placed, tombstone

from streams.clock import ManualClock
from streams.ports import MemoryLimits
from streams.remembered import RETRY_MS, RocksMemory
from streams.rocks import BlockCache

Open = Callable[..., RocksMemory]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall_ms=NOW_MS)


@pytest.fixture
def opened(tmp_path: Path, clock: ManualClock) -> Iterator[Open]:
    made: list[RocksMemory] = []

    def open_one(directory: str = "3", limits: MemoryLimits = LIMITS) -> RocksMemory:
        made.append(RocksMemory(tmp_path / directory, limits, BlockCache(1 << 20), clock))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


def found(memory: RocksMemory, *names: object) -> list[bool]:
    return [memory.look_up([digest(name)], NOW_MS) is not None for name in names]


def test_a_restart_forgets_nothing_and_reads_the_changelog_from_where_it_was(opened: Open):
    before = opened()
    before.restored(0)
    for number in range(500):
        before.remember([placed(number)], number)
    before.close()
    after = opened()
    assert after.next_offset == 500
    assert all(found(after, *range(500)))
    assert after.stats().entries == 500
    assert after.stats().hits_disk == 500


def test_a_hit_on_disk_is_one_in_process_the_next_time(opened: Open):
    before = opened()
    before.remember([placed("a")], 0)
    before.close()
    after = opened()
    assert found(after, "a", "a") == [True, True]
    assert (after.stats().hits_disk, after.stats().hits_memory) == (1, 1)


def test_what_no_longer_fits_in_process_is_found_on_disk(opened: Open):
    memory = opened(limits=LIMITS._replace(entries_max=2))
    for number in range(10):
        memory.remember([placed(number)], number)
    assert found(memory, 9, 0) == [True, True]
    assert (memory.stats().hits_memory, memory.stats().hits_disk) == (1, 1)
    assert memory.stats().evicted == 0, "nothing was lost"


def test_what_is_forgotten_stays_so_after_a_restart(opened: Open):
    before = opened()
    before.restore([change("a", 0), tombstone("a", 1)])
    before.restored(2)
    before.close()
    assert found(opened(), "a") == [False]


def test_the_oldest_answers_make_room_and_the_newest_stay(opened: Open):
    """Memos of some 10 KB, told by their reasons; 1 MiB takes a hundred of them."""
    limits = LIMITS._replace(entries_max=1, bytes_max=1 << 20)
    memory = opened(limits=limits)
    reasons = 300
    for number in range(4_000):
        noise = tuple(digest(f"{number}/{at}") for at in range(reasons))
        memory.remember([placed(number, reasons=noise)], number)
    memory._state.store.flush()  # noqa: SLF001 - what is still in memory is not bounded by the size on disk
    until(lambda: memory.stats().bytes <= 2 << 20, within_s=20)
    assert found(memory, 3_999) == [True]
    assert found(memory, 0) == [False]
    stats = memory.stats()
    assert stats.entries < 1_000
    assert stats.evicted == 4_000 - stats.entries


def test_a_corrupt_store_is_moved_aside_and_said_so(opened: Open, tmp_path: Path, caplog):
    before = opened()
    before.restored(0)
    before.remember([placed("a")], 0)
    before.close()
    for manifest in (tmp_path / "3").glob("MANIFEST*"):
        manifest.write_bytes(b"no manifest")
    with caplog.at_level(logging.WARNING):
        after = opened()
    assert after.next_offset is None, "all of the changelog is read again"
    assert found(after, "a") == [False]
    after.restore([change("a", 0)])
    assert found(after, "a") == [True]
    assert (tmp_path / "3.aside" / "CURRENT").exists()
    [line] = caplog.messages
    assert "moved to 3.aside and is filled anew: corrupt" in line


HOLDER = """
import sys, rocksdict
store = rocksdict.Rdict(sys.argv[1], rocksdict.Options(raw_mode=True))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_store_that_another_process_holds_is_moved_aside(opened: Open, tmp_path: Path, caplog):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "3")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with caplog.at_level(logging.WARNING):
            after = opened()
        after.remember([placed("b")], 1)
        assert found(after, "a", "b") == [False, True]
        holder.stdin.close()
    [line] = caplog.messages
    assert "locked" in line


def test_a_file_that_turns_out_corrupt_is_a_miss_and_the_next_start_fills_the_store_anew(
    opened: Open, tmp_path: Path, caplog
):
    before = opened()
    before.restored(0)
    for number in range(2_000):
        before.remember([placed(number)], number)
    before._state.store.flush()  # noqa: SLF001 - so that there is a file to damage
    before.close()
    for table in (tmp_path / "3").glob("*.sst"):
        data = bytearray(table.read_bytes())
        data[: len(data) // 2] = bytes(len(data) // 2)
        table.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        damaged = opened()
        assert not all(found(damaged, *range(2_000)))
        damaged.close()
        assert len(caplog.messages) == 1, "said once"
        assert opened().next_offset is None


@contextmanager
def no_file_longer_than(size_bytes: int) -> Iterator[None]:
    """A disk that takes nothing more: as far as a process can be told so without being root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_takes_nothing_turns_it_read_only_until_there_is_room(opened: Open, clock, caplog):
    memory = opened(limits=LIMITS._replace(entries_max=1))
    memory.restored(0)
    memory.remember([placed("before")], 0)
    with caplog.at_level(logging.WARNING):
        with no_file_longer_than(4_096):
            for number in range(100):
                memory.remember([placed(number)], 1 + number)
            assert memory.stats().read_only
            assert found(memory, "before", 99) == [True, False], "what there was still answers"
        memory.remember([placed("too soon")], 200)
        assert memory.stats().read_only
        clock.advance(RETRY_MS)
        memory.remember([placed("after")], 201)
    assert not memory.stats().read_only
    assert found(memory, "before", "after") == [True, True]
    read_only, again = caplog.messages
    assert "read-only" in read_only
    assert "can be written again" in again
    gap_from = memory.next_offset
    assert gap_from < 101, "what was not written is read again at the next start"
    memory.close()
    assert opened().next_offset == gap_from


def missing(memory: RocksMemory, count: int) -> list[int]:
    return [number for number, is_found in enumerate(found(memory, *range(count))) if not is_found]


def test_a_disk_that_is_full_at_the_end_of_a_restore_has_the_next_start_read_it_again(opened: Open, clock):
    memory = opened(limits=LIMITS._replace(entries_max=1))
    for first in range(0, 2_000, 500):
        memory.restore([change(number, number) for number in range(first, first + 500)])
    with no_file_longer_than(4_096):
        memory.restored(2_000)
        assert memory.stats().read_only
    clock.advance(RETRY_MS)
    memory.remember([placed("x")], 2_000)
    assert not memory.stats().read_only
    assert memory.next_offset is None
    memory.close()
    after = opened()
    assert after.next_offset is None, "all of it is read again"
    assert found(after, "x") == [True]
    assert missing(after, 2_000), "or this test shows nothing"


def test_a_disk_that_is_full_in_the_middle_of_a_restore_leaves_nothing_out_below_the_offset(
    opened: Open, clock
):
    before = opened()
    before.restore([change(0, 0)])
    before.restored(1)
    before.close()
    memory = opened(limits=LIMITS._replace(entries_max=1))
    noise = tuple(digest(at) for at in range(300))
    count = 4_000
    with no_file_longer_than(4_096):
        for first in range(1, count, 100):
            memory.restore([change(number, number, reasons=noise) for number in range(first, first + 100)])
        assert memory.stats().read_only, "what is restored does not fit in memory"
    clock.advance(RETRY_MS)
    memory.remember([placed("x")], count)
    assert not memory.stats().read_only
    memory.restore([change("late", count + 1)])
    memory.restored(count + 2)
    assert memory.next_offset == 1
    memory.close()
    after = opened()
    assert after.next_offset == 1
    assert missing(after, count)
    assert found(after, 0, "x", "late") == [True, True, True]


def damage(directory: Path) -> None:
    """Make all that RocksDB wrote to files unreadable."""
    tables = list(directory.glob("*.sst"))
    assert tables
    for table in tables:
        data = bytearray(table.read_bytes())
        data[:20] = bytes(20)
        table.write_bytes(data)


def test_a_corrupt_file_of_the_offset_is_moved_aside_like_any_other(opened: Open, tmp_path: Path, caplog):
    before = opened()
    before.restored(0)
    before.remember([placed("a")], 0)
    before.close()
    opened().close()  # A restart makes files of the log.
    damage(tmp_path / "3")
    with caplog.at_level(logging.WARNING):
        after = opened()
    assert after.next_offset is None
    after.restore([change("a", 0)])
    after.restored(1)
    after.close()
    assert opened().next_offset == 1
    [line] = caplog.messages
    assert "moved to 3.aside and is filled anew: corrupt" in line


def test_a_store_that_was_begun_anew_says_again_that_it_is_corrupt(opened: Open, tmp_path: Path, caplog):
    memory = opened(limits=LIMITS._replace(entries_max=1))
    for turn in range(2):
        memory.restore([change(number, number) for number in range(2_000)])
        memory.restored(2_000)
        damage(tmp_path / "3")
        with caplog.at_level(logging.WARNING):
            assert missing(memory, 2_000)
        assert len(caplog.messages) == turn + 1
        memory.clear()


def test_a_closed_memory_has_no_answers_and_no_faults(opened: Open):
    memory = opened()
    memory.remember([placed("a")], 0)
    memory.close()
    assert found(memory, "b") == [False]
    memory.remember([placed("b")], 1)
    assert memory.stats().bytes == 0
    assert "read-only" in repr(memory)


def test_a_directory_that_cannot_be_made_leaves_the_memory_in_process(opened: Open, tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    memory = opened("file/3")
    memory.restored(0)
    memory.remember([placed("a")], 0)
    assert found(memory, "a", "b") == [True, False]
    assert memory.stats().read_only
    assert memory.next_offset is None


def test_other_limits_hold_without_a_restart(opened: Open):
    memory = opened()
    for number in range(10):
        memory.remember([placed(number)], number)
    memory.bound(LIMITS._replace(entries_max=1, ttl_ms=DAY_MS // 2))
    assert found(memory, 0) == [True]
    assert memory.stats().hits_disk == 1
    assert memory.look_up([digest(0)], NOW_MS + DAY_MS // 2) is None
