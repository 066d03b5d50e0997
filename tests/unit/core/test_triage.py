"""The fast path: the gravest rule wins, shadow changes nothing, and some events are never decided."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import events, moderates, scans

from schemas.event import Moderate, Rejudge, Scan
from schemas.policy import AllowRule, FloodRule, Label, LengthRule, Policy, Prompt, RegexRule
from streams.core.digest import content_digest
from streams.core.flooding import FloodMeter
from streams.core.rules import Finding, compile_policy
from streams.core.triage import GRAVITY, Decided, Undecided, decide, triage

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
    assert replace(decision, shadow_hits=()) == triage(post(text), compiled(*without))


@given(all_rules, matching, st.text(alphabet="0123456789abcdef", min_size=32, max_size=32))
def test_only_what_live_rules_found_is_suspected_of_a_post_that_is_judged_once_more(rules, text, digest):
    """Rules in shadow, and on canary outside of their share, choose nothing for a late event."""
    rules = [replace(one, canary_percent=50.0) if at % 2 else one for at, one in enumerate(rules)]
    event = replace(post(text), rejudge=Rejudge(run="r", rev=3))
    found = []
    decision = triage(event, compiled(*rules), digest=digest, count=found.extend)
    assert isinstance(decision, Undecided)
    assert set(decision.suspected) == {one.label for one in found if one.mode == "live"} - {""}


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


# -- what decides, whatever found it ------------------------------------------------------------------------

findings = st.builds(
    lambda number, action, mode, ground: Finding(
        f"rule-{number}",
        "" if action == "allow" else "spam",
        action,
        mode,
        # Only allowances go by the author or the very content.
        ground if action == "allow" else "text",
    ),
    st.integers(0, 9),
    st.sampled_from(ACTIONS),
    st.sampled_from(["live", "shadow"]),
    st.sampled_from(["text", "author", "digest"]),
)
any_findings = st.lists(findings, max_size=8)
situations = st.fixed_dictionaries({"hides": st.booleans(), "has_context": st.booleans()})


@given(any_findings, situations, st.randoms(use_true_random=False))
def test_a_decision_does_not_depend_on_the_order_of_the_findings(found, situation, chance):
    shuffled = chance.sample(found, len(found))
    assert sorted(decide(found, **situation)) == sorted(decide(shuffled, **situation))


@given(any_findings, situations)
def test_what_is_in_shadow_decides_nothing(found, situation):
    live = [finding for finding in found if finding.mode == "live"]
    assert list(decide(found, **situation)) == list(decide(live, **situation))
    assert all(finding.mode == "live" for finding in decide(found, **situation))


@given(any_findings, situations)
def test_only_a_known_content_is_allowed_where_a_live_rule_found_harm(found, situation):
    live = [finding for finding in found if finding.mode == "live"]
    deciding = decide(found, **situation)
    harm = [finding for finding in live if finding.action != "allow"]
    if any(finding.ground == "digest" for finding in live):
        assert {finding.ground for finding in deciding} == {"digest"}
    elif harm:
        assert list(deciding) == harm


@given(any_findings, situations)
def test_hiding_and_context_only_ever_take_allowances_away(found, situation):
    free = decide(found, hides=False, has_context=False)
    deciding = decide(found, **situation)
    assert set(deciding) <= set(free)
    if situation["hides"]:
        assert not any(
            finding.ground in {"text", "author"} and finding.action == "allow" for finding in deciding
        )
    if situation["has_context"]:
        assert not any(one.ground == "text" and one.action == "allow" for one in deciding)


# -- known contents, trusted authors, floods ----------------------------------------------------------------


def digest_of(event):
    return content_digest(event, secret=b"", scope="tenant")


def decided(event, *rules, **fields):
    decision = triage(event, compiled(*rules), digest=digest_of(event), **fields)
    return (decision.action, decision.rule_ids) if isinstance(decision, Decided) else None


def test_a_known_content_is_allowed_whatever_else_is_found_in_it():
    event = post("*1*\u200b", context={"parent": "x"})
    known = AllowRule(id="known", action="allow", digests=(digest_of(event),))
    assert decided(event, rule(1, "block"), known) == ("allow", ("known",))
    assert decided(replace(event, text="*1*"), rule(1, "block"), known) == ("block", ("rule-1",))


def test_a_trusted_author_is_allowed_also_in_a_reply_but_not_with_harm_or_something_hidden():
    trusted = AllowRule(id="trusted", action="allow", authors=("alice",))
    event = post("whatever this means", author="alice", context={"parent": "x"})
    assert decided(event, trusted) == ("allow", ("trusted",))
    assert decided(replace(event, text="*1*"), rule(1, "label"), trusted) == ("label", ("rule-1",))
    assert decided(replace(event, text="hid\u200bden"), trusted) is None
    assert decided(replace(event, author="alicia"), trusted) is None
    assert decided(replace(event, tenant="other"), trusted) is None
    assert decided(replace(event, author=""), trusted) is None


def test_a_short_text_of_a_reply_is_not_allowed():
    short = LengthRule(id="short", action="allow", characters_max=20)
    assert decided(post("do it"), short) == ("allow", ("short",))
    assert decided(post("do it", context={"parent": "x"}), short) is None


FLOOD = FloodRule(id="flood", action="label", label="spam", posts_over=3, window_s=10)


def written(*at_ms, meter=None, **fields):
    meter = meter or FloodMeter()
    return [decided(post("x", author="a", **fields), FLOOD, at_ms=at, meter=meter) for at in at_ms]


def test_the_post_that_is_too_much_is_labelled():
    assert written(0, 1, 2, 3, 60_000) == [None, None, None, ("label", ("flood",)), None]


def test_probes_and_posts_judged_once_more_belong_to_no_flood():
    meter = FloodMeter()
    written(0, 0, 0, meter=meter)
    written(0, 0, 0, meter=meter, rejudge=Rejudge(run="r", rev=3))
    written(0, 0, 0, meter=meter, probe="nonce")
    assert written(0, meter=meter) == [("label", ("flood",))]


def test_without_a_meter_or_an_author_nothing_is_a_flood():
    assert [decided(post("x", author="a"), FLOOD) for _ in range(9)] == [None] * 9
    meter = FloodMeter()
    assert [decided(post("x"), FLOOD, meter=meter) for _ in range(9)] == [None] * 9


# -- canaries -----------------------------------------------------------------------------------------------

digests = st.binary(min_size=16, max_size=16).map(bytes.hex)
percents = st.floats(0, 100)


def on_canary(percent, digest, rule_id="r"):
    """What a rule on canary does with a content."""
    one = RegexRule(id=rule_id, action="block", label="spam", patterns=("",), canary_percent=percent)
    return triage(post("x"), compiled(one), digest=digest)


@given(digests, percents)
def test_a_rule_on_canary_is_live_or_in_shadow_and_always_the_same_for_one_content(digest, percent):
    decision = on_canary(percent, digest)
    assert decision == on_canary(percent, digest)
    if isinstance(decision, Undecided):
        assert decision.shadow_hits == ("r",)
    else:
        assert (decision.action, decision.shadow_hits) == ("block", ())


@given(digests, percents, percents)
def test_a_share_that_grows_keeps_the_contents_that_it_had(digest, one, other):
    small, large = sorted((one, other))
    if isinstance(on_canary(small, digest), Decided):
        assert isinstance(on_canary(large, digest), Decided)


def test_shares_have_their_sizes_and_differ_from_rule_to_rule():
    contents = [digest_of(post(str(number))) for number in range(2_000)]
    first = {digest for digest in contents if isinstance(on_canary(10, digest), Decided)}
    second = {digest for digest in contents if isinstance(on_canary(10, digest, "another"), Decided)}
    assert 140 < len(first) < 260
    assert 140 < len(second) < 260
    assert first != second
    assert all(isinstance(on_canary(100, digest), Decided) for digest in contents[:50])
    assert not any(isinstance(on_canary(0, digest), Decided) for digest in contents[:50])


def test_without_a_digest_no_rule_on_canary_is_live():
    assert isinstance(on_canary(99, ""), Undecided)


# -- counting -----------------------------------------------------------------------------------------------


@given(events())
def test_findings_are_counted_once_for_an_event_whether_they_decide_or_not(event):
    told = []
    triage(event, MATCH_ALL, count=told.append)
    assert len(told) == (event.kind in {"moderate", "scan"})
    for found in told:
        assert [(one.rule_id, one.mode) for one in found] == [("all", "live"), ("trial", "shadow")]
