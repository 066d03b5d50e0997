"""One way to ask and to read, prepared for a policy, a kind and a model: all but the content is bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from schemas.event import Event, Kind
from streams.core.answers import POSTS, Judgement
from streams.core.replies import Reply
from streams.core.requests import Body

Endpoint = Literal["chat", "decisions"]


class UnsuitedKind(Exception):
    """This format judges posts, and nothing else."""


class Asking(NamedTuple):
    """What is asked, and how the answer is read."""

    kind: Kind
    bodies: tuple[Body, ...]
    show: Callable[[Event], str]
    """The content as the model sees it."""
    parse: Callable[[Sequence[Reply]], Judgement]
    """The judgement in the replies, one for each request; raises `UnusableAnswer`."""
    endpoint: Endpoint = "chat"
    overhead_bytes: int = 0
    """What a request holds beside the content, as text: it takes room in the context."""
    output_tokens_max: int = 0

    def build(self, event: Event) -> tuple[bytes, ...]:
        """The requests about an event: mostly one. Each begins with the same bytes every time."""
        content = self.show(event)
        return tuple(body.around(content) for body in self.bodies)


def posts_only(kind: Kind) -> None:
    """Raise where the kind is none of a post."""
    if kind not in POSTS:
        raise UnsuitedKind
