"""What becomes of the posts of a pack that came to nothing: halves, until the one that spoils it is alone.

Only what may be the posts' doing is bisected. A node that is full, or out, says nothing about them: they wait
together for the next. One post that spoils a pack of eight costs six more requests (two halves, three times),
and the posts beside it are answered with the first of these that does not hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from streams.core.retrying import Evidence, is_charged

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Halves:
    """Ask again in two requests; a half of one post is asked about alone."""


@dataclass(frozen=True, slots=True)
class Together:
    """Ask again as it is: it was not the posts' doing."""


@dataclass(frozen=True, slots=True)
class Alone:
    """One post is left: it is a question like any other, and so is what becomes of it."""


Next: TypeAlias = Halves | Together | Alone


def after_failed_pack(posts: int, code: str, evidence: Evidence) -> Next:
    """What is done about a pack that got a fault instead of an answer, or an answer that is not believed."""
    if posts < 2:
        return Alone()
    if not is_charged(code, evidence):
        return Together()
    return Halves()


def halves(posts: Sequence[T]) -> tuple[tuple[T, ...], ...]:
    """A pack's posts, as two."""
    middle = len(posts) - len(posts) // 2
    return tuple(posts[:middle]), tuple(posts[middle:])


def extra_requests_max(posts: int) -> int:
    """Most requests that one spoiling post adds to the one that was spoilt: two for each halving."""
    return 2 * (posts - 1).bit_length()
