"""A campaign: copies of one text by many authors. Written to `campaigns`, keyed by the content digest.

Of the text and its authors nothing is in it but a digest and their number.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.event import Kind, Tenant, Version
from schemas.memory import MomentMs
from schemas.verdict import Count, Digest


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a text's growth; a later step has greater figures."""

    v: Version
    content_digest: Annotated[Digest, Meta(description="What the text is, as verdicts name it.")]
    tenant: Annotated[Tenant, Meta(description="Whose copy it was that made the step.")]
    kind: Kind
    step: Annotated[Count, Meta(description="1 at the threshold, and one more with each doubling.")]
    copies: Annotated[Count, Meta(description="Within the window, roughly: somewhat more than one window.")]
    authors_estimated: Annotated[Count, Meta(description="How many wrote them, within some per cent.")]
    first_seen_ms: Annotated[
        MomentMs, Meta(description="When the first copy came, by Kafka's timestamps, in ms since the epoch.")
    ]
    last_seen_ms: Annotated[MomentMs, Meta(description="When the copy came that made the step.")]
