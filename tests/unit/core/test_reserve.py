"""The reserve: one slot in 32 is kept for critical ones, and lent out when none comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.reserve import Reserve


@pytest.mark.parametrize(("slots", "kept"), [(1, 0), (7, 0), (8, 1), (31, 1), (32, 1), (64, 2), (512, 16)])
def test_one_slot_in_32_is_kept_and_at_least_one_of_8(slots, kept):
    reserve = Reserve()
    reserve.seen(1_000.0)
    assert reserve.kept(slots, 1_000.0) == kept


def test_it_is_lent_out_after_a_second_without_critical():
    reserve = Reserve()
    reserve.seen(1_000.0)
    assert reserve.lent_at_ms(32, 1_000.0) == 2_000.0
    assert reserve.kept(32, 1_999.0) == 1
    assert reserve.kept(32, 2_000.0) == 0
    assert reserve.lent_at_ms(32, 2_000.0) is None


def test_before_the_first_critical_nothing_is_kept():
    assert Reserve().kept(64, 0.0) == 0


def test_of_a_small_pool_one_is_kept_until_its_share_of_the_time_is_spent():
    reserve = Reserve()
    reserve.seen(1_000.0)
    reserve.idles(16, 1_000.0, is_idle=True)
    # Half of the time is earned meanwhile, so 250 ms last for 500.
    assert reserve.lent_at_ms(16, 1_000.0) == pytest.approx(1_500.0)
    assert reserve.kept(16, 1_499.0) == 1
    assert reserve.kept(16, 1_500.0) == 0
    reserve.idles(16, 1_500.0, is_idle=False)
    reserve.seen(2_000.0)
    assert reserve.kept(16, 2_000.0) == 1


@given(st.integers(8, 31), st.lists(st.tuples(st.integers(1, 400), st.booleans()), min_size=1, max_size=60))
def test_a_small_pool_never_keeps_more_than_its_share_and_what_it_saved(slots, steps):
    reserve = Reserve()
    now_ms = idle_ms = 0.0
    for ms, wants in steps:
        reserve.seen(now_ms)
        is_idle = wants and reserve.kept(slots, now_ms) > 0
        reserve.idles(slots, now_ms, is_idle=is_idle)
        lent_ms = reserve.lent_at_ms(slots, now_ms)
        passed_ms = min(ms, lent_ms - now_ms) if is_idle and lent_ms is not None else float(ms)
        idle_ms += passed_ms * is_idle
        now_ms += passed_ms
    assert idle_ms <= 250 + now_ms * slots / 32 + 1e-6
