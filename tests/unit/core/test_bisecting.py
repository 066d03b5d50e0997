"""Whoever spoils a pack is found in few requests, and the others are answered on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.bisecting import (
    Alone,
    Halves,
    Together,
    after_failed_pack,
    extra_requests_max,
    halves,
)
from streams.core.retrying import FAULTS, Evidence

WAS_ALONE = Evidence(was_alone=True)


def asked_until_done(posts: int, spoiling: set[int]) -> tuple[list[int], list[int], int]:
    """Who is answered, who is left alone with its fault, and how many requests were made."""
    waiting = [tuple(range(posts))]
    answered: list[int] = []
    alone: list[int] = []
    requests = 0
    while waiting:
        pack = waiting.pop(0)
        requests += 1
        if not spoiling & set(pack):
            answered += pack
            continue
        match after_failed_pack(len(pack), "node_bad_answer", WAS_ALONE):
            case Halves():
                waiting += halves(pack)
            case Alone():
                alone += pack
            case Together():
                raise AssertionError
    return answered, alone, requests


@given(st.integers(2, 32), st.data())
def test_every_post_is_answered_once_or_left_alone(posts, data):
    spoiling = data.draw(st.sets(st.integers(0, posts - 1)))
    answered, alone, requests = asked_until_done(posts, spoiling)
    assert sorted(answered + alone) == list(range(posts))
    assert set(alone) == spoiling
    assert requests <= 1 + extra_requests_max(posts) * len(spoiling)


def test_one_of_eight_costs_six_requests_more_and_never_seven():
    extra = [asked_until_done(8, {spoiling})[2] - 1 for spoiling in range(8)]
    assert extra == [6] * 8
    assert extra_requests_max(8) == 6


@pytest.mark.parametrize("code", sorted(FAULTS))
def test_what_says_nothing_about_the_posts_parts_nobody(code):
    for evidence in (Evidence(was_sent=False), Evidence(was_sent=False, was_alone=True)):
        assert after_failed_pack(8, code, evidence) == Together()


@pytest.mark.parametrize("code", ["node_overloaded", "node_misconfigured"])
def test_a_node_that_is_full_or_useless_parts_nobody(code):
    assert after_failed_pack(8, code, WAS_ALONE) == Together()


@pytest.mark.parametrize("code", ["node_bad_answer", "node_refused"])
def test_what_the_posts_may_have_done_parts_them(code):
    assert after_failed_pack(8, code, Evidence()) == Halves()


def test_a_node_that_broke_off_parts_them_only_if_it_had_nothing_else_to_do():
    assert after_failed_pack(8, "node_unreachable", Evidence()) == Together()
    assert after_failed_pack(8, "node_unreachable", WAS_ALONE) == Halves()
