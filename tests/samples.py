"""One message of each sort that leaves, for tests that need any: vary it with `msgspec.structs.replace`."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.dead_letter import DeadLetter
from schemas.event import Source
from schemas.memory import Judged, Memo
from schemas.verdict import ModelRef, PolicyRef, Timing, Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SOURCE = Source(topic="content.critical", partition=3, offset=10, timestamp_ms=0)

VERDICT = Verdict(
    v=1,
    verdict_id="0" * 32,
    tenant="forum",
    id="post",
    content_digest="1" * 32,
    kind="moderate",
    priority="critical",
    rev=2,
    status="final",
    action="allow",
    labels=(),
    confidence=1.0,
    decided_by="rule",
    reasons=(),
    policy=PolicyRef(id="default", version=1, digest="2" * 32),
    timing=Timing(kafka_ms=1, queue_ms=2, inference_ms=3, total_ms=6),
    attempts=0,
    coverage=1.0,
    source=SOURCE,
    decided_at=NOW,
)
LETTER = DeadLetter(
    v=1,
    stage="judge",
    code="node_refused",
    detail="",
    path="",
    attempts=1,
    source=Source(topic="pending.critical", partition=0, offset=4, timestamp_ms=0),
    payload=b"",
    failed_at=NOW,
    tenant="forum",
    id="post",
    event=SOURCE,
)
MEMO = Memo(
    v=1,
    question_digest="3" * 32,
    content_digest="1" * 32,
    kind="moderate",
    policy=PolicyRef(id="default", version=1, digest="2" * 32),
    action="allow",
    labels=(),
    confidence=0.9,
    coverage=1.0,
    reasons=("model:none",),
    original=Judged(tenant="forum", id="post", verdict_id="0" * 32),
    judged_at_ms=1_000,
    expires_at_ms=86_401_000,
    model=ModelRef(name="m-7b", node="gpu-0"),
)
