"""One remembered answer, in the changelog `memory`: keyed by question digest, in its record's partition.

A record without a value forgets the question. What a memo answers, and for whom, is decided elsewhere; here
is only what must be known to decide it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.event import EventId, Kind, Version
from schemas.verdict import Action, Digest, ModelRef, PolicyRef, Result, ScoredLabel, Share

MomentMs = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Milliseconds since the epoch, on the wall clock: what two machines can compare."""


DigestText = Annotated[str, Meta(min_length=32, max_length=32)]
"""A digest that whoever reads a memo compares with one that it knows: to match the pattern, too, would be a
tenth of the price of an answer from disk.
"""
TenantText = Annotated[str, Meta(min_length=1, max_length=64)]
"""Compared as well: an event is named to its own tenant only."""


class Judged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The event whose answer is remembered; copies of the same tenant may name it."""

    tenant: TenantText
    id: EventId
    verdict_id: Digest


class Memo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One remembered answer."""

    v: Version
    question_digest: Annotated[
        DigestText, Meta(description="What was asked: content, policy, prompt, model.")
    ]
    content_digest: Annotated[DigestText, Meta(description="What the text is.")]
    kind: Kind
    policy: Annotated[PolicyRef, Meta(description="The document under which it was judged.")]
    action: Annotated[Action, Meta(description="As it was judged, before any order weakened it.")]
    labels: tuple[ScoredLabel, ...]
    confidence: Share
    coverage: Annotated[Share, Meta(description="Share of the text that was judged.")]
    reasons: Annotated[tuple[str, ...], Meta(description="Codes, never quoted content.")]
    original: Annotated[Judged, Meta(description="The event that was judged.")]
    judged_at_ms: Annotated[MomentMs, Meta(description="When it was judged, in ms since the epoch.")]
    expires_at_ms: Annotated[MomentMs, Meta(description="From when on it answers nothing any more.")]
    model: Annotated[ModelRef | None, Meta(description="Who answered; null where a person did.")] = None
    result: Annotated[Result | None, Meta(description="The answer to kinds that are not posts.")] = None
