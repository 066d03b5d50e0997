"""What enters: one content event, by kind. Apps write it to a `content.*` topic as JSON.

Unknown fields are ignored, so that producers may be newer than we are. The topic decides the priority.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

Kind = Literal["moderate", "review_ban", "scan", "analyze_user", "health_check"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Priority = Literal["critical", "high", "medium", "low"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""Most urgent first: the index of a priority is its number."""

EventId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="The producer's name for the post; an edited post keeps it.",
    ),
]
Tenant = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$", description="Whose event it is."),
]
Text = Annotated[str, Meta(min_length=1, description="The text to judge.")]
ShortText = Annotated[str, Meta(max_length=1_024)]
Texts = Annotated[tuple[str, ...], Meta(max_length=200)]


class Rejudge(msgspec.Struct, frozen=True, kw_only=True):
    """Set by replays and corrections: judge once more, and answer with this revision."""

    run: Annotated[str, Meta(min_length=1, max_length=128)]
    rev: Annotated[int, Meta(ge=1, le=2**31 - 1)]


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every kind of event has."""

    v: Literal[1]
    id: EventId
    tenant: Tenant = "default"
    author: Annotated[str, Meta(max_length=128, description="Who wrote it.")] = ""
    lang: Annotated[str, Meta(max_length=35, description="BCP 47 tag, where known.")] = ""
    created_at: Annotated[
        datetime | None,
        Meta(description="RFC 3339; information only, deadlines count from the record's Kafka timestamp."),
    ] = None
    context: Annotated[
        dict[Annotated[str, Meta(max_length=64)], ShortText],
        Meta(max_length=16, description="What a judge should know beside the text: title, parent …"),
    ] = msgspec.field(default_factory=dict)
    deadline_ms: (
        Annotated[
            int, Meta(ge=1, le=86_400_000, description="Milliseconds from the record's Kafka timestamp.")
        ]
        | None
    ) = None
    probe: Annotated[
        str, Meta(max_length=128, description="A nonce: the event goes the whole way and is never cached.")
    ] = ""
    policy: Annotated[str, Meta(max_length=64, description="Id of the policy; empty: the default one.")] = ""
    egress: Annotated[
        Literal["allowed", "forbidden"], Meta(description="Whether the text may leave for a foreign service.")
    ] = "forbidden"
    rejudge: Rejudge | None = None

    @property
    def kind(self) -> Kind:
        """The tag on the wire."""
        return self.__struct_config__.tag  # type: ignore[return-value]


class Moderate(_Event, frozen=True, kw_only=True, tag="moderate"):
    """A new or edited post."""

    text: Text


class Scan(_Event, frozen=True, kw_only=True, tag="scan"):
    """A post, once more, in the background."""

    text: Text


class ReviewBan(_Event, frozen=True, kw_only=True, tag="review_ban"):
    """A ban or an appeal against one: was it right?"""

    account: Annotated[str, Meta(min_length=1, max_length=128)]
    ground: Annotated[str, Meta(min_length=1, max_length=4_096)]
    evidence: Texts = ()
    text: Annotated[str, Meta(description="The appeal, where there is one.")] = ""


class AnalyzeUser(_Event, frozen=True, kw_only=True, tag="analyze_user"):
    """An account's behaviour."""

    account: Annotated[str, Meta(min_length=1, max_length=128)]
    posts: Annotated[tuple[str, ...], Meta(min_length=1, max_length=200)]
    text: str = ""


class HealthCheck(_Event, frozen=True, kw_only=True, tag="health_check"):
    """How the site is doing: its aggregates and sampled texts."""

    aggregates: Annotated[
        dict[Annotated[str, Meta(max_length=64)], float], Meta(max_length=64)
    ] = msgspec.field(default_factory=dict)
    samples: Texts = ()
    text: str = ""


Event = Moderate | Scan | ReviewBan | AnalyzeUser | HealthCheck


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where in Kafka an event stands."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
