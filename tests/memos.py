"""Memos for tests: named by a letter or a number, judged now, good for a day."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from schemas.memory import Judged, Memo
from schemas.verdict import ModelRef, PolicyRef, ScoredLabel
from schemas.wire import encode
from streams.ports import Change, MemoryLimits, Placed

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW_MS = 1_700_000_000_000
LIMITS = MemoryLimits(entries_max=100, bytes_max=64 << 20, ttl_ms=7 * DAY_MS)


def digest(name: object) -> str:
    return blake2b(str(name).encode(), digest_size=16).hexdigest()


def memo(name: object, **fields: Any) -> Memo:
    made: dict[str, Any] = {
        "v": 1,
        "question_digest": digest(name),
        "content_digest": digest(f"content {name}"),
        "kind": "moderate",
        "policy": PolicyRef(id="default", version=1, digest="a" * 32),
        "action": "allow",
        "labels": (ScoredLabel(name="spam", score=0.25), ScoredLabel(name="harassment", score=0.0)),
        "confidence": 0.875,
        "coverage": 1.0,
        "reasons": (),
        "original": Judged(tenant="default", id=f"post-{name}", verdict_id=digest(f"verdict {name}")),
        "judged_at_ms": NOW_MS,
        "expires_at_ms": NOW_MS + DAY_MS,
        "model": ModelRef(name="some-model", node="node-1"),
    }
    return Memo(**(made | fields))


def change(name: object, offset: int, **fields: Any) -> Change:
    return Change(digest(name).encode(), encode(memo(name, **fields)), offset)


def placed(name: object, **fields: Any) -> Placed:
    one = memo(name, **fields)
    return Placed(one, encode(one))


def tombstone(name: object, offset: int) -> Change:
    return Change(digest(name).encode(), None, offset)
