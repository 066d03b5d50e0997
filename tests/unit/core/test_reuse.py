"""How long an answer stands for copies, and what becomes of an event that is late, as the policy says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import actions, policies

from schemas.policy import Label, Policy, Prompt, RegexRule, ReuseTtl
from streams.core.lateness import late_action, late_policy
from streams.core.reuse import reuse_ttl_s

LABELS = (
    Label(name="spam", description="d"),
    Label(name="minors", description="d", reuse_ttl_s=60, late="block"),
    Label(name="scam", description="d", reuse_ttl_s=10**6, late="allow_and_recheck"),
    Label(name="crisis", description="d", late="hold"),
)
POLICY = Policy(
    id="p",
    version=1,
    labels=LABELS,
    prompts=(Prompt(kind="moderate", text="t"),),
    rules=tuple(
        RegexRule(id=f"on-{label.name}", action="label", label=label.name, mode="shadow", patterns=("x",))
        for label in LABELS
    ),
    reuse_ttl=ReuseTtl(allow_s=100, label_s=200, review_s=0, block_s=400),
    late_action="review",
)


@pytest.mark.parametrize(
    ("action", "labels", "ttl_s"),
    [
        ("allow", (), 100),
        ("label", ("spam",), 200),
        ("review", ("spam",), 0),
        ("block", ("spam", "scam"), 400),
        ("block", ("scam", "minors"), 60),
        ("allow", ("nothing",), 100),
    ],
)
def test_the_shorter_of_the_actions_time_and_the_labels_holds(action, labels, ttl_s):
    assert reuse_ttl_s(POLICY, action, labels) == ttl_s


@given(policies(), actions, st.lists(st.text(max_size=3), max_size=3))
def test_no_label_makes_an_answer_last_longer(policy, action, labels):
    assert 0 <= reuse_ttl_s(policy, action, labels) <= reuse_ttl_s(policy, action, ())


@pytest.mark.parametrize(
    ("labels", "late", "action"),
    [
        ((), None, "review"),
        (("spam",), None, "review"),
        (("minors", "scam"), "block", "block"),
        (("scam",), "allow_and_recheck", "allow"),
        (("scam", "crisis"), "hold", "review"),
        (("gone-since",), None, "review"),
    ],
)
def test_the_gravest_that_a_suspected_label_asks_for_is_done_when_late(labels, late, action):
    assert late_policy(POLICY, labels) == late
    assert late_action(POLICY, labels) == action
