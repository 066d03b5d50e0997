"""From an answer to an action and from there to the verdict: thresholds, kinds, enforcement, and time."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from samples import MEMO
from strategies import events, results, shares, sources

from schemas.event import PRIORITIES, Moderate, Rejudge, Source
from schemas.policy import Label, Policy, Prompt
from schemas.verdict import ModelRef, PolicyRef, Result, ScoredLabel
from schemas.wire import decode_verdict, encode
from streams.core.digest import content_digest, verdict_id
from streams.core.judging import (
    Case,
    Ruling,
    cache_verdict,
    enforced,
    fallback_verdict,
    model_verdict,
    moment,
    rule_on_answer,
    rule_verdict,
    timing,
)
from streams.core.triage import GRAVITY, Decided

POLICY = Policy(
    id="p",
    version=3,
    labels=(
        Label(name="spam", description="d", label_at=0.5, review_at=0.7, block_at=0.9),
        Label(name="hate", description="d", label_at=0.2, review_at=0.3, block_at=0.4),
    ),
    prompts=(Prompt(kind="moderate", text="t"),),
    risk_label_at=0.5,
    risk_review_at=0.7,
)
CASE = Case(
    event=Moderate(v=1, id="post-1", tenant="acme", text="hello"),
    content_digest="0" * 32,
    priority="high",
    source=Source(topic="content.high", partition=3, offset=7, timestamp_ms=1_000),
    policy=PolicyRef(id="p", version=3, digest="1" * 32),
)
TIMING = timing(written_at_ms=1_000, decided_at_ms=1_010, worker_ms=4, inference_ms=3)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MODEL = ModelRef(name="m-7b", node="gpu-0")


def scored(**scores):
    return tuple(ScoredLabel(name=name, score=score) for name, score in scores.items())


def ruled(kind="moderate", result=None, **scores):
    return rule_on_answer(kind, scored(**scores), 0.8, result, POLICY)


@pytest.mark.parametrize(
    ("scores", "action", "carried"),
    [
        ({}, "allow", ()),
        ({"spam": 0.49}, "allow", ()),
        ({"spam": 0.5}, "label", ("spam",)),
        ({"spam": 0.7}, "review", ("spam",)),
        ({"spam": 0.92}, "block", ("spam",)),
        ({"spam": 0.49, "hate": 0.3}, "review", ("hate",)),
        ({"spam": 0.6, "hate": 0.42}, "block", ("spam", "hate")),
        ({"spam": 0.92, "hate": 0.2}, "block", ("spam", "hate")),
    ],
)
@pytest.mark.parametrize("kind", ["moderate", "scan"])
def test_the_gravest_threshold_that_a_label_reaches_decides(kind, scores, action, carried):
    ruling = ruled(kind, **scores)
    assert ruling.action == action
    assert tuple(label.name for label in ruling.labels) == carried
    assert ruling.reasons == (tuple(f"model:{name}" for name in carried) or ("model:none",))
    assert ruling.confidence == 0.8


@given(shares, shares, shares)
def test_a_higher_score_never_makes_a_milder_action(spam, hate, more):
    low = ruled(spam=spam, hate=hate)
    high = ruled(spam=max(spam, more), hate=hate)
    assert GRAVITY.index(high.action) <= GRAVITY.index(low.action)


@pytest.mark.parametrize(
    ("kind", "result", "scores"),
    [
        ("moderate", None, {"spam": 0.99}),
        ("moderate", None, {}),
        ("review_ban", Result(outcome="uphold"), {}),
        ("review_ban", Result(outcome="overturn"), {}),
    ],
)
@given(mass=st.floats(0, 0.899))
def test_with_little_mass_nothing_is_blocked_and_nothing_allowed(kind, result, scores, mass):
    sure = ruled(kind, result, **scores)
    ruling = rule_on_answer(kind, scored(**scores), 0.8, result, POLICY, mass=mass)
    assert ruling == replace(sure, action="review", reasons=(*sure.reasons, "model:low_mass"))
    assert rule_on_answer(kind, scored(**scores), 0.8, result, POLICY, mass=0.9) == sure


def test_the_verdict_of_a_model_says_how_much_of_the_text_it_covers():
    ruling = rule_on_answer("moderate", (), 0.8, None, POLICY, coverage=0.25)
    verdict = model_verdict(CASE, ruling, MODEL, TIMING, NOW, enforce=True, attempts=1)
    assert verdict.coverage == 0.25


def test_a_label_that_the_policy_does_not_know_is_for_a_person_and_its_name_goes_nowhere():
    ruling = ruled(strange=0.1)
    assert ruling == Ruling("review", (), ("model:unknown_label",), 0.8)
    assert ruled(strange=0.1, spam=0.95).action == "block"


@pytest.mark.parametrize(
    ("outcome", "action"),
    [("uphold", "block"), ("overturn", "allow"), ("unclear", "review"), (None, "review")],
)
def test_a_ban_stands_falls_or_goes_to_a_person(outcome, action):
    result = Result(outcome=outcome)
    ruling = ruled("review_ban", result)
    assert (ruling.action, ruling.result) == (action, result)
    assert ruling.reasons == (f"outcome:{outcome or 'unclear'}",)


@pytest.mark.parametrize(
    ("risk", "action"), [(None, "review"), (0.49, "allow"), (0.5, "label"), (0.7, "review"), (1.0, "review")]
)
def test_a_risk_is_told_or_looked_at_but_never_blocks(risk, action):
    assert ruled("analyze_user", Result(risk=risk, findings=("spam",))).action == action


def test_a_site_is_labelled_when_something_was_found():
    assert ruled("health_check", Result(findings=("spike",))).action == "label"
    assert ruled("health_check", Result()).action == "allow"
    assert ruled("health_check").action == "allow"


@given(
    st.sampled_from(["moderate", "scan", "review_ban", "analyze_user", "health_check"]),
    st.lists(st.builds(ScoredLabel, name=st.sampled_from(["spam", "hate", "odd"]), score=shares)),
    shares,
    st.none() | results,
)
def test_any_answer_becomes_a_ruling_with_a_reason(kind, labels, confidence, result):
    ruling = rule_on_answer(kind, labels, confidence, result, POLICY)
    assert ruling.action in GRAVITY
    assert ruling.reasons


@pytest.mark.parametrize("action", GRAVITY)
def test_with_enforcement_off_a_block_becomes_a_review_and_says_so(action):
    ruling = Ruling(action, (), ("why",), 1.0)
    assert enforced(ruling, enforce=True) == ruling
    off = enforced(ruling, enforce=False)
    if action == "block":
        assert off == Ruling("review", (), ("why", "enforce_off"), 1.0)
    else:
        assert off == ruling


def test_a_rules_verdict_is_certain_of_its_labels():
    decided = Decided("block", ("spam",), ("rule:r",), ("r",))
    verdict = rule_verdict(CASE, decided, TIMING, NOW, enforce=True)
    assert (verdict.action, verdict.decided_by, verdict.confidence) == ("block", "rule", 1.0)
    assert verdict.labels == scored(spam=1.0)
    assert verdict.reasons == ("rule:r",)
    assert (verdict.attempts, verdict.coverage, verdict.model) == (0, 1.0, None)
    assert rule_verdict(CASE, decided, TIMING, NOW, enforce=False).action == "review"


def test_a_models_verdict_names_the_model_and_the_attempts():
    ruling = Ruling("block", scored(spam=0.9), ("model:spam",), 0.9)
    verdict = model_verdict(CASE, ruling, MODEL, TIMING, NOW, enforce=True, attempts=2)
    assert (verdict.action, verdict.decided_by, verdict.model, verdict.attempts) == (
        "block",
        "model",
        MODEL,
        2,
    )
    assert model_verdict(CASE, ruling, MODEL, TIMING, NOW, enforce=False, attempts=2).action == "review"


def test_a_fallback_is_sure_of_nothing_and_covers_nothing():
    verdict = fallback_verdict(CASE, "review", "late", TIMING, NOW, enforce=True, attempts=4)
    assert (verdict.action, verdict.decided_by, verdict.confidence, verdict.coverage) == (
        "review",
        "fallback",
        0.0,
        0.0,
    )
    assert (verdict.reasons, verdict.attempts, verdict.status) == (("fallback:late",), 4, "final")
    assert fallback_verdict(CASE, "block", "late", TIMING, NOW, enforce=False, attempts=4).action == "review"


def test_a_verdict_is_final_unless_the_event_asks_for_another_revision():
    decided = Decided("allow", (), ("rule:r",), ("r",))
    first = rule_verdict(CASE, decided, TIMING, NOW, enforce=True)
    again = replace(
        CASE,
        event=Moderate(v=1, id="post-1", tenant="acme", text="hello", rejudge=Rejudge(run="june", rev=9)),
    )
    later = rule_verdict(again, decided, TIMING, NOW, enforce=True)
    assert (first.rev, first.run) == (2, None)
    assert (later.rev, later.run) == (9, "june")
    assert later.verdict_id != first.verdict_id


@given(events(), st.sampled_from(PRIORITIES), sources())
def test_every_verdict_is_whole_and_goes_through_the_wire(event, priority, source):
    digest = content_digest(event, secret=b"", scope="tenant")
    case = Case(event, digest, priority, source, CASE.policy)
    ruling = Ruling("label", scored(spam=0.5), ("model:spam",), 0.5, Result(risk=0.1))
    for verdict in (
        rule_verdict(case, Decided("block", ("spam",), ("rule:r",), ("r",)), TIMING, NOW, enforce=True),
        model_verdict(case, ruling, MODEL, TIMING, NOW, enforce=True, attempts=1),
        fallback_verdict(case, "allow", "late", TIMING, NOW, enforce=True, attempts=1),
    ):
        assert decode_verdict(encode(verdict)) == verdict
        assert (verdict.tenant, verdict.id, verdict.kind) == (event.tenant, event.id, event.kind)
        assert (verdict.priority, verdict.source, verdict.policy) == (priority, source, CASE.policy)
        assert (verdict.content_digest, verdict.timing, verdict.decided_at) == (digest, TIMING, NOW)
        assert verdict.verdict_id == verdict_id(event.tenant, event.id, digest, verdict.rev)


def test_time_goes_to_kafka_the_queue_and_the_model():
    spent = timing(written_at_ms=1_000, decided_at_ms=1_100, worker_ms=60.25, inference_ms=50.5)
    assert (spent.kafka_ms, spent.queue_ms, spent.inference_ms, spent.total_ms) == (39.75, 9.75, 50.5, 100.0)


def test_a_broker_whose_clock_is_ahead_makes_no_time_negative():
    spent = timing(written_at_ms=2_000, decided_at_ms=1_000, worker_ms=5, inference_ms=3)
    assert (spent.kafka_ms, spent.queue_ms, spent.inference_ms, spent.total_ms) == (0, 2, 3, 5)


moments_ms = st.floats(0, 4e12)
spans_ms = st.floats(-1e6, 1e9)


@given(moments_ms, moments_ms, spans_ms, spans_ms)
def test_the_parts_of_the_time_are_never_negative_and_add_up(written, decided, worker, inference):
    spent = timing(written_at_ms=written, decided_at_ms=decided, worker_ms=worker, inference_ms=inference)
    parts = (spent.kafka_ms, spent.queue_ms, spent.inference_ms)
    assert min(parts) >= 0
    assert spent.total_ms == pytest.approx(sum(parts), abs=0.002)
    assert spent.total_ms >= max(parts) - 0.002


def test_a_moment_is_in_utc():
    assert moment(1_700_000_000_123) == datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC)


# -- what was answered before --


def from_memory(event=CASE.event, *, enforce=True, **changes):
    memo = replace(MEMO, **{"original": replace(MEMO.original, tenant="acme")} | changes)
    return cache_verdict(replace(CASE, event=event), memo, TIMING, NOW, enforce=enforce), memo


def test_a_copy_gets_the_answer_under_its_own_name():
    verdict, memo = from_memory(labels=scored(spam=0.6), action="label", result=Result(risk=0.1))
    assert (verdict.tenant, verdict.id, verdict.source) == ("acme", "post-1", CASE.source)
    assert verdict.verdict_id == verdict_id("acme", "post-1", CASE.content_digest, 2)
    assert (verdict.decided_by, verdict.status, verdict.rev, verdict.attempts) == ("cache", "final", 2, 0)
    assert (verdict.action, verdict.labels, verdict.result) == (memo.action, memo.labels, memo.result)
    assert (verdict.confidence, verdict.coverage) == (memo.confidence, memo.coverage)
    assert (verdict.reasons, verdict.model, verdict.policy) == (memo.reasons, memo.model, CASE.policy)
    assert decode_verdict(encode(verdict)) == verdict


def test_the_original_is_named_within_its_tenant_only():
    verdict, memo = from_memory()
    assert verdict.original is not None
    assert (verdict.original.id, verdict.original.verdict_id) == ("post", memo.original.verdict_id)
    assert from_memory(original=replace(MEMO.original, tenant="other"))[0].original is None


def test_an_event_that_comes_again_is_no_copy_of_itself():
    assert from_memory(replace(CASE.event, id="post"))[0].original is None


def test_a_remembered_block_becomes_a_review_while_enforcement_is_off():
    verdict, _ = from_memory(action="block", reasons=("model:spam",), enforce=False)
    assert (verdict.action, verdict.reasons) == ("review", ("model:spam", "enforce_off"))
    assert from_memory(action="block")[0].action == "block"


def test_a_replay_is_answered_from_memory_with_the_revision_it_asks_for():
    verdict, _ = from_memory(replace(CASE.event, rejudge=Rejudge(run="r", rev=5)))
    assert (verdict.rev, verdict.run) == (5, "r")
