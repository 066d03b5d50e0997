"""The last N of several partitions are the last by time, in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from infra.clients import Found
from infra.following import latest

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
