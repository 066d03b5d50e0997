"""What leaves: one verdict on one event. Written to `verdicts` under the key `tenant/id`.

The effective verdict of (tenant, id, content digest) is that with the highest `rev`; of several with the same
`rev`, the first in the log. `verdict_id` is a hash of those four, so repeats are dropped by a set look-up.
`schemas.effective` does both for a consumer written in Python.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.event import Kind, Moment, Priority, Source, Version

Action = Literal["allow", "label", "review", "block"]
Status = Literal["provisional", "final", "revoked"]
Outcome = Literal["uphold", "overturn", "unclear"]
DecidedBy = Literal["rule", "cache", "model", "fallback", "person"]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
# What we count ourselves fits in 32 bits; a bound keeps what we read writable.
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]

# What a revision means to everyone who reads verdicts; we write no provisional ones yet.
REV_PROVISIONAL = 1
REV_FINAL = 2


class ScoredLabel(msgspec.Struct, frozen=True, kw_only=True):
    """A harm category of the policy, and how sure the judge is of it."""

    name: str
    score: Share


class PolicyRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which policy document judged."""

    id: str
    version: Count
    digest: Digest


class ModelRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which model on which node answered."""

    name: str
    node: str
    tier: str = "default"


class BatchRef(msgspec.Struct, frozen=True, kw_only=True):
    """The request that carried several posts."""

    id: str
    size: Count


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time went, in milliseconds."""

    kafka_ms: Annotated[float, Meta(description="From the event's Kafka timestamp to its arrival.")]
    queue_ms: Annotated[float, Meta(description="In the worker, waiting for a node.")]
    inference_ms: Annotated[float, Meta(description="In the model.")]
    total_ms: Annotated[float, Meta(description="From the event's Kafka timestamp to the verdict.")]


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the kinds beside posts are answered with."""

    outcome: Annotated[Outcome | None, Meta(description="Of `review_ban`.")] = None
    risk: Annotated[Share | None, Meta(description="Of `analyze_user`.")] = None
    findings: Annotated[
        tuple[str, ...], Meta(description="Codes, of `analyze_user` and `health_check`.")
    ] = ()


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The event of the same tenant whose answer this is."""

    id: str
    verdict_id: Digest


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One verdict."""

    v: Version
    verdict_id: Annotated[Digest, Meta(description="A hash of tenant, id, content digest and revision.")]
    tenant: str
    id: Annotated[str, Meta(description="The event's id.")]
    content_digest: Annotated[Digest, Meta(description="What was judged: an edited text has another one.")]
    kind: Kind
    priority: Priority
    rev: Annotated[int, Meta(ge=1, le=2**31 - 1, description="1 provisional, 2 final, above: corrections.")]
    status: Annotated[Status, Meta(description="A higher `rev` supersedes it, whatever the status.")]
    action: Annotated[Action, Meta(description="What to do with the post.")]
    labels: tuple[ScoredLabel, ...]
    confidence: Annotated[Share, Meta(description="How sure the judge is of the action.")]
    decided_by: DecidedBy
    reasons: Annotated[tuple[str, ...], Meta(description="Codes, never quoted content.")]
    policy: PolicyRef
    timing: Timing
    attempts: Annotated[Count, Meta(description="How often a node was asked.")]
    coverage: Annotated[Share, Meta(description="Share of the text that was judged.")]
    source: Annotated[Source, Meta(description="Where the event stands in `content.*`.")]
    decided_at: Moment
    result: Annotated[Result | None, Meta(description="The answer to kinds that are not posts.")] = None
    estimated_wait_ms: Annotated[
        Count | None, Meta(description="On a provisional verdict: when to expect the final one.")
    ] = None
    model: Annotated[ModelRef | None, Meta(description="Where a model decided.")] = None
    batch: Annotated[BatchRef | None, Meta(description="Where one request carried several posts.")] = None
    original: Annotated[Original | None, Meta(description="Where an earlier answer was reused.")] = None
    run: Annotated[str | None, Meta(description="The replay that asked for it.")] = None
