"""Budgets: what is out of the ordinary never exceeds its share of what is ordinary, and what was saved."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.budgets import Budget


def test_ten_ordinary_acts_earn_one():
    budget = Budget(0.1, saved_max=5)
    for _ in range(10):
        assert not budget.spend()
        budget.earn()
    assert budget.spend()
    assert not budget.spend()


def test_no_more_is_saved_than_may_be():
    budget = Budget(0.1, saved_max=5)
    for _ in range(1_000):
        budget.earn()
    assert [budget.spend() for _ in range(6)] == [True] * 5 + [False]


@given(st.lists(st.booleans()), st.floats(0.01, 1), st.floats(1, 10))
def test_what_is_spent_was_earned_or_saved(acts, share, saved):
    budget = Budget(share, saved_max=saved, saved=saved)
    earned = spent = 0
    for is_ordinary in acts:
        if is_ordinary:
            earned += 1
            budget.earn()
        else:
            spent += budget.spend()
    assert spent <= saved + share * earned + 1e-6
