"""Memos as a model's answers make them: some 700 bytes, of which the digests are like no others."""

from __future__ import annotations

from hashlib import blake2b

from schemas.memory import Judged, Memo
from schemas.verdict import ModelRef, PolicyRef, ScoredLabel
from schemas.wire import encode
from streams.ports import MemoryLimits, Placed

NOW_MS = 1_700_000_000_000
_DAY_MS = 86_400_000
LIMITS = MemoryLimits(entries_max=1_000, bytes_max=512 << 20, ttl_ms=7 * _DAY_MS)
"""What a million memos take, and again as much: so that all of them can be asked for."""

_POLICY = PolicyRef(id="default", version=4, digest="a" * 32)
_MODEL = ModelRef(name="some-model-8b-instruct", node="node-1")
_LABELS = ("harassment", "hate", "self_harm", "spam", "threat")


def question(number: int) -> str:
    """The digest of a question."""
    return blake2b(b"question %d" % number, digest_size=16).hexdigest()


def memo(number: int) -> Memo:
    """The answer to it."""
    digest = blake2b(b"%d" % number, digest_size=32).hexdigest()
    labels = tuple(
        ScoredLabel(name=name, score=((number >> at) & 127) / 128) for at, name in enumerate(_LABELS)
    )
    return Memo(
        v=1,
        question_digest=question(number),
        content_digest=digest[:32],
        kind="moderate",
        policy=_POLICY,
        action="label",
        labels=labels,
        confidence=0.875,
        coverage=1.0,
        reasons=("label:harassment",),
        original=Judged(tenant="default", id=f"post-{number:012d}", verdict_id=digest[32:]),
        judged_at_ms=NOW_MS,
        expires_at_ms=NOW_MS + _DAY_MS,
        model=_MODEL,
    )


def placed(number: int) -> Placed:
    """The same as it stands in the changelog."""
    one = memo(number)
    return Placed(one, encode(one))
