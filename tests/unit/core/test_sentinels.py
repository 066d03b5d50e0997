"""Sentinels: plainly bad or plainly good under any policy that can have them, and never twice the same."""

from __future__ import annotations

import pytest
from nodes import POLICY

from infra.policies import default_policy_path, read
from schemas.policy import Label, Policy
from streams.core.draws import Draws
from streams.core.sentinels import Sentinel, bad_sentinel, can_be_watched, good_sentinel
from streams.core.suspicion import is_suspicious
from streams.core.weighing import mentioned, score

LABELS = ("scam", "spam", "violence", "harassment", "illegal_goods", "personal_data")


def policy(*labels: str) -> Policy:
    return Policy(
        id="x",
        version=1,
        labels=tuple(Label(name=name, description="d") for name in labels),
        prompts=POLICY.prompts,
    )


def scores(text: str, labels: tuple[str, ...]) -> dict[str, float]:
    return {label.name: label.probability for label in mentioned(score(text, labels))}


@pytest.mark.parametrize("labels", [LABELS, *((name,) for name in LABELS), ("Ads", "threats"), ("toxicity",)])
def test_a_scorer_that_reads_them_gets_both_right(labels):
    made = 0
    for number in range(300):
        draws = Draws(number.to_bytes(32, "big"))
        bad, good = bad_sentinel(policy(*labels), draws), good_sentinel(draws)
        assert bad is not None
        assert bad.is_met_by(scores(bad.text, labels)), bad
        assert good.is_met_by(scores(good.text, labels)), good
        made += 1
    assert made == 300


def test_one_answer_is_never_right_for_both():
    bad, good = Sentinel("", frozenset({"spam"})), Sentinel("", frozenset())
    assert (bad.is_met_by({"spam": 0.49}), bad.is_met_by({"spam": 0.5})) == (False, True)
    assert (good.is_met_by({"spam": 0.49}), good.is_met_by({"spam": 0.5})) == (True, False)
    for said in ({}, {"spam": 0.49}, {"spam": 0.5}, {"scam": 0.9}, {"spam": 1.0, "scam": 1.0}):
        assert not (bad.is_met_by(said) and good.is_met_by(said))


def test_the_default_policy_can_be_watched():
    assert can_be_watched(read(default_policy_path()).policy)


def test_a_policy_about_other_things_cannot():
    assert not can_be_watched(policy("off_topic", "sexual"))
    assert bad_sentinel(policy("off_topic"), Draws(bytes(32))) is None


def test_a_sentinel_does_not_look_like_an_order():
    texts = [good_sentinel(Draws(number.to_bytes(32, "big"))).text for number in range(300)]
    assert not [text for text in texts if is_suspicious(text)]


def test_hardly_two_sentinels_are_alike():
    all_of = [bad_sentinel(policy(*LABELS), Draws(number.to_bytes(32, "big"))) for number in range(2_000)]
    assert len({sentinel.text for sentinel in all_of if sentinel}) > 1_950
