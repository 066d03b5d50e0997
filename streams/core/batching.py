"""When a pack goes and how large it is: posts of one like gather while no slot is free, and go when one is.

It is offered a post only when a slot could take it, so nothing waits here that could be served: a pack goes
as soon as it is full, and otherwise as soon as nobody else of its like is at hand, unless a short wait for
one more pays (`streams.core.packing_pays`). Whoever takes a pack answers for each of its posts
(`streams.packs`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from schemas.event import Kind
from streams.core.packing_pays import Patience, Pays

T = TypeVar("T")

SHORT_TOKENS = 16
"""Up to here a post is as long as any other: what stands around it in its slot has as many tokens."""
LENGTHS_RATIO_MAX = 2
RHYTHMS_MAX = 256
_KEPT = 0.8
_NEVER_MS = float("inf")


class Like(NamedTuple):
    """What the posts of a pack have in common."""

    lane: int
    policy: Hashable
    tenant: str
    kind: Kind


class Traits(NamedTuple):
    """What decides beside whom a post may stand, and for how long."""

    like: Like
    tokens: int
    arrived_ms: float
    deadline_ms: float | None = None


class Go(NamedTuple, Generic[T]):
    """These go now, in one request; one of them goes alone."""

    posts: tuple[T, ...]


class Wait(NamedTuple):
    """It stays until more of its like come, or until this moment."""

    until_ms: float


Offered: TypeAlias = Go[T] | Wait


@dataclass(slots=True)
class _Open(Generic[T]):
    """A pack that is not full yet."""

    like: Like
    posts: list[T]
    opened_ms: float
    until_ms: float
    deadline_ms: float
    shortest: int
    longest: int

    def __repr__(self) -> str:
        return f"{len(self.posts)} of lane {self.like.lane}"

    def add(self, post: T, traits: Traits) -> None:
        """One more."""
        self.posts.append(post)
        self.deadline_ms = min(self.deadline_ms, _deadline_ms(traits))
        self.shortest = min(self.shortest, traits.tokens)
        self.longest = max(self.longest, traits.tokens)

    def has_length(self, tokens: int) -> bool:
        """Whether a post is about as long as those in it: no one waits for a much longer one."""
        shortest, longest = min(self.shortest, tokens), max(self.longest, tokens)
        return longest <= LENGTHS_RATIO_MAX * max(SHORT_TOKENS, shortest)


class Batching(Generic[T]):
    """The packs of one node that are not full yet."""

    def __init__(self, pays: Pays) -> None:
        self._pays = pays
        self._open: list[_Open[T]] = []
        # When the last of a like came, and how far apart they come.
        self._rhythms: OrderedDict[Like, tuple[float, float | None]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Batching [{', '.join(map(repr, self._open)) or 'none'} open]>"

    def __len__(self) -> int:
        return sum(len(pack.posts) for pack in self._open)

    def __iter__(self) -> Iterator[T]:
        return (post for pack in self._open for post in pack.posts)

    def would_join(self, traits: Traits, *, now_ms: float, size: int) -> bool:
        """Whether a post would find others here."""
        return self._room_for(traits, now_ms, size) is not None

    def offer(self, post: T, traits: Traits, *, now_ms: float, size: int, patience: Patience) -> Offered[T]:
        """Add a post to those of its like. A full pack goes."""
        gap_ms = self._gap_ms(traits.like, traits.arrived_ms)
        pack = self._room_for(traits, now_ms, size)
        if pack is None:
            pack = _Open(traits.like, [], now_ms, now_ms, _NEVER_MS, traits.tokens, traits.tokens)
            self._open.append(pack)
        pack.add(post, traits)
        if len(pack.posts) >= size:
            return Go(self._leave(pack))
        # The age of the oldest counts: who was first does not wait anew for each who comes.
        waiting_ms = self._pays.wait_ms(len(pack.posts), size, gap_ms, patience)
        latest_ms = pack.deadline_ms - self._taking_ms(len(pack.posts))
        pack.until_ms = max(now_ms, min(pack.opened_ms + waiting_ms, latest_ms))
        return Wait(pack.until_ms)

    def openings(self) -> list[tuple[Like, int]]:
        """Of each pack, what its posts have in common, and how many there are."""
        return [(pack.like, len(pack.posts)) for pack in self._open]

    def take(self, now_ms: float, *, is_wanted: bool = False) -> tuple[T, ...]:
        """What goes into a free slot, when nobody of its like is at hand; nothing where all may still wait.

        None may, where the slot `is_wanted`: somebody else would have it instead.
        """
        due = [pack for pack in self._open if is_wanted or pack.until_ms <= now_ms]
        return self._leave(min(due, key=lambda pack: (pack.like.lane, pack.opened_ms))) if due else ()

    def due_at_ms(self) -> float | None:
        """When the first of those that wait may wait no longer."""
        return min((pack.until_ms for pack in self._open), default=None)

    def remove(self, is_unwanted: Callable[[T], bool]) -> list[T]:
        """Take out every post of which this is true."""
        gone: list[T] = []
        for pack in self._open:
            posts, pack.posts = pack.posts, []
            for post in posts:
                (gone if is_unwanted(post) else pack.posts).append(post)
        self._open = [pack for pack in self._open if pack.posts]
        return gone

    def _leave(self, pack: _Open[T]) -> tuple[T, ...]:
        """All of a pack; or, where so many together do not pay, the first of it, and the others follow."""
        if self._pays.together(len(pack.posts)):
            self._open.remove(pack)
            return tuple(pack.posts)
        first = pack.posts.pop(0)
        pack.until_ms = pack.opened_ms
        if not pack.posts:
            self._open.remove(pack)
        return (first,)

    def _room_for(self, traits: Traits, now_ms: float, size: int) -> _Open[T] | None:
        """A pack of the like that is not full, and would be answered before every deadline in it."""
        for pack in self._open:
            if pack.like == traits.like and pack.has_length(traits.tokens) and len(pack.posts) < size:
                done_ms = now_ms + self._taking_ms(len(pack.posts) + 1)
                if done_ms <= min(pack.deadline_ms, _deadline_ms(traits)):
                    return pack
        return None

    def _taking_ms(self, posts: int) -> float:
        service = self._pays.service
        return (service.single_ms if posts == 1 else service.pack_ms(posts)) or 0.0

    def _gap_ms(self, like: Like, arrived_ms: float) -> float | None:
        """How far apart posts of a like arrive, with this one; None before the second."""
        last_ms, gap_ms = self._rhythms.pop(like, (None, None))
        if last_ms is not None and arrived_ms > last_ms:
            # What comes back, after a failed attempt or because its slot was taken, says nothing new.
            latest_ms = arrived_ms - last_ms
            gap_ms = latest_ms if gap_ms is None else _KEPT * gap_ms + (1 - _KEPT) * latest_ms
        self._rhythms[like] = (max(arrived_ms, last_ms or arrived_ms), gap_ms)
        if len(self._rhythms) > RHYTHMS_MAX:
            self._rhythms.popitem(last=False)
        return gap_ms


def _deadline_ms(traits: Traits) -> float:
    return _NEVER_MS if traits.deadline_ms is None else traits.deadline_ms
