"""Allowances: never more than the rate and one burst, and a debt is paid before anything more is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.rates import Allowance


def test_no_limit_is_no_limit():
    allowance = Allowance(0)
    for _ in range(1_000):
        allowance.take(5.0, 1e6)
    assert allowance.ready_at_ms(5.0) == 5.0


def test_a_burst_is_ten_seconds_worth_and_then_it_goes_by_the_rate():
    allowance = Allowance(60)
    for _ in range(10):
        assert allowance.ready_at_ms(0.0) == 0.0
        allowance.take(0.0)
    assert allowance.ready_at_ms(0.0) == pytest.approx(1_000, abs=1)


def test_a_question_larger_than_the_burst_is_asked_and_paid_for_afterwards():
    allowance = Allowance(600)
    assert allowance.ready_at_ms(0.0) == 0.0
    allowance.take(0.0, 700)
    assert allowance.ready_at_ms(0.0) == pytest.approx(60_100, abs=1)


def test_what_was_estimated_is_settled():
    allowance = Allowance(600)
    allowance.take(0.0, 150)
    allowance.settle(150, 20)
    assert allowance.ready_at_ms(0.0) == 0.0


@given(st.integers(1, 6_000), st.lists(st.tuples(st.integers(0, 2_000), st.integers(1, 20)), max_size=80))
def test_nothing_is_given_beyond_rate_and_burst(per_minute, asks):
    allowance = Allowance(per_minute)
    now_ms = taken = 0.0
    for wait_ms, amount in asks:
        now_ms += wait_ms
        ready_ms = allowance.ready_at_ms(now_ms)
        if ready_ms <= now_ms:
            allowance.take(now_ms, amount)
            taken += amount
            assert taken <= max(1, per_minute / 6) + per_minute * now_ms / 60_000 + amount + 1e-6
        else:
            assert allowance.ready_at_ms(ready_ms) == ready_ms
