"""The port `PartitionMemory`, held to its word by both implementations: in process, and on RocksDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from memos import DAY_MS, HOUR_MS, LIMITS, NOW_MS, change, digest, memo, placed, tombstone

from schemas.wire import encode
from streams.ports import PartitionMemory, Placed
from streams.recalling import MemoryMemory
from streams.remembered import RocksMemory
from streams.rocks import BlockCache


@pytest.fixture(params=["process", "rocks"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], PartitionMemory]]:
    made: list[PartitionMemory] = []

    def open_one() -> PartitionMemory:
        if request.param == "process":
            one: PartitionMemory = MemoryMemory(LIMITS)
        else:
            one = RocksMemory(tmp_path / str(len(made)), LIMITS, BlockCache(1 << 20))
        made.append(one)
        return one

    yield open_one
    for one in made:
        one.close()


@pytest.fixture
def memory(opened: Callable[[], PartitionMemory]) -> PartitionMemory:
    return opened()


def test_what_is_remembered_is_found_and_what_is_not_is_missed(memory):
    memory.remember([placed("a")], 0)
    assert memory.look_up([digest("a")], NOW_MS) == memo("a")
    assert memory.look_up([digest("b")], NOW_MS) is None
    stats = memory.stats()
    assert (stats.entries, stats.hits_memory, stats.misses) == (1, 1, 1)


def test_the_first_question_that_has_an_answer_gives_it(memory):
    memory.remember([placed("b")], 0)
    memory.remember([placed("c")], 1)
    found = memory.look_up([digest("a"), digest("c"), digest("b")], NOW_MS)
    assert found == memo("c")
    assert memory.look_up([], NOW_MS) is None


def test_the_memo_written_last_answers(memory):
    memory.remember([placed("a")], 0)
    memory.remember([placed("a", action="block")], 1)
    assert memory.look_up([digest("a")], NOW_MS) == memo("a", action="block")


def test_an_answer_ends_in_the_very_millisecond_that_its_memo_says(memory):
    one = memo("a", expires_at_ms=NOW_MS + 1_000)
    memory.remember([Placed(one, encode(one))], 0)
    assert memory.look_up([digest("a")], NOW_MS + 999) == one
    assert memory.look_up([digest("a")], NOW_MS + 1_000) is None
    assert memory.stats().expired == 1


def test_no_answer_is_older_than_the_limit_whatever_its_memo_says(memory):
    memory.remember([placed("a", expires_at_ms=NOW_MS + 100 * DAY_MS)], 0)
    assert memory.look_up([digest("a")], NOW_MS + LIMITS.ttl_ms - 1) is not None
    assert memory.look_up([digest("a")], NOW_MS + LIMITS.ttl_ms) is None


def test_another_limit_holds_at_once(memory):
    memory.remember([placed("a")], 0)
    memory.bound(LIMITS._replace(ttl_ms=HOUR_MS))
    assert memory.look_up([digest("a")], NOW_MS + HOUR_MS) is None


def test_what_an_order_refuses_answers_nothing_also_if_it_comes_in_later(memory):
    memory.remember([placed("a")], 0)
    memory.obey(lambda one: one.judged_at_ms < NOW_MS)
    assert memory.look_up([digest("a")], NOW_MS) == memo("a")
    memory.obey(lambda one: one.judged_at_ms <= NOW_MS)
    assert memory.look_up([digest("a")], NOW_MS) is None
    memory.remember([placed("b")], 1)
    memory.remember([placed("c", judged_at_ms=NOW_MS + 1)], 2)
    assert memory.look_up([digest("b")], NOW_MS) is None
    assert memory.look_up([digest("c")], NOW_MS) is not None


def test_a_memo_that_is_refused_does_not_hide_the_answer_to_the_next_question(memory):
    memory.remember([placed("a")], 0)
    memory.remember([placed("b", judged_at_ms=NOW_MS + 1)], 1)
    memory.obey(lambda one: one.judged_at_ms <= NOW_MS)
    assert memory.look_up([digest("a"), digest("b")], NOW_MS) is not None


def test_a_new_memory_knows_no_offset_and_one_that_was_restored_does(memory):
    assert memory.next_offset is None
    memory.restored(7)
    assert memory.next_offset == 7
    memory.remember([placed("a")], 9)
    assert memory.next_offset == 10


def test_until_it_is_restored_what_is_remembered_does_not_move_the_offset(memory):
    memory.restore([change("a", 3)])
    assert memory.next_offset == 4
    memory.remember([placed("z")], 90)
    assert memory.next_offset == 4
    memory.restore([change("b", 5)])
    memory.restored(91)
    assert memory.next_offset == 91
    assert [memory.look_up([digest(name)], NOW_MS) is not None for name in "abz"] == [True] * 3


def test_the_highest_offset_counts_whoever_wrote_in_between(memory):
    memory.restored(10)
    memory.remember([placed("a")], 15)
    memory.remember([placed("b")], 12)
    assert memory.next_offset == 16


def test_a_restore_takes_changes_in_their_order(memory):
    memory.restore([change("a", 0), change("b", 1), tombstone("a", 2), change("b", 3, action="block")])
    memory.restored(4)
    assert memory.look_up([digest("a")], NOW_MS) is None
    assert memory.look_up([digest("b")], NOW_MS) == memo("b", action="block")


def test_what_is_restored_never_takes_the_place_of_what_was_remembered_since(memory):
    """A partition that is asked while it is restored: `warm`."""
    memory.remember([placed("a", action="block"), placed("b", action="block")], 1_000)
    memory.remember([placed("refused", action="block")], -1)
    memory.restore([change("a", 400), tombstone("b", 401), change("refused", 402), change("c", 403)])
    memory.restored(1_000)
    for name in ("a", "b", "refused"):
        assert memory.look_up([digest(name)], NOW_MS) == memo(name, action="block")
    assert memory.look_up([digest("c")], NOW_MS) is not None


def test_what_is_restored_and_is_newer_takes_the_place_of_what_was_remembered(memory):
    memory.remember([placed("a")], 400)
    memory.restore([change("a", 400), change("a", 500, action="block")])
    memory.restored(501)
    memory.remember([placed(number) for number in range(LIMITS.entries_max)], 600)
    found = memory.look_up([digest("a")], NOW_MS)
    assert found is None or found.action == "block", "it may have left the process, and is on disk"


def test_it_says_whose_it_is_until_it_is_begun_anew(memory):
    assert memory.source is None
    memory.belong_to("memory 1")
    memory.restored(7)
    assert memory.source == "memory 1"
    memory.clear()
    assert memory.source is None


def test_what_was_always_written_has_nothing_to_recover_from(memory):
    memory.restored(0)
    memory.remember([placed("a")], 0)
    memory.recover()
    assert not memory.stats().read_only
    assert (memory.next_offset, memory.stats().entries) == (1, 1)


def test_records_that_are_no_memos_are_passed_by(memory):
    odd = [
        change("a", 0)._replace(value=b"no memo"),
        change("b", 1)._replace(key=b"no digest"),
        change("c", 2)._replace(key=b""),
        change("d", 3)._replace(key=digest("e").encode()),
        change("f", 4)._replace(value=b'{"v":2}'),
        change("g", 5),
    ]
    memory.restore(odd)
    memory.restored(6)
    assert memory.look_up([digest("g")], NOW_MS) == memo("g")
    assert [memory.look_up([digest(name)], NOW_MS) for name in "abcdef"] == [None] * 6
    assert memory.look_up(["no digest"], NOW_MS) is None


def test_cleared_it_knows_nothing(memory):
    memory.restored(5)
    memory.remember([placed("a")], 5)
    memory.clear()
    assert memory.next_offset is None
    assert memory.look_up([digest("a")], NOW_MS) is None
    memory.remember([placed("b")], 6)
    assert memory.next_offset is None, "it must be restored anew"


def test_it_shows_its_state(memory):
    memory.remember([placed("a")], 0)
    assert "1 of at most" in repr(memory)
