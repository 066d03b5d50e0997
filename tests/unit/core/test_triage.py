"""The fast path: the gravest rule wins, shadow changes nothing, and some events are never decided."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import events, moderates, scans

from schemas.event import Moderate, Rejudge, Scan
from schemas.policy import Label, Policy, Prompt, RegexRule
from streams.core.rules import compile_policy
from streams.core.triage import GRAVITY, Decided, Undecided, triage

ACTIONS = GRAVITY
LABELS = ("spam", "scam", "hate")


def rule(number, action, *, mode="live", label="spam"):
    """A rule that matches every text that holds its number between stars."""
    label = "" if action == "allow" else label
    return RegexRule(id=f"rule-{number}", action=action, mode=mode, label=label, patterns=(rf"\*{number}\*",))


def compiled(*rules):
    return compile_policy(
        Policy(
            id="p",
            version=1,
            labels=tuple(Label(name=name, description="d") for name in LABELS),
            prompts=(Prompt(kind="moderate", text="t"),),
            rules=rules,
        )
    )


def post(text, **fields):
    return Moderate(v=1, id="1", text=text, **fields)


all_rules = st.lists(
    st.tuples(st.sampled_from(ACTIONS), st.sampled_from(["live", "shadow", "off"]), st.sampled_from(LABELS)),
    max_size=6,
).map(
    lambda made: [rule(at, action, mode=mode, label=label) for at, (action, mode, label) in enumerate(made)]
)
matching = st.sets(st.integers(0, 5)).map(
    lambda numbers: "".join(f"*{number}*" for number in sorted(numbers)) + "."
)


@given(all_rules, matching)
def test_the_gravest_live_rule_that_matches_decides(rules, text):
    live = [one for one in rules if one.mode == "live" and f"*{one.id[-1]}*" in text]
    shadow = tuple(one.id for one in rules if one.mode == "shadow" and f"*{one.id[-1]}*" in text)
    decision = triage(post(text), compiled(*rules))
    assert decision.shadow_hits == shadow
    if not live:
        assert isinstance(decision, Undecided)
        return
    assert isinstance(decision, Decided)
    assert decision.action == min((one.action for one in live), key=GRAVITY.index)
    deciding = [one for one in live if one.action != "allow"] or live
    assert decision.rule_ids == tuple(one.id for one in deciding)
    assert decision.reasons == tuple(f"rule:{one.id}" for one in deciding)
    assert set(decision.labels) == {one.label for one in deciding if one.label}
    assert max(Counter(decision.labels).values(), default=1) == 1


@given(all_rules, matching)
def test_shadow_rules_and_rules_that_are_off_never_change_a_decision(rules, text):
    without = [one for one in rules if one.mode == "live"]
    decision = triage(post(text), compiled(*rules))
    assert decision._replace(shadow_hits=()) == triage(post(text), compiled(*without))


@given(all_rules, matching, st.randoms(use_true_random=False))
def test_the_order_of_the_rules_changes_no_action(rules, text, chance):
    shuffled = chance.sample(rules, len(rules))
    one, other = triage(post(text), compiled(*rules)), triage(post(text), compiled(*shuffled))
    assert type(one) is type(other)
    if isinstance(one, Decided):
        assert (one.action, set(one.labels)) == (other.action, set(other.labels))


MATCH_ALL = compiled(
    RegexRule(id="all", action="block", label="spam", patterns=("",)),
    RegexRule(id="trial", action="block", label="spam", mode="shadow", patterns=("",)),
)


@given(events())
def test_any_event_gets_a_decision_and_always_the_same(event):
    decision = triage(event, MATCH_ALL)
    assert decision == triage(event, MATCH_ALL)
    is_open = event.kind in {"moderate", "scan"} and not event.probe and event.rejudge is None
    assert isinstance(decision, Decided if is_open else Undecided)


@given(st.one_of(moderates(), scans()))
def test_probes_and_events_to_be_judged_once_more_are_for_a_model(event):
    rejudged = replace(event, rejudge=Rejudge(run="r", rev=3))
    probe = replace(event, probe="nonce")
    for other in (rejudged, probe):
        decision = triage(other, MATCH_ALL)
        assert isinstance(decision, Undecided)
        assert decision.shadow_hits == ("trial",)


def test_a_rule_applies_to_the_kinds_that_it_names():
    only_scans = compiled(RegexRule(id="r", action="block", label="spam", kinds=("scan",), patterns=("x",)))
    assert isinstance(triage(post("x"), only_scans), Undecided)
    assert isinstance(triage(Scan(v=1, id="1", text="x"), only_scans), Decided)


ALLOW_OK = compiled(rule(0, "allow"), rule(1, "block"))


def test_what_is_harmless_by_itself_is_not_allowed_where_something_is_hidden():
    assert triage(post("*0*"), ALLOW_OK).action == "allow"
    hidden = triage(post("*0*\U000e0068\U000e0069"), ALLOW_OK)
    assert hidden == Undecided(flags=("invisible",), obfuscation=2 / 5)


def test_what_is_harmless_by_itself_is_not_allowed_as_an_answer_to_something_else():
    assert isinstance(triage(post("*0*", context={"parent": "shall I jump?"}), ALLOW_OK), Undecided)


@pytest.mark.parametrize("fields", [{"context": {"parent": "x"}}, {}])
def test_hiding_and_context_keep_no_rule_from_blocking(fields):
    assert triage(post("*0**1*\u200b", **fields), ALLOW_OK).action == "block"


def test_a_rule_is_certain():
    assert triage(post("*1*"), ALLOW_OK).confidence == 1.0
