"""A memory on disk: what a restart keeps, what bounds it, and what becomes of broken files and full disks."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from deadline import until
from memos import DAY_MS, LIMITS, NOW_MS, change, digest, placed, tombstone

from streams.ports import MemoryLimits
from streams.remembered import RocksMemory
from streams.rocks import BlockCache, StoreFault

Open = Callable[..., RocksMemory]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    made: list[RocksMemory] = []

    def open_one(directory: str = "3", limits: MemoryLimits = LIMITS) -> RocksMemory:
        made.append(RocksMemory(tmp_path / directory, limits, BlockCache(1 << 20)))
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


@contextmanager
def held(directory: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLDER, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.stdin.close()


def test_a_store_that_a_living_process_holds_is_left_to_it_and_used_once_it_is_free(
    opened: Open, tmp_path: Path, caplog
):
    before = opened()
    before.restored(0)
    before.remember([placed("before")], 0)
    before.close()
    with held(tmp_path / "3"), caplog.at_level(logging.WARNING):
        memory = opened()
        memory.restored(1)
        memory.remember([placed("a")], 1)
        memory.recover()
        assert found(memory, "a", "before") == [True, False]
        assert memory.stats().read_only
        memory.clear()
        assert [place.name for place in tmp_path.iterdir()] == ["3"], "moved by nobody"
        assert (tmp_path / "3" / "CURRENT").exists()
    memory.close()
    [line] = caplog.messages
    assert "left alone" in line
    assert "locked" in line
    after = opened()
    assert found(after, "before") == [True]


def test_a_marked_store_is_moved_aside_only_once_nobody_holds_it(opened: Open, tmp_path: Path):
    before = opened()
    before.restored(0)
    before.remember([placed("before")], 0)
    before.close()
    (tmp_path / "3" / "corrupt").touch()
    with held(tmp_path / "3"):
        memory = opened()
        assert memory.stats().read_only
        assert not (tmp_path / "3.aside").exists()
        memory.close()
    assert opened().next_offset is None
    assert (tmp_path / "3.aside").exists()


def test_a_store_is_written_again_once_its_holder_is_gone(opened: Open, tmp_path: Path):
    opened().close()
    with held(tmp_path / "3"):
        memory = opened()
        memory.belong_to("memory 1")
        memory.restored(7)
    memory.recover()
    assert not memory.stats().read_only
    memory.remember([placed("a")], 7)
    memory.close()
    after = opened(limits=LIMITS._replace(entries_max=0))
    assert found(after, "a") == [True]
    assert after.source == "memory 1"
    assert after.next_offset is None, "what was missed is read at the next start"


def lose_manifest(directory: Path) -> None:
    for manifest in directory.glob("MANIFEST*"):
        manifest.unlink()


def damage_current(directory: Path) -> None:
    """One bit of the number: it names a manifest that is not there."""
    current = directory / "CURRENT"
    data = bytearray(current.read_bytes())
    data[12] ^= 1
    current.write_bytes(data)


@pytest.mark.parametrize("harm", [lose_manifest, damage_current])
def test_a_store_whose_manifest_cannot_be_found_is_filled_anew(opened: Open, tmp_path: Path, caplog, harm):
    before = opened()
    before.restored(0)
    before.remember([placed("a")], 0)
    before.close()
    harm(tmp_path / "3")
    with caplog.at_level(logging.WARNING):
        after = opened()
    assert after.next_offset is None
    after.restore([change("a", 0)])
    after.restored(1)
    after.close()
    assert found(opened(), "a") == [True]
    [line] = caplog.messages
    assert "moved to 3.aside and is filled anew: corrupt: a file is missing" in line


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


def test_a_disk_that_takes_nothing_turns_it_read_only_until_there_is_room(opened: Open, caplog):
    memory = opened(limits=LIMITS._replace(entries_max=1))
    memory.restored(0)
    memory.remember([placed("before")], 0)
    with caplog.at_level(logging.WARNING):
        with no_file_longer_than(4_096):
            for number in range(100):
                memory.remember([placed(number)], 1 + number)
            assert memory.stats().read_only
            assert found(memory, "before", 99) == [True, False], "what there was still answers"
            memory.recover()
            assert memory.stats().read_only
            assert found(memory, "before", 99) == [True, False], "also where it was tried again in vain"
        memory.remember([placed("too soon")], 200)
        assert memory.stats().read_only
        memory.recover()
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


@pytest.mark.parametrize("place", ["plain/3", "block-volume/3"])
def test_a_disk_that_is_full_at_the_start_keeps_all_answers_and_is_written_again_later(
    opened: Open, tmp_path: Path, caplog, place
):
    before = opened(place)
    before.restored(0)
    for number in range(500):
        before.remember([placed(number)], number)
    before.close()
    with caplog.at_level(logging.WARNING):
        with no_file_longer_than(64):
            memory = opened(place)
            memory.remember([placed("lost")], 500)
            memory.recover()
        assert memory.next_offset == 500
        assert all(found(memory, *range(500)))
        assert memory.stats().read_only
        assert "to be read" in repr(memory)
        [line] = caplog.messages
        assert "is read-only" in line
        memory.recover()
    memory.remember([placed("after")], 501)
    memory.close()
    after = opened(place)
    assert all(found(after, "after", *range(500)))
    assert after.next_offset == 500, "what was not written is read again"
    assert [one.name for one in (tmp_path / place).parent.iterdir()] == ["3"], "nothing was moved"


def test_a_disk_so_full_that_nothing_can_even_be_opened_loses_nothing(opened: Open, tmp_path: Path):
    before = opened()
    before.restored(0)
    before.remember([placed("a")], 0)
    before.close()
    with no_file_longer_than(10):
        memory = opened()
        assert memory.stats().read_only
        memory.recover()
    memory.recover()
    assert found(memory, "a") == [True]
    assert memory.next_offset == 1
    assert [one.name for one in tmp_path.iterdir()] == ["3"], "nothing was moved"


def test_a_store_that_cannot_be_opened_again_is_read_at_least(opened: Open, tmp_path: Path):
    """A probe that passes, and a disk that takes nothing after all."""
    memory = opened(limits=LIMITS._replace(entries_max=1))
    memory.restored(0)
    for number in range(50):
        memory.remember([placed(number)], number)
    with no_file_longer_than(4_096):
        memory.remember([placed("lost", reasons=("x" * 5_000,))], 50)
        assert memory.stats().read_only
    store = tmp_path / "3"
    aside = tmp_path / "LOCK"
    (store / "LOCK").rename(aside)
    (store / "LOCK").mkdir()
    memory.recover()
    assert memory.stats().read_only
    assert all(found(memory, *range(50)))
    (store / "LOCK").rmdir()
    memory.recover()
    assert not memory.stats().read_only
    assert all(found(memory, *range(50)))


def test_where_nobody_may_enter_answers_are_kept_in_process_and_that_is_said_once(tmp_path: Path):
    """In a process of its own, which is nobody: root may enter anywhere."""
    if os.getuid():
        pytest.skip("only root can become somebody else")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    told = subprocess.run(
        [sys.executable, "-P", "-c", NOBODY, str(closed / "3")],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert told.stdout == "True True\n"
    assert told.stderr.count("is read-only") == 1
    assert "Permission denied" in told.stderr


NOBODY = """
import os, sys
from pathlib import Path
from memos import LIMITS, NOW_MS, digest, placed
from streams.remembered import RocksMemory
from streams.rocks import BlockCache, StoreFault
os.setgid(65534); os.setuid(65534)
memory = RocksMemory(Path(sys.argv[1]), LIMITS, BlockCache(1 << 20))
memory.restored(0)
memory.remember([placed("a")], 0)
memory.recover()
print(memory.look_up([digest("a")], NOW_MS) is not None, memory.stats().read_only)
"""


def test_a_long_log_is_written_into_files_before_the_interpreter_is_held(opened: Open, tmp_path: Path):
    """By what RocksDB noted down, since a span would be of the machine: nothing of it was left to read."""
    limits = LIMITS._replace(entries_max=1)
    memory = opened(limits=limits)
    memory.restored(0)
    noise = tuple(digest(at) for at in range(300))
    for number in range(400):
        memory.remember([placed(number, reasons=noise)], number)
    left = tmp_path / "4"
    shutil.copytree(tmp_path / "3", left)
    logs = sum(log.stat().st_size for log in left.glob("*.log"))
    assert logs > 2 << 20, "or there is nothing to shorten"
    after = opened("4", limits=limits)
    assert after.next_offset == 400
    assert all(found(after, *range(400)))
    assert "table_file_creation" not in (left / "LOG").read_text()


def missing(memory: RocksMemory, count: int) -> list[int]:
    return [number for number, is_found in enumerate(found(memory, *range(count))) if not is_found]


def test_a_disk_that_is_full_at_the_end_of_a_restore_has_the_next_start_read_it_again(opened: Open):
    memory = opened(limits=LIMITS._replace(entries_max=1))
    for first in range(0, 2_000, 500):
        memory.restore([change(number, number) for number in range(first, first + 500)])
    with no_file_longer_than(4_096):
        memory.restored(2_000)
        assert memory.stats().read_only
    memory.recover()
    memory.remember([placed("x")], 2_000)
    assert not memory.stats().read_only
    assert memory.next_offset is None
    memory.close()
    after = opened()
    assert after.next_offset is None, "all of it is read again"
    assert found(after, "x") == [True]
    assert missing(after, 2_000), "or this test shows nothing"


def test_a_disk_that_is_full_in_the_middle_of_a_restore_leaves_nothing_out_below_the_offset(opened: Open):
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
    memory.recover()
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


def test_what_a_merge_finds_corrupt_has_the_next_start_fill_the_store_anew(
    opened: Open, tmp_path: Path, caplog
):
    """Nobody asks for what is damaged; RocksDB reads it in the background."""
    before = opened()
    before.restored(0)
    for number in range(2_000):
        before.remember([placed(number)], number)
    before.close()
    largest = max((tmp_path / "3").glob("*.sst"), key=lambda table: table.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 64] = bytes(64)
    largest.write_bytes(data)
    memory = opened()
    count = 2_000
    with caplog.at_level(logging.WARNING):
        while not memory.stats().read_only:
            assert count < 10_000
            for _ in range(500):
                memory.remember([placed(count)], count)
                count += 1
            with suppress(StoreFault):
                memory._state.store.flush()  # noqa: SLF001 - so that there are files to merge
        memory.recover()
    assert memory.stats().read_only, "the next merge would only fail again"
    assert len(caplog.messages) == 2
    memory.close()
    assert opened().next_offset is None
    assert (tmp_path / "3.aside").exists()


def test_a_store_says_whose_it_is_and_another_one_is_emptied_before_it_is_written_again(
    opened: Open, tmp_path: Path
):
    before = opened()
    before.belong_to("memory 1")
    before.restored(0)
    before.remember([placed("a")], 0)
    before.close()
    assert opened("4").source is None
    with no_file_longer_than(64):
        memory = opened()
        assert memory.source == "memory 1"
        memory.clear()
        memory.belong_to("memory 2")
        memory.restored(3)
        assert found(memory, "a") == [False]
    memory.recover()
    memory.remember([placed("b")], 3)
    assert not memory.stats().read_only
    memory.close()
    after = opened()
    assert after.source == "memory 2"
    assert after.next_offset is None
    assert found(after, "a", "b") == [False, True]


def test_a_store_that_was_moved_aside_does_not_hand_down_whose_it_was(opened: Open, tmp_path: Path):
    before = opened()
    before.belong_to("memory 1")
    before.restored(5)
    before.close()
    (tmp_path / "3" / "corrupt").touch()
    after = opened()
    assert (after.source, after.next_offset) == (None, None)
    after.belong_to("memory 1")
    after.close()
    assert opened().source == "memory 1"


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
