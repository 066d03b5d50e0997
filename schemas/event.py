"""What enters: one content event, by kind. Apps write it to a `content.*` topic as JSON.

Unknown fields are ignored, so that producers may be newer than we are. The topic decides the priority. Every
list, map and string that is not text to judge is bounded here; texts are bounded by `wire.check_text`, in
bytes, because how long a text may be is the operator's choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, ClassVar, Literal, get_args

import msgspec
from msgspec import Meta

Kind = Literal["moderate", "review_ban", "scan", "analyze_user", "health_check"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Priority = Literal["critical", "high", "medium", "low"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""Most urgent first: the index of a priority is its number."""

# All patterns end in `\Z`: Python's `$` also matches before a last line feed. The JSON Schemas say `$`, which
# elsewhere means the same as our `\Z`.
Version = Annotated[Literal[1], Meta(description="Version of this message's shape.")]
Moment = Annotated[datetime, Meta(tz=True)]
"""RFC 3339 with an offset: a time without one means another moment in every place."""
EventId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=128,
        # C0 and C1 controls: an id is a Kafka key, and is shown in terminals.
        pattern=r"^[^\x00-\x1f\x7f-\x9f]+\Z",
        description="The producer's name for the post; an edited post keeps it.",
    ),
]
Tenant = Annotated[
    str,
    Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z", description="Whose event it is."),
]
Text = Annotated[str, Meta(min_length=1, description="The text to judge.")]
Account = Annotated[str, Meta(min_length=1, max_length=128, description="Whose account it is about.")]
ContextKey = Annotated[str, Meta(max_length=64)]
ContextValue = Annotated[str, Meta(max_length=1_024)]

# Kafka counts offsets in 64 bits and partitions in 32; what does not fit could be read, but never written.
Offset = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Partition = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Rejudge(msgspec.Struct, frozen=True, kw_only=True):
    """Set by replays and corrections: judge once more, and answer with this revision."""

    run: Annotated[str, Meta(min_length=1, max_length=128, description="The replay's name.")]
    rev: Annotated[int, Meta(ge=1, le=2**31 - 1, description="The revision of the answer.")]


class _Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What every kind of event has."""

    kind: ClassVar[Kind]
    """The tag on the wire; asked several times for every post, and so no property."""

    v: Version
    id: EventId
    tenant: Tenant = "default"
    author: Annotated[str, Meta(max_length=128, description="Who wrote it.")] = ""
    lang: Annotated[str, Meta(max_length=35, description="BCP 47 tag, where known.")] = ""
    created_at: Annotated[
        Moment | None,
        Meta(description="RFC 3339; information only, deadlines count from the record's Kafka timestamp."),
    ] = None
    context: Annotated[
        dict[ContextKey, ContextValue],
        Meta(max_length=16, description="What a judge should know beside the text: title, parent …"),
    ] = msgspec.field(default_factory=dict)
    deadline_ms: Annotated[
        Annotated[int, Meta(ge=1, le=86_400_000)] | None,
        Meta(description="Milliseconds from the record's Kafka timestamp."),
    ] = None
    probe: Annotated[
        str, Meta(max_length=128, description="A nonce: the event goes the whole way and is never cached.")
    ] = ""
    policy: Annotated[
        str,
        Meta(
            pattern=r"^([a-z0-9][a-z0-9_.-]{0,63})?\Z",
            description="Id of the policy; empty: the default one.",
        ),
    ] = ""
    egress: Annotated[
        Literal["allowed", "forbidden"], Meta(description="Whether the text may leave for a foreign service.")
    ] = "forbidden"
    rejudge: Annotated[Rejudge | None, Meta(description="Set by replays and corrections only.")] = None


class Moderate(_Event, frozen=True, kw_only=True, tag="moderate"):
    """A new or edited post."""

    kind = "moderate"

    text: Text


class Scan(_Event, frozen=True, kw_only=True, tag="scan"):
    """A post, once more, in the background."""

    kind = "scan"

    text: Text


class ReviewBan(_Event, frozen=True, kw_only=True, tag="review_ban"):
    """A ban or an appeal against one: was it right?"""

    kind = "review_ban"

    account: Account
    ground: Annotated[str, Meta(min_length=1, max_length=4_096, description="Why it was banned.")]
    evidence: Annotated[
        tuple[str, ...], Meta(max_length=200, description="The texts that led to the ban.")
    ] = ()
    text: Annotated[str, Meta(description="The appeal, where there is one.")] = ""


class AnalyzeUser(_Event, frozen=True, kw_only=True, tag="analyze_user"):
    """An account's behaviour."""

    kind = "analyze_user"

    account: Account
    posts: Annotated[
        tuple[str, ...], Meta(min_length=1, max_length=200, description="What it wrote of late.")
    ]
    text: Annotated[str, Meta(description="What prompted the question, where something did.")] = ""


class HealthCheck(_Event, frozen=True, kw_only=True, tag="health_check"):
    """How the site is doing: its aggregates and sampled texts."""

    kind = "health_check"

    aggregates: Annotated[
        dict[Annotated[str, Meta(max_length=64)], float],
        Meta(max_length=64, description="Figures of the site by name: posts per hour, share of reports …"),
    ] = msgspec.field(default_factory=dict)
    samples: Annotated[tuple[str, ...], Meta(max_length=200, description="Texts drawn at random.")] = ()
    text: Annotated[str, Meta(description="What the figures do not say.")] = ""


Event = Moderate | Scan | ReviewBan | AnalyzeUser | HealthCheck


def texts_of(event: Event) -> Iterator[tuple[str, str]]:
    """Every text of an event that may be content, with its place; a context's keys are not told."""
    yield "$.text", event.text
    for value in event.context.values():
        yield "$.context[...]", value
    match event:
        case ReviewBan():
            yield "$.ground", event.ground
            yield from _numbered("$.evidence", event.evidence)
        case AnalyzeUser():
            yield from _numbered("$.posts", event.posts)
        case HealthCheck():
            yield from _numbered("$.samples", event.samples)
        case Moderate() | Scan():
            pass


def _numbered(path: str, texts: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for index, text in enumerate(texts):
        yield f"{path}[{index}]", text


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where in Kafka a record stands."""

    topic: str
    partition: Partition
    offset: Offset
    timestamp_ms: Annotated[
        int, Meta(ge=-1, le=2**63 - 1, description="What the broker stamped it with; -1: nothing.")
    ]
