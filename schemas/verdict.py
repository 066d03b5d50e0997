"""What leaves: one verdict on one event. Written to `verdicts` under the key `tenant/id`.

The effective verdict of (tenant, id, content digest) is that with the highest `rev`; of several with the same
`rev`, the first in the log. `verdict_id` is a hash of those four, so repeats are dropped by a set look-up.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.event import Kind, Priority, Source

Action = Literal["allow", "label", "review", "block"]
Status = Literal["provisional", "final", "revoked"]
DecidedBy = Literal["rule", "cache", "model", "fallback", "person"]
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")]

REV_PROVISIONAL = 1
REV_FINAL = 2


class ScoredLabel(msgspec.Struct, frozen=True, kw_only=True):
    """A harm category of the policy, and how sure the judge is of it."""

    name: str
    score: Annotated[float, Meta(ge=0.0, le=1.0)]


class PolicyRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which policy document judged."""

    id: str
    version: int
    digest: Digest


class ModelRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which model on which node answered."""

    name: str
    node: str
    tier: str = "default"


class BatchRef(msgspec.Struct, frozen=True, kw_only=True):
    """The request that carried several posts."""

    id: str
    size: int


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time went, in milliseconds: in Kafka, in the worker, in the model, and in all."""

    kafka_ms: float
    queue_ms: float
    inference_ms: float
    total_ms: float


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the kinds beside posts are answered with."""

    outcome: Literal["uphold", "overturn", "unclear"] | None = None
    risk: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    findings: tuple[str, ...] = ()


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The event of the same tenant whose answer this is."""

    id: str
    verdict_id: Digest


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One verdict."""

    v: Literal[1]
    verdict_id: Digest
    tenant: str
    id: str
    content_digest: Digest
    kind: Kind
    priority: Priority
    rev: Annotated[int, Meta(ge=1)]
    status: Status
    action: Action
    labels: tuple[ScoredLabel, ...]
    confidence: Annotated[float, Meta(ge=0.0, le=1.0)]
    decided_by: DecidedBy
    reasons: tuple[str, ...]
    policy: PolicyRef
    timing: Timing
    attempts: Annotated[int, Meta(ge=0)]
    coverage: Annotated[float, Meta(ge=0.0, le=1.0, description="Share of the text that was judged.")]
    source: Source
    decided_at: datetime
    result: Result | None = None
    estimated_wait_ms: int | None = None
    model: ModelRef | None = None
    batch: BatchRef | None = None
    original: Original | None = None
    run: str | None = None
