"""What could not be judged: the reason, and the whole original record, to be mended and sent again."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.event import Moment, Source, Version

Stage = Literal["triage", "judge"]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """One record header; the value is Base64 on the wire."""

    key: str
    value: bytes | None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One dead letter. `payload`, `key` and header values are Base64 on the wire."""

    v: Version
    stage: Annotated[Stage, Meta(description="Who gave up.")]
    code: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}\Z", description="Why: one of a documented list.")]
    detail: Annotated[str, Meta(description="Why, as a sentence; never quotes content.")]
    path: Annotated[str, Meta(description="Where in the payload; `$` is the whole of it.")]
    attempts: Annotated[int, Meta(ge=0, le=2**31 - 1, description="How often a node was asked.")]
    source: Annotated[Source, Meta(description="The record that is in `payload`.")]
    payload: Annotated[bytes | None, Meta(description="The record's value, byte for byte.")]
    failed_at: Moment
    key: Annotated[bytes | None, Meta(description="The record's key.")] = None
    headers: Annotated[tuple[Header, ...], Meta(description="The record's headers, in their order.")] = ()
    tenant: Annotated[str, Meta(description="Whose event it was; empty where it cannot be read.")] = ""
    id: Annotated[str, Meta(description="The event's id; empty where it cannot be read.")] = ""
    event: Annotated[
        Source | None, Meta(description="Where the event entered, if `payload` is a pending record.")
    ] = None
