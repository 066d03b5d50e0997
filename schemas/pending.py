"""What triage could not decide, on its way to judge: `pending.*`, keyed by content digest."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.event import Event, Priority, Source
from schemas.verdict import Digest, PolicyRef


class Pending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The event, what triage found, and where it came from."""

    v: Literal[1]
    content_digest: Digest
    priority: Priority
    event: Event
    source: Source
    policy: PolicyRef
    flags: tuple[str, ...] = ()
    """What normalising changed: `invisible`, `confusable` …"""
    obfuscation: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    shadow_hits: tuple[str, ...] = ()
    """Ids of shadow rules that would have decided."""
    trace_id: Annotated[str, Meta(pattern=r"^([0-9a-f]{32})?$")] = ""
    """Of an unsampled trace; a sampled one travels in the record's header."""
    parked: Annotated[int, Meta(ge=0)] = 0
