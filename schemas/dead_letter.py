"""What could not be judged: the reason, and the original record whole, so that it can be mended and sent again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.event import Source

Stage = Literal["triage", "judge"]


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """One record header; the value is Base64 on the wire."""

    key: str
    value: bytes | None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One dead letter. `payload`, `key` and header values are Base64 on the wire."""

    v: Literal[1]
    stage: Stage
    code: Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}$")]
    detail: str
    path: str
    attempts: Annotated[int, Meta(ge=0)]
    source: Source
    """The record that is in `payload`."""
    payload: bytes | None
    failed_at: datetime
    key: bytes | None = None
    headers: tuple[Header, ...] = ()
    tenant: str = ""
    id: str = ""
    event: Source | None = None
    """Where the event entered, if `payload` is a pending record."""
