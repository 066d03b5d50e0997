"""Whether packing and waiting pay, reckoned from a node whose times are known exactly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.packing_pays import TRIED_MIN, TRY_EVERY, Patience, Pays

PATIENCE = Patience(share=0.1, ms_max=2_000)


def taught(fixed_ms: float, post_ms: float, *, is_per_request: bool = False) -> Pays:
    """The account of a node that takes so much for a request and so much for each slot in it."""
    pays = Pays(is_per_request=is_per_request)
    for posts in (1, 3, 5, 8, 4, 2, 1):
        slots = posts + 2 if posts > 1 else 1
        pays.service.took(posts, fixed_ms + post_ms * slots)
    return pays


@given(st.floats(1, 5_000), st.floats(1, 500), st.integers(2, 32))
def test_the_line_is_found_where_times_lie_on_one(fixed_ms, post_ms, posts):
    pays = taught(fixed_ms, post_ms)
    assert pays.service.pack_ms(posts) == pytest.approx(fixed_ms + post_ms * (posts + 2), rel=1e-3)
    assert pays.service.single_ms == pytest.approx(fixed_ms + post_ms)


def test_a_pack_pays_from_where_it_saves_more_than_its_sentinels_cost():
    pays = taught(fixed_ms=90, post_ms=100)
    assert [pays.together(posts) for posts in (1, 2, 3, 4, 8)] == [False, False, False, True, True]


def test_on_a_node_without_a_fixed_part_packing_never_pays_but_is_tried_now_and_then():
    pays = taught(fixed_ms=0, post_ms=100)
    tried = [pays.together(8) for _ in range(2 * TRY_EVERY)]
    assert tried.count(True) == 2


def test_what_is_not_known_is_tried():
    pays = Pays(is_per_request=False)
    assert [pays.together(posts) for posts in (1, 2, 3)] == [False, True, True]


def test_a_first_pack_that_found_no_prompt_cached_does_not_end_all_packing():
    pays = Pays(is_per_request=False)
    pays.service.took(1, 200.0)
    pays.service.took(4, 950.0)
    assert pays.together(4)
    for _ in range(TRIED_MIN):
        pays.service.took(4, 690.0)
    assert [pays.together(4) for _ in range(TRY_EVERY)] == [True] * TRY_EVERY


def test_where_requests_are_paid_for_every_pack_pays():
    pays = taught(fixed_ms=0, post_ms=100, is_per_request=True)
    assert [pays.together(posts) for posts in (1, 2, 3)] == [False, True, True]


@pytest.mark.parametrize(
    ("posts", "gap_ms", "waits_ms"),
    [
        (4, 10.0, 160.0),  # a tenth of 1,000 + 6 x 100
        (4, 200.0, 0.0),  # none is expected within it
        (4, None, 0.0),  # nothing is known of others
        (8, 10.0, 0.0),  # it is full
    ],
)
def test_waiting_pays_while_others_are_to_come_soon(posts, gap_ms, waits_ms):
    pays = taught(fixed_ms=1_000, post_ms=100)
    assert pays.wait_ms(posts, 8, gap_ms, PATIENCE) == pytest.approx(waits_ms, rel=1e-6)


def test_nothing_waits_where_the_fixed_part_is_too_small_to_save_it():
    assert taught(fixed_ms=10, post_ms=500).wait_ms(4, 8, 10.0, PATIENCE) == 0


def test_no_wait_is_longer_than_the_setting_allows():
    pays = taught(fixed_ms=60_000, post_ms=100)
    assert pays.wait_ms(4, 8, 10.0, PATIENCE) == 2_000
    assert pays.wait_ms(4, 8, 10.0, Patience(0.0, 2_000)) == 0


@given(st.integers(1, 31), st.floats(0, 1_000), st.floats(1, 10_000), st.floats(1, 1_000), st.booleans())
def test_no_wait_is_longer_than_its_share_of_the_service_time(posts, gap_ms, fixed_ms, post_ms, per_request):
    pays = taught(fixed_ms, post_ms, is_per_request=per_request)
    taking_ms = pays.service.pack_ms(posts) if posts > 1 else pays.service.single_ms
    assert 0 <= pays.wait_ms(posts, 32, gap_ms, PATIENCE) <= 0.1 * taking_ms + 1e-9
