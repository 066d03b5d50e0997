"""Durations in buckets: nothing is lost, sums add up, and a quantile lies in the bucket of the true one."""

from __future__ import annotations

import math
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.histogram import BOUNDS_MS, Histogram, HistogramSnapshot, total

durations = st.lists(st.floats(0, 1e9, allow_nan=False), min_size=1, max_size=200)


def filled(values) -> HistogramSnapshot:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    return histogram.snapshot()


@given(durations)
def test_everything_observed_is_counted_once(values):
    seen = filled(values)

    assert seen.count == len(values)
    assert seen.cumulative()[-1] == len(values)
    assert seen.sum_ms == pytest.approx(sum(values))


@given(durations)
def test_the_cumulative_counts_are_those_at_most_as_long(values):
    seen = filled(values)

    for bound, count in zip(BOUNDS_MS, seen.cumulative(), strict=False):
        assert count == sum(value <= bound for value in values)


@given(durations, st.floats(0.0, 1.0))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values, q):
    true = sorted(values)[max(0, math.ceil(q * len(values)) - 1)]
    estimate = filled(values).quantile(q)
    bucket = bisect_left(BOUNDS_MS, true)

    assert (0.0 if bucket == 0 else BOUNDS_MS[min(bucket, len(BOUNDS_MS)) - 1]) <= estimate
    assert estimate <= BOUNDS_MS[min(bucket, len(BOUNDS_MS) - 1)]


@given(durations, durations)
def test_two_workers_together_are_as_one_that_saw_all(mine, theirs):
    both, one = filled(mine).plus(filled(theirs)), filled(mine + theirs)

    assert both.counts == one.counts
    assert both.sum_ms == pytest.approx(one.sum_ms)
    assert total([filled(mine), filled(theirs)]).counts == one.counts


def test_a_quantile_is_linear_within_its_bucket():
    seen = filled([60.0] * 100)

    assert seen.quantile(0.5) == pytest.approx(75.0)
    assert seen.quantile(1.0) == 100.0


def test_nothing_observed_took_no_time():
    assert HistogramSnapshot().quantile(0.95) == 0.0
    assert repr(Histogram()) == "<Histogram 0 seen, p50 0 ms, p95 0 ms>"


def test_what_clocks_say_took_less_than_nothing_took_nothing():
    seen = filled([-5.0, float("nan")])

    assert seen.counts[0] == 2
    assert seen.sum_ms == 0.0


def test_what_lies_beyond_the_last_bound_is_counted_at_it():
    seen = filled([1e12])

    assert seen.counts[-1] == 1
    assert seen.quantile(0.5) == BOUNDS_MS[-1]


def test_a_release_with_fewer_buckets_can_be_added():
    older = HistogramSnapshot(counts=(1, 2), sum_ms=3.0)

    assert older.plus(filled([0.5])).counts[:2] == (2, 2)
