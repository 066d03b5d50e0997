"""From probabilities to an action: thresholds, and the bands beside review."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.policy import Label, Policy, Prompt
from schemas.verdict import ScoredLabel
from streams.core.scoring import DEAD_BAND, action_at, score_post
from streams.core.triage import GRAVITY

SPAM = Label(name="spam", description="d", label_at=0.5, review_at=0.7, block_at=0.9)
POLICY = Policy(id="p", version=1, labels=(SPAM,), prompts=(Prompt(kind="moderate", text="t"),))

shares = st.floats(0, 1)


def scored(score: float, name: str = "spam") -> tuple[ScoredLabel, ...]:
    return (ScoredLabel(name=name, score=score),)


@pytest.mark.parametrize(
    ("score", "action"),
    [
        (0.49, "allow"),
        (0.5, "label"),
        (0.67, "label"),
        (0.68, "review"),
        (0.7, "review"),
        (0.9, "review"),
        (0.91, "review"),
        (0.92, "block"),
        (1.0, "block"),
    ],
)
def test_beside_review_a_person_looks_at_what_a_batch_could_tip_over(score, action):
    assert action_at(score, SPAM) == action


def test_the_band_below_review_is_there_where_no_mere_label_comes_before_it():
    label = Label(name="spam", description="d", label_at=0.7, review_at=0.7, block_at=0.9)
    assert [action_at(score, label) for score in (0.67, 0.68)] == ["allow", "review"]
    decision = score_post(scored(0.69), Policy(id="p", version=1, labels=(label,), prompts=POLICY.prompts))
    assert (decision.action, decision.reasons) == ("review", ("model:spam",))


@given(shares, shares, shares, shares)
def test_a_higher_probability_never_leads_to_a_milder_action(one, other, review_at, block_at):
    label = Label(name="spam", description="d", review_at=review_at, block_at=block_at)
    low, high = (GRAVITY.index(action_at(score, label)) for score in sorted((one, other)))
    assert high <= low


@given(shares)
def test_a_sure_answer_blocks_whatever_the_threshold(block_at):
    assert action_at(1.0, Label(name="spam", description="d", block_at=block_at)) == "block"


@given(st.floats(-DEAD_BAND / 2, DEAD_BAND / 2))
def test_the_last_digits_of_a_score_at_the_threshold_do_not_decide_between_block_and_review(noise):
    assert action_at(SPAM.block_at + noise, SPAM) == "review"


@given(st.text(), shares)
def test_no_name_that_is_not_the_policys_gets_into_a_verdict(name, score):
    decision = score_post(scored(score, name), POLICY)
    assert {label.name for label in decision.labels} <= {"spam"}
    assert set(decision.reasons) <= {"model:spam", "model:none", "model:unknown_label"}
