"""What triage could not decide, on its way to judge: `pending.*`, keyed by content digest."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.event import Event, Priority, Source, Version
from schemas.verdict import Digest, PolicyRef


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The event, what triage found, and where it came from."""

    v: Version
    content_digest: Annotated[Digest, Meta(description="What the text is: equal texts have equal digests.")]
    priority: Annotated[Priority, Meta(description="Of the topic, or lower where the policy says so.")]
    event: Annotated[Event, Meta(description="The event as it was decoded.")]
    source: Annotated[Source, Meta(description="Where the event stands in `content.*`.")]
    policy: Annotated[PolicyRef, Meta(description="The document under which it is judged.")]
    flags: Annotated[
        tuple[str, ...], Meta(description="What normalising changed: `invisible`, `confusable` …")
    ] = ()
    obfuscation: Annotated[
        float, Meta(ge=0.0, le=1.0, description="How much the text looks as if it hid something.")
    ] = 0.0
    shadow_hits: Annotated[
        tuple[str, ...], Meta(description="Ids of shadow rules that would have decided.")
    ] = ()
    suspected: Annotated[
        tuple[str, ...],
        Meta(description="Labels that live rules found where they may not decide: if late, these count."),
    ] = ()
    trace_id: Annotated[
        str,
        Meta(
            pattern=r"^([0-9a-f]{32})?\Z",
            description="Of an unsampled trace; a sampled one travels in the record's header.",
        ),
    ] = ""
    parked: Annotated[
        int, Meta(ge=0, le=2**31 - 1, description="How often it went back to the end of its topic.")
    ] = 0
