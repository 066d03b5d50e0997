"""Cut-offs: what they refuse, that none moves back in time, and that past the bound too much is forgotten."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from samples import MEMO

from schemas.verdict import ModelRef, PolicyRef
from streams.core.cuts import Cut, Cuts

MEMOS = [
    replace(
        MEMO,
        content_digest=content * 32,
        question_digest=question * 32,
        policy=PolicyRef(id=policy, version=1, digest="f" * 32),
        model=model and ModelRef(name=model, node="n"),
        judged_at_ms=at_ms,
    )
    for content, question in (("1", "2"), ("3", "4"))
    for policy in ("p", "q")
    for model in ("m", "n", None)
    for at_ms in (0, 50, 100)
]
subjects = st.sampled_from(
    [
        ("all", ""),
        *(("digest", digit * 32) for digit in "1234"),
        *(("policy", name) for name in "pq"),
        *(("model", name) for name in "mn"),
    ]
)
cuts = st.builds(lambda subject, before_ms: Cut(*subject, before_ms), subjects, st.integers(0, 120))


def in_force(given_cuts, **bound) -> Cuts:
    held = Cuts()
    for cut in given_cuts:
        held = held.after(cut, **bound)
    return held


@pytest.mark.parametrize(
    ("about", "value", "is_refused"),
    [
        ("all", "", True),
        ("digest", MEMO.content_digest, True),
        ("digest", MEMO.question_digest, True),
        ("digest", "e" * 32, False),
        ("policy", MEMO.policy.id, True),
        ("policy", "other", False),
        ("model", MEMO.model.name, True),
        ("model", "other", False),
    ],
)
def test_a_cut_refuses_what_it_is_about_and_is_older(about, value, is_refused):
    cut = Cut(about, value, MEMO.judged_at_ms + 1)
    assert cut.matches(MEMO) is is_refused
    assert Cuts().after(cut).refuses(MEMO) is is_refused
    younger = cut._replace(before_ms=MEMO.judged_at_ms)
    assert not younger.matches(MEMO)
    assert not Cuts().after(younger).refuses(MEMO)


def test_a_persons_answer_is_of_no_model():
    assert not Cut("model", "", 1 << 40).matches(replace(MEMO, model=None))


def test_without_cuts_nothing_is_refused():
    assert not any(Cuts().refuses(memo) for memo in MEMOS)


@given(st.lists(cuts, max_size=30))
def test_an_answer_is_refused_if_any_cut_refuses_it(given_cuts):
    held = in_force(given_cuts)
    for memo in MEMOS:
        assert held.refuses(memo) == any(cut.matches(memo) for cut in given_cuts)


@given(st.lists(cuts, max_size=30), st.randoms(use_true_random=False))
def test_the_order_in_which_cuts_come_changes_nothing(given_cuts, random):
    shuffled = random.sample(given_cuts, len(given_cuts))
    assert in_force(given_cuts) == in_force(shuffled)


@given(st.lists(cuts, max_size=30), st.integers(1, 4))
def test_past_the_bound_never_less_is_forgotten(given_cuts, cuts_max):
    held = in_force(given_cuts, cuts_max=cuts_max)
    assert len(held) <= cuts_max
    for memo in MEMOS:
        assert held.refuses(memo) or not any(cut.matches(memo) for cut in given_cuts)


@given(st.lists(cuts, max_size=30))
def test_past_the_bound_nothing_is_refused_that_is_younger_than_all_cuts(given_cuts):
    latest_ms = max((cut.before_ms for cut in given_cuts), default=0)
    assume(latest_ms <= 100)
    assert not in_force(given_cuts, cuts_max=1).refuses(replace(MEMOS[0], judged_at_ms=100))


def test_the_cut_that_was_given_last_is_told_first():
    first, second = Cut("policy", "p", 10), Cut("model", "m", 5)
    assert in_force([first, second]).newest(9) == (second, first)
    assert in_force([first, second, first]).newest(1) == (first,)


def test_a_moment_that_was_named_is_kept():
    held = in_force([Cut("policy", "p", 10), Cut("policy", "p", 7)])
    assert (held.before_ms("policy", "p"), held.before_ms("policy", "q")) == (10, None)


def test_a_subject_tells_what_a_cut_is_about():
    assert [cut.subject for cut in (Cut("all", "", 1), Cut("model", "m/7b", 1))] == ["all", "model/m/7b"]
