"""An operator's order to all workers. Written to `control` (compacted), the key is the order's subject."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.event import Moment, Priority, Version


class _Order(msgspec.Struct, frozen=True, kw_only=True, tag_field="order"):
    """What every order has."""

    v: Version
    issued_at: Moment


class Pause(_Order, frozen=True, kw_only=True, tag="pause"):
    """Take in nothing of this priority; what is in flight is finished."""

    priority: Priority
    active: Annotated[bool, Meta(description="False: take it in again.")]

    @property
    def subject(self) -> str:
        """The key under which a later order replaces this one."""
        return f"pause/{self.priority}"


class Enforce(_Order, frozen=True, kw_only=True, tag="enforce"):
    """While inactive, every `block` becomes `review`."""

    active: Annotated[bool, Meta(description="False: block nothing, have it reviewed.")]

    @property
    def subject(self) -> str:
        """The key under which a later order replaces this one."""
        return "enforce"


Control = Pause | Enforce
