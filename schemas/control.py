"""An operator's order to all workers. Written to `control` (compacted), the key is the order's subject."""

from __future__ import annotations

from typing import Annotated, Literal

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


class Drain(_Order, frozen=True, kw_only=True, tag="drain"):
    """Ask a node nothing more; what it is busy with is finished."""

    node: Annotated[str, Meta(min_length=1, max_length=300, description="As it is called in the settings.")]
    active: Annotated[bool, Meta(description="False: ask it again.")]

    @property
    def subject(self) -> str:
        """The key under which a later order replaces this one."""
        return f"drain/{self.node}"


PurgeAbout = Literal["digest", "policy", "model", "all"]


class Purge(_Order, frozen=True, kw_only=True, tag="purge"):
    """Answer for copies no more with what was judged before a moment, also where it comes in later."""

    about: Annotated[PurgeAbout, Meta(description="Which answers.")]
    value: Annotated[
        str,
        Meta(max_length=200, description="A content's or question's digest, a policy's id, a model's name."),
    ] = ""
    before: Annotated[
        Moment, Meta(description="The cut-off; it never moves back: the latest one of a subject counts.")
    ]

    @property
    def subject(self) -> str:
        """The key under which a later order replaces this one."""
        return f"purge/{self.about}/{self.value}" if self.value else f"purge/{self.about}"


Control = Pause | Enforce | Drain | Purge
