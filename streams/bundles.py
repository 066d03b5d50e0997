"""What goes to a node in one request, and what a job must tell so that others may go beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from streams.ports import Answer, PackedQuestion, Question


class Looked(NamedTuple):
    """What is known of a post before it goes anywhere."""

    is_apart: bool
    """Its content is why it goes alone."""
    tokens: int


class Packable(Protocol):
    """What is read of a job."""

    @property
    def question(self) -> Question: ...
    @property
    def lane(self) -> int: ...
    @property
    def arrived_ms(self) -> float: ...
    @property
    def goes_alone(self) -> bool:
        """Whether triage found that it hides something, or an attempt at it has failed."""
        ...

    looked: Looked | None
    """What was found out about its content: once, for it takes some 20 us."""


J = TypeVar("J", bound=Packable)


@dataclass(frozen=True, slots=True, eq=False)
class Bundle(Generic[J]):
    """One request: a job as it is, or several and the question about them all."""

    jobs: tuple[J, ...]
    packed: PackedQuestion | None = None
    is_rest: bool = False
    """Whether it is what is left of a pack that failed: such a one says nothing about the size of packs."""


@dataclass(frozen=True, slots=True)
class Back(Generic[J]):
    """These go back to the lanes."""

    jobs: tuple[J, ...] = ()
    is_spoilt: bool = False
    """Whether the pack is never put together again: what is left of it goes in halves, or one by one."""


@dataclass(frozen=True, slots=True)
class Answered(Generic[J]):
    """What a pack's answer means for its jobs."""

    done: tuple[tuple[J, Answer], ...]
    """These have their answer."""
    alone: tuple[J, ...]
    """What was said about these cannot be used: each is asked about again, alone, and charged an attempt."""
    again: tuple[tuple[J, Answer], ...]
    """Of those that are done the ones to be judged a second time, alone; tell `compared`."""
