"""Hypothesis strategies for every message: whatever the schemas allow, and nothing that they do not.

    from strategies import events, verdicts
    @given(events())
    def test_…(event): …

Each takes fields to hold fixed: `verdicts(tenant=st.just("acme"), rev=st.integers(1, 3))`.
"""

from __future__ import annotations

from datetime import UTC, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from schemas.campaign import Campaign
from schemas.control import Control, Drain, Enforce, Pause, Purge
from schemas.dead_letter import DeadLetter, Header
from schemas.event import (
    KINDS,
    PRIORITIES,
    AnalyzeUser,
    Event,
    HealthCheck,
    Moderate,
    Rejudge,
    ReviewBan,
    Scan,
    Source,
)
from schemas.memory import Judged, Memo
from schemas.pending import Pending
from schemas.policy import (
    ActivePolicy,
    AllowRule,
    FloodRule,
    Label,
    LengthRule,
    LinksRule,
    Policy,
    Prompt,
    RegexRule,
    RepetitionRule,
    ShapeRule,
    TermsRule,
)
from schemas.verdict import BatchRef, ModelRef, Original, PolicyRef, Result, ScoredLabel, Timing, Verdict

INT31_MAX = 2**31 - 1
INT63_MAX = 2**63 - 1

shares = st.floats(0.0, 1.0)
figures = st.floats(allow_nan=False, allow_infinity=False)
digests = st.text("0123456789abcdef", min_size=32, max_size=32)
counts = st.integers(0, INT31_MAX)
# Surrogates are the one thing that Python's strings hold and UTF-8 does not.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
filled_texts = texts.filter(bool)
ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128)
names = st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,63}", fullmatch=True)
tenants = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)
# Offsets of whole minutes are all that RFC 3339 can say.
moments = st.datetimes(
    timezones=st.just(UTC) | st.integers(-1_439, 1_439).map(lambda m: timezone(timedelta(minutes=m)))
)
priorities = st.sampled_from(PRIORITIES)
kinds = st.sampled_from(KINDS)
actions = st.sampled_from(["allow", "label", "review", "block"])


def tuples(items: st.SearchStrategy[Any], *, min_size: int = 0, max_size: int = 4) -> st.SearchStrategy[Any]:
    return st.lists(items, min_size=min_size, max_size=max_size).map(tuple)


rejudges = st.builds(Rejudge, run=texts.filter(bool), rev=st.integers(1, INT31_MAX))


def sources(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Source]:
    made = {
        "topic": names,
        "partition": counts,
        "offset": st.integers(0, INT63_MAX),
        "timestamp_ms": st.integers(-1, INT63_MAX),
    }
    return st.builds(Source, **(made | fields))


def _of_any_event() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "v": st.just(1),
        "id": ids,
        "tenant": tenants,
        "author": texts,
        "lang": st.sampled_from(["", "en", "de-CH", "zh-Hant-TW"]),
        "created_at": st.none() | moments,
        "context": st.dictionaries(texts, texts, max_size=4),
        "deadline_ms": st.none() | st.integers(1, 86_400_000),
        "probe": texts,
        "policy": st.just("") | names,
        "egress": st.sampled_from(["allowed", "forbidden"]),
        "rejudge": st.none() | rejudges,
    }


def moderates(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Moderate]:
    return st.builds(Moderate, **(_of_any_event() | {"text": filled_texts} | fields))


def scans(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Scan]:
    return st.builds(Scan, **(_of_any_event() | {"text": filled_texts} | fields))


def review_bans(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[ReviewBan]:
    own = {"account": filled_texts, "ground": filled_texts, "evidence": tuples(texts), "text": texts}
    return st.builds(ReviewBan, **(_of_any_event() | own | fields))


def analyze_users(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[AnalyzeUser]:
    own = {"account": filled_texts, "posts": tuples(texts, min_size=1), "text": texts}
    return st.builds(AnalyzeUser, **(_of_any_event() | own | fields))


def health_checks(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[HealthCheck]:
    own = {
        "aggregates": st.dictionaries(texts, figures, max_size=4),
        "samples": tuples(texts),
        "text": texts,
    }
    return st.builds(HealthCheck, **(_of_any_event() | own | fields))


def events(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    """Events of all kinds; fields to hold fixed are those that every kind has."""
    makers = (moderates, scans, review_bans, analyze_users, health_checks)
    return st.one_of(*(maker(**fields) for maker in makers))


policy_refs = st.builds(PolicyRef, id=names, version=counts, digest=digests)


def pendings(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Pending]:
    made = {
        "v": st.just(1),
        "content_digest": digests,
        "priority": priorities,
        "event": events(),
        "source": sources(),
        "policy": policy_refs,
        "flags": tuples(names),
        "obfuscation": shares,
        "shadow_hits": tuples(names),
        "suspected": tuples(names),
        "trace_id": st.just("") | digests,
        "parked": counts,
    }
    return st.builds(Pending, **(made | fields))


results = st.builds(
    Result,
    outcome=st.none() | st.sampled_from(["uphold", "overturn", "unclear"]),
    risk=st.none() | shares,
    findings=tuples(names),
)


def verdicts(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Verdict]:
    made = {
        "v": st.just(1),
        "verdict_id": digests,
        "tenant": tenants,
        "id": ids,
        "content_digest": digests,
        "kind": kinds,
        "priority": priorities,
        "rev": st.integers(1, INT31_MAX),
        "status": st.sampled_from(["provisional", "final", "revoked"]),
        "action": actions,
        "labels": tuples(st.builds(ScoredLabel, name=names, score=shares)),
        "confidence": shares,
        "decided_by": st.sampled_from(["rule", "cache", "model", "fallback", "person"]),
        "reasons": tuples(names),
        "policy": policy_refs,
        "timing": st.builds(
            Timing, kafka_ms=figures, queue_ms=figures, inference_ms=figures, total_ms=figures
        ),
        "attempts": counts,
        "coverage": shares,
        "source": sources(),
        "decided_at": moments,
        "result": st.none() | results,
        "estimated_wait_ms": st.none() | counts,
        "model": st.none() | st.builds(ModelRef, name=texts, node=texts, tier=names),
        "batch": st.none() | st.builds(BatchRef, id=texts, size=counts),
        "original": st.none() | st.builds(Original, id=ids, verdict_id=digests),
        "run": st.none() | texts,
    }
    return st.builds(Verdict, **(made | fields))


def memos(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Memo]:
    made = {
        "v": st.just(1),
        "question_digest": digests,
        "content_digest": digests,
        "kind": kinds,
        "policy": policy_refs,
        "action": actions,
        "labels": tuples(st.builds(ScoredLabel, name=names, score=shares)),
        "confidence": shares,
        "coverage": shares,
        "reasons": tuples(names),
        "original": st.builds(Judged, tenant=tenants, id=ids, verdict_id=digests),
        "judged_at_ms": st.integers(0, INT63_MAX),
        "expires_at_ms": st.integers(0, INT63_MAX),
        "model": st.none() | st.builds(ModelRef, name=texts, node=texts, tier=names),
        "result": st.none() | results,
    }
    return st.builds(Memo, **(made | fields))


def dead_letters(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[DeadLetter]:
    made = {
        "v": st.just(1),
        "stage": st.sampled_from(["triage", "judge"]),
        "code": st.from_regex(r"[a-z0-9_]{1,64}", fullmatch=True),
        "detail": texts,
        "path": texts,
        "attempts": counts,
        "source": sources(),
        "payload": st.none() | st.binary(max_size=200),
        "failed_at": moments,
        "key": st.none() | st.binary(max_size=40),
        "headers": tuples(st.builds(Header, key=texts, value=st.none() | st.binary(max_size=40)), max_size=3),
        "tenant": st.just("") | tenants,
        "id": st.just("") | ids,
        "event": st.none() | sources(),
    }
    return st.builds(DeadLetter, **(made | fields))


labels = st.builds(
    Label,
    name=names,
    description=filled_texts,
    label_at=shares,
    review_at=shares,
    block_at=shares,
    reuse_ttl_s=st.none() | st.integers(0, 2_592_000),
    late=st.none() | st.sampled_from(["hold", "allow_and_recheck", "review", "block"]),
)
prompts = st.builds(
    Prompt,
    kind=kinds,
    text=filled_texts,
    priority=st.none() | priorities,
    text_bytes_max=st.none() | st.integers(1, 1_048_576),
)


def _of_any_rule() -> dict[str, st.SearchStrategy[Any]]:
    return {
        "id": names,
        "action": actions,
        "label": names,
        "mode": st.sampled_from(["live", "shadow", "off"]),
        "canary_percent": st.floats(0, 100),
        "kinds": tuples(kinds),
        "matches": tuples(texts),
        "passes": tuples(texts),
    }


rules = st.one_of(
    st.builds(
        TermsRule,
        terms=tuples(filled_texts, min_size=1),
        anywhere=st.booleans(),
        evasion=st.booleans(),
        **_of_any_rule(),
    ),
    st.builds(RegexRule, patterns=tuples(filled_texts, min_size=1), **_of_any_rule()),
    st.builds(
        LengthRule,
        characters_max=st.integers(1, 64),
        unless=tuples(filled_texts),
        words=tuples(filled_texts),
        **_of_any_rule(),
    ),
    st.builds(
        RepetitionRule,
        run_min=st.integers(5, 10_000),
        word_share=shares,
        words_min=st.integers(3, 10_000),
        lines_min=st.integers(0, 10_000),
        **_of_any_rule(),
    ),
    st.builds(
        LinksRule,
        domains=tuples(st.sampled_from(["example.com", "nothing", "пример.рф"]) | filled_texts),
        except_domains=tuples(filled_texts),
        subdomains=st.booleans(),
        links_over=st.integers(0, 1_000),
        **_of_any_rule(),
    ),
    st.builds(
        ShapeRule,
        capitals_share=st.none() | shares,
        emoji_share=st.none() | shares,
        mentions_over=st.none() | st.integers(0, 1_000),
        **_of_any_rule(),
    ),
    st.builds(
        AllowRule, authors=tuples(filled_texts), tenant=tenants, digests=tuples(digests), **_of_any_rule()
    ),
    st.builds(
        FloodRule, posts_over=st.integers(1, 10_000), window_s=st.integers(1, 86_400), **_of_any_rule()
    ),
)


def policies(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Policy]:
    """Of the right shape; whether a policy is in itself consistent is not the shape's matter."""
    made = {
        "id": names,
        "version": st.integers(1, INT31_MAX),
        "labels": tuples(labels, min_size=1),
        "prompts": tuples(prompts, min_size=1),
        "rules": tuples(rules),
        "reuse_confidence": shares,
        "late_action": actions,
    }
    return st.builds(Policy, **(made | fields))


def active_policies(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[ActivePolicy]:
    made = {
        "id": names,
        "version": st.integers(1, INT31_MAX),
        "digest": digests,
        "history": tuples(digests),
    }
    return st.builds(ActivePolicy, **(made | fields))


def orders() -> st.SearchStrategy[Control]:
    return st.one_of(
        st.builds(Pause, v=st.just(1), issued_at=moments, priority=priorities, active=st.booleans()),
        st.builds(Enforce, v=st.just(1), issued_at=moments, active=st.booleans()),
        st.builds(
            Drain, v=st.just(1), issued_at=moments, node=st.sampled_from(["a", "gpu-0"]), active=st.booleans()
        ),
        purges(),
    )


def purges(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Purge]:
    made = {
        "v": st.just(1),
        "issued_at": moments,
        "about": st.sampled_from(["digest", "policy", "model", "all"]),
        "value": texts,
        "before": moments,
    }
    return st.builds(Purge, **(made | fields))


def campaigns(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Campaign]:
    moments_ms = st.integers(0, INT63_MAX)
    made = {
        "v": st.just(1),
        "content_digest": digests,
        "tenant": tenants,
        "kind": kinds,
        "step": counts,
        "copies": counts,
        "authors_estimated": counts,
        "first_seen_ms": moments_ms,
        "last_seen_ms": moments_ms,
    }
    return st.builds(Campaign, **(made | fields))
