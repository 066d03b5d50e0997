"""Pressure: who is held at which bound, and that what is urgent never waits for what is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.pressure import Bounds, Load, held

BOUNDS = Bounds(
    partition_records_max=100, partition_bytes_max=4_000, total_records_max=1_000, total_bytes_max=10_000
)


def load(partition: str, urgency: int, records: int = 0, size_bytes: int = 0) -> Load[str]:
    return Load(partition, urgency, records, size_bytes)


def four(records: int = 0, size_bytes: int = 0) -> list[Load[str]]:
    """One partition of each urgency; that of urgency 1 holds what is unsettled."""
    busy = [load("busy", 1, records, size_bytes)] if records or size_bytes else []
    return [*busy, load("critical", 0), load("high", 1), load("medium", 2), load("low", 3)]


def is_full(one: Load[str]) -> bool:
    return one.records >= BOUNDS.partition_records_max or one.size_bytes >= BOUNDS.partition_bytes_max


loads = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 150), st.integers(0, 5_000)), max_size=40).map(
    lambda many: [load(str(at), *figures) for at, figures in enumerate(many)]
)


def test_nobody_is_held_without_load():
    assert held(four(), BOUNDS) == set()


def test_a_partition_is_held_at_its_own_bound_and_not_before():
    assert held([load("a", 0, 99), load("b", 0, 100)], BOUNDS) == {"b"}


def test_a_partition_is_held_at_its_own_bytes_too_however_urgent():
    many = [load("a", 0, 1, 3_999), load("b", 0, 1, 4_000), load("c", 3, 1, 4_000)]
    assert held(many, BOUNDS) == {"b", "c"}


def test_without_pressure_nobody_gives_way_whatever_its_urgency():
    assert held([load("least", 4), load("of all", 1_000)], BOUNDS) == set()
    assert held([load("least", 4), *four(records=99, size_bytes=5_000)], BOUNDS) >= {"least"}


def test_from_half_of_the_total_on_the_two_least_urgent_are_held():
    many = [load(str(at), 1, 50) for at in range(10)]
    assert held([*many, *four()], BOUNDS) == {"medium", "low"}
    assert held([*many[:-1], *four(records=49)], BOUNDS) == set()


def test_at_the_total_everything_but_the_most_urgent_is_held():
    many = [load(str(at), 1, 50) for at in range(20)]
    assert held([*many, *four()], BOUNDS) == {str(at) for at in range(20)} | {"high", "medium", "low"}


def test_bytes_count_as_records_do():
    many = [load(str(at), 1, 1, 2_500) for at in range(4)]
    assert held([*many[:2], *four()], BOUNDS) == {"medium", "low"}
    assert held([*many, *four()], BOUNDS) == {*"0123", "high", "medium", "low"}


def test_a_backlog_of_urgent_records_holds_nobody_else():
    many = [load(str(at), 0, 99, 90) for at in range(50)]
    assert held([*many, *four()], BOUNDS) == set()


def test_urgent_records_are_bounded_by_their_bytes_too():
    many = [load(str(at), 0, 1, 1_000) for at in range(10)]
    assert held(many[1:], BOUNDS) == set()
    assert held([*many, *four()], BOUNDS) == {str(at) for at in range(10)} | {"critical"}


def test_of_no_partitions_none_is_held():
    assert held([], BOUNDS) == set()


@given(loads)
def test_the_most_urgent_are_held_by_their_own_bound_only(many):
    critical = [one for one in many if one.urgency == 0]
    assert held(many, BOUNDS) & {one.partition for one in critical} == held(critical, BOUNDS)


@given(loads)
def test_who_is_held_beyond_its_own_bound_is_held_with_everybody_less_urgent(many):
    out = held(many, BOUNDS)
    given_way = [one.urgency for one in many if one.urgency and one.partition in out and not is_full(one)]
    if given_way:
        assert {one.partition for one in many if one.urgency >= min(given_way)} <= out


@given(loads, st.integers(0, 39), st.integers(1, 500))
def test_more_load_never_releases_anybody(many, at, more):
    before = held(many, BOUNDS)
    heavier = [
        load(one.partition, one.urgency, one.records + more, one.size_bytes + more) if index == at else one
        for index, one in enumerate(many)
    ]
    assert before <= held(heavier, BOUNDS)


@given(loads)
def test_who_is_asked_for_more_is_below_its_own_bounds(many):
    out = held(many, BOUNDS)
    assert {one.partition for one in many if is_full(one)} <= out


@given(loads)
def test_below_half_of_the_totals_only_the_full_are_held(many):
    light = [load(one.partition, one.urgency, one.records % 12, one.size_bytes % 120) for one in many]
    full = load("full", 0, 1, BOUNDS.partition_bytes_max)
    assert held([*light, full], BOUNDS) == {"full"}


@given(loads)
def test_what_may_be_fetched_is_bounded(many):
    """Whatever comes in, of the less urgent no more is asked for than the totals allow."""
    out = held(many, BOUNDS)
    if any(one.urgency > 0 and one.partition not in out for one in many):
        others = [one for one in many if one.urgency > 0]
        assert sum(one.records for one in others) < BOUNDS.total_records_max
        assert sum(one.size_bytes for one in others) < BOUNDS.total_bytes_max
