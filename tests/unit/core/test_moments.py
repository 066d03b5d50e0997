"""Moments: what is equal on the wall clock stays equal, and a clock that is set is followed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.moments import PARTED_MS, Moments


@given(st.lists(st.floats(0, 1_000), min_size=2, max_size=20).map(sorted))
def test_the_order_of_timestamps_does_not_depend_on_when_they_are_looked_at(looks_ms):
    moments = Moments()
    at_ms = [moments.at_ms(900, wall_ms=int(1_000 + now), now_ms=now) for now in looks_ms]
    assert len(set(at_ms)) == 1


@given(st.floats(-1e6, 1e6), st.integers(0, 10**6))
def test_a_moment_is_as_far_from_now_on_either_clock(set_by_ms, ago_ms):
    moments = Moments()
    moments.at_ms(0, wall_ms=5_000, now_ms=10.0)
    at_ms = moments.at_ms(6_000 + set_by_ms - ago_ms, wall_ms=6_000 + set_by_ms, now_ms=1_010.0)
    assert abs(1_010.0 - ago_ms - at_ms) <= PARTED_MS + 1e-6


def test_it_says_how_it_stands():
    moments = Moments()
    moments.at_ms(0, wall_ms=5, now_ms=1.0)
    assert repr(moments) == "<Moments -4.0 ms>"
