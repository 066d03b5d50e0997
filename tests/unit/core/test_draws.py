"""Chance as an argument: the same bytes give the same draws, within their bounds, and none is favoured."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streams.core.draws import Draws

ENTROPY = st.binary(min_size=32, max_size=32)


@given(ENTROPY, st.integers(1, 10**9), st.lists(st.integers(), max_size=20))
def test_the_same_bytes_give_the_same_draws(entropy, end, things):
    rows = []
    for draws in (Draws(entropy), Draws(entropy)):
        shuffled = list(things)
        draws.shuffle(shuffled)
        rows.append((draws.below(end), draws.fraction(), draws.one_of("abc"), shuffled))
    assert rows[0] == rows[1]
    below, fraction, _, shuffled = rows[0]
    assert 0 <= below < end
    assert 0 <= fraction < 1
    assert sorted(shuffled) == sorted(things)


def test_every_order_comes_up_about_as_often():
    seen = Counter()
    for number in range(6_000):
        things = ["a", "b", "c"]
        Draws(number.to_bytes(32, "big")).shuffle(things)
        seen["".join(things)] += 1
    assert len(seen) == 6
    assert all(850 < count < 1_150 for count in seen.values())


def test_a_row_of_draws_says_how_far_it_is():
    draws = Draws(bytes(32))
    draws.below(3)
    assert repr(draws) == "<Draws 1 drawn>"
