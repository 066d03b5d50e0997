"""An operator's order to all workers. Written to `control` (compacted), the key is the order's subject."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from schemas.event import Priority


class _Order(msgspec.Struct, frozen=True, kw_only=True, tag_field="order"):
    """What every order has."""

    v: Literal[1]
    issued_at: datetime


class Pause(_Order, frozen=True, kw_only=True, tag="pause"):
    """Take in nothing of this priority; what is in flight is finished."""

    priority: Priority
    active: bool

    @property
    def subject(self) -> str:
        """The key under which a later order replaces this one."""
        return f"pause/{self.priority}"


class Enforce(_Order, frozen=True, kw_only=True, tag="enforce"):
    """While inactive, every `block` becomes `review`."""

    active: bool

    @property
    def subject(self) -> str:
        """The key under which a later order replaces this one."""
        return "enforce"


Control = Pause | Enforce
