"""From an answer to an action, and from an action to the complete verdict. It asks and publishes nothing.

What a rule decided comes from `streams.core.triage`, what a model said from `streams.core.answers`; where
neither spoke, the policy's `late_action` stands. While enforcement is off, every block becomes a review.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import assert_never

import msgspec
from msgspec.structs import replace

from schemas.event import Event, Kind, Priority, Source
from schemas.memory import Memo
from schemas.policy import Policy
from schemas.verdict import (
    REV_FINAL,
    Action,
    DecidedBy,
    ModelRef,
    Original,
    PolicyRef,
    Result,
    ScoredLabel,
    Timing,
    Verdict,
)
from streams.core.digest import verdict_id
from streams.core.scoring import LOW_MASS, MASS_MIN, score_post
from streams.core.triage import Decided


class Case(msgspec.Struct, frozen=True, gc=False):
    """An event that gets a verdict, with what the pipeline knows of it."""

    event: Event
    content_digest: str
    priority: Priority
    source: Source
    policy: PolicyRef


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """What is to be done, and why. Reasons are codes; nothing of the content is in them."""

    action: Action
    labels: tuple[ScoredLabel, ...]
    reasons: tuple[str, ...]
    confidence: float
    result: Result | None = None
    coverage: float = 1.0
    """The share of the content that was looked at."""


def rule_on_answer(
    kind: Kind,
    labels: Sequence[ScoredLabel],
    confidence: float,
    result: Result | None,
    policy: Policy,
    *,
    mass: float = 1.0,
    coverage: float = 1.0,
) -> Ruling:
    """Hold a model's answer against the policy; `mass` is the probability that it gave to valid answers."""
    ruling = replace(_rule(kind, labels, confidence, result, policy), coverage=coverage)
    if mass < MASS_MIN:
        return replace(ruling, action="review", reasons=(*ruling.reasons, LOW_MASS))
    return ruling


def _rule(
    kind: Kind, labels: Sequence[ScoredLabel], confidence: float, result: Result | None, policy: Policy
) -> Ruling:
    match kind:
        case "moderate" | "scan":
            return _rule_on_post(labels, confidence, result, policy)
        case "review_ban":
            return _rule_on_ban(confidence, result)
        case "analyze_user":
            return _rule_on_account(confidence, result, policy)
        case "health_check":
            return _rule_on_site(confidence, result)
        case _:
            assert_never(kind)


def rule_verdict(
    case: Case, decided: Decided, timing: Timing, decided_at: datetime, *, enforce: bool
) -> Verdict:
    """The verdict of the fast path. A rule is certain, so each of its labels scores 1."""
    labels = tuple(ScoredLabel(name=name, score=1.0) for name in decided.labels)
    ruling = Ruling(decided.action, labels, decided.reasons, decided.confidence)
    return _verdict(case, enforced(ruling, enforce=enforce), "rule", timing, decided_at)


def model_verdict(
    case: Case,
    ruling: Ruling,
    model: ModelRef,
    timing: Timing,
    decided_at: datetime,
    *,
    enforce: bool,
    attempts: int,
) -> Verdict:
    """The verdict of a model. `attempts` counts the questions put, this one included."""
    ruling = enforced(ruling, enforce=enforce)
    return _verdict(
        case,
        ruling,
        "model",
        timing,
        decided_at,
        attempts=attempts,
        model=model,
        coverage=ruling.coverage,
    )


def cache_verdict(case: Case, memo: Memo, timing: Timing, decided_at: datetime, *, enforce: bool) -> Verdict:
    """The verdict where an earlier answer stands for this copy; whether it may is `streams.core.reusing`'s.

    The original is named within its tenant only; an event that comes again is no copy of itself.
    """
    ruling = Ruling(memo.action, memo.labels, memo.reasons, memo.confidence, memo.result)
    first, event = memo.original, case.event
    is_named = first.tenant == event.tenant and first.id != event.id
    return _verdict(
        case,
        enforced(ruling, enforce=enforce),
        "cache",
        timing,
        decided_at,
        model=memo.model,
        coverage=memo.coverage,
        original=Original(id=first.id, verdict_id=first.verdict_id) if is_named else None,
    )


def fallback_verdict(
    case: Case,
    late_action: Action,
    code: str,
    timing: Timing,
    decided_at: datetime,
    *,
    enforce: bool,
    attempts: int,
) -> Verdict:
    """The verdict where nobody judged: the policy's late action, sure of nothing and covering nothing."""
    ruling = enforced(Ruling(late_action, (), (f"fallback:{code}",), 0.0), enforce=enforce)
    return _verdict(case, ruling, "fallback", timing, decided_at, attempts=attempts, coverage=0.0)


def enforced(ruling: Ruling, *, enforce: bool) -> Ruling:
    """The ruling as it takes effect: with enforcement off nothing is blocked, a person looks instead."""
    if enforce or ruling.action != "block":
        return ruling
    return msgspec.structs.replace(ruling, action="review", reasons=(*ruling.reasons, "enforce_off"))


def timing(
    *, written_at_ms: float, decided_at_ms: float, worker_ms: float, inference_ms: float = 0.0
) -> Timing:
    """Where the time of an event went; the parts add up to the whole, and none is negative.

    `written_at_ms` is the broker's clock and `decided_at_ms` ours, so the wait in Kafka is as exact as the
    two agree; where ours is behind, it is 0. The times in the worker and in inference come from a clock that
    only goes forward. For what went through `pending`, triage's own moment counts as Kafka's.
    """
    # Whole microseconds are all that these clocks can tell; to round the floats takes twice as long.
    inference_us = round(max(0.0, inference_ms) * 1_000)
    queue_us = max(0, round(worker_ms * 1_000) - inference_us)
    kafka_us = max(0, round((decided_at_ms - written_at_ms) * 1_000) - queue_us - inference_us)
    return Timing(
        kafka_ms=kafka_us / 1_000,
        queue_ms=queue_us / 1_000,
        inference_ms=inference_us / 1_000,
        total_ms=(kafka_us + queue_us + inference_us) / 1_000,
    )


@lru_cache(maxsize=1)  # Of 20,000 verdicts in a second, 20 are of one millisecond.
def moment(wall_ms: float) -> datetime:
    """Milliseconds since the epoch as verdicts write them."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC)


def _rule_on_post(
    labels: Sequence[ScoredLabel], confidence: float, result: Result | None, policy: Policy
) -> Ruling:
    scored = score_post(labels, policy)
    return Ruling(scored.action, scored.labels, scored.reasons, confidence, result)


def _rule_on_ban(confidence: float, result: Result | None) -> Ruling:
    """A ban that stands keeps the account blocked; one that was wrong does not; else a person decides."""
    outcome = (result and result.outcome) or "unclear"
    reasons = (f"outcome:{outcome}",)
    match outcome:
        case "uphold":
            return Ruling("block", (), reasons, confidence, result)
        case "overturn":
            return Ruling("allow", (), reasons, confidence, result)
        case "unclear":
            return Ruling("review", (), reasons, confidence, result)
        case _:
            assert_never(outcome)


def _rule_on_account(confidence: float, result: Result | None, policy: Policy) -> Ruling:
    """A risk is about what may come: it is told, or looked at, but blocks nobody."""
    if result is None or result.risk is None:
        return Ruling("review", (), ("risk:unknown",), confidence, result)
    if result.risk >= policy.risk_review_at:
        return Ruling("review", (), ("risk:high",), confidence, result)
    if result.risk >= policy.risk_label_at:
        return Ruling("label", (), ("risk:raised",), confidence, result)
    return Ruling("allow", (), ("risk:low",), confidence, result)


def _rule_on_site(confidence: float, result: Result | None) -> Ruling:
    if result is not None and result.findings:
        return Ruling("label", (), ("health:findings",), confidence, result)
    return Ruling("allow", (), ("health:none",), confidence, result)


def _verdict(  # noqa: PLR0913  The parts of a verdict.
    case: Case,
    ruling: Ruling,
    decided_by: DecidedBy,
    timing: Timing,
    decided_at: datetime,
    *,
    attempts: int = 0,
    model: ModelRef | None = None,
    coverage: float = 1.0,
    original: Original | None = None,
) -> Verdict:
    event = case.event
    rev = event.rejudge.rev if event.rejudge else REV_FINAL
    return Verdict(
        v=1,
        verdict_id=verdict_id(event.tenant, event.id, case.content_digest, rev),
        tenant=event.tenant,
        id=event.id,
        content_digest=case.content_digest,
        kind=event.kind,
        priority=case.priority,
        rev=rev,
        status="final",
        action=ruling.action,
        labels=ruling.labels,
        confidence=ruling.confidence,
        decided_by=decided_by,
        reasons=ruling.reasons,
        policy=case.policy,
        timing=timing,
        attempts=attempts,
        coverage=coverage,
        source=case.source,
        decided_at=decided_at,
        result=ruling.result,
        model=model,
        original=original,
        run=event.rejudge.run if event.rejudge else None,
    )
