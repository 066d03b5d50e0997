"""What stood in several partitions is given in the order of time; the last N are the last by time."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from infra.clients import Found
from infra.following import in_order, latest

FOUND = st.builds(
    Found,
    topic=st.just("verdicts"),
    partition=st.integers(0, 3),
    offset=st.integers(0, 50),
    timestamp_ms=st.integers(0, 20),
    key=st.none(),
    value=st.none(),
)


@given(st.lists(FOUND), st.integers(1, 10))
def test_the_last_ones_are_given_oldest_first(records: list[Found], count: int) -> None:
    given_back = latest(iter(records), count)
    times = [found.timestamp_ms for found in given_back]
    assert len(given_back) == min(count, len(records))
    assert times == sorted(found.timestamp_ms for found in records)[-count:]


@given(st.lists(FOUND, unique_by=lambda found: (found.partition, found.offset)), st.integers(0, 30))
def test_what_stands_in_several_partitions_is_given_by_time_as_far_as_there_is_room(
    records: list[Found], room: int
) -> None:
    by_time = sorted(
        records, key=lambda found: (found.timestamp_ms, found.topic, found.partition, found.offset)
    )
    assert [*in_order(iter(records))] == by_time
    with_less = [*in_order(iter(records), records_max=room)]
    assert sorted(with_less) == sorted(records)
    assert [*in_order(iter(by_time), records_max=room)] == by_time


def test_no_more_bytes_are_held_than_there_is_room_for() -> None:
    taken: list[int] = []

    def come() -> Iterator[Found]:
        for offset in range(10):
            taken.append(offset)
            yield Found("verdicts", 0, offset, offset, None, b"x" * 100)

    given_back = in_order(come(), bytes_max=250)
    assert next(given_back).offset == 0
    assert len(taken) == 3
