"""What goes to nodes that take packs: out of the lanes, and out of what gathers for them already.

Between the lanes and the packs (`streams.packs`); the dispatch asks when a slot is free. A pack gathers only
while a slot is free for it and nobody else would have that slot, so nothing waits here that could be served.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from schemas.settings import JudgeSettings
from streams.bundles import Bundle
from streams.core.batching import Like
from streams.jobs import Job
from streams.members import Member
from streams.packs import Packs
from streams.pool import Pool
from streams.waiting import Waiting

LOOKS_A_POST = 8
"""For each that a pack has room for, so many of its lane are looked at, the earliest due first: where tenants
or policies mix more than that, packs are smaller, and a look takes two microseconds."""


class Going(NamedTuple):
    """A request, and where it goes."""

    member: Member
    bundle: Bundle[Job]


class Gathering:
    """The packs of one worker, as far as they wait."""

    def __init__(
        self, pool: Pool, waiting: Waiting, packs: Packs[Job], settings: Callable[[], JudgeSettings]
    ) -> None:
        self._pool = pool
        self._waiting = waiting
        self._packs = packs
        self._settings = settings

    def __repr__(self) -> str:
        return f"<Gathering {self._packs!r}>"

    def offer(self, member: Member, job: Job, now_ms: float) -> Bundle[Job] | None:
        """One whose turn it is, for a free slot: what goes now; None: it gathers, and `due` says when."""
        offered = self._packs.offer(member.name, job, now_ms)
        return offered if isinstance(offered, Bundle) else None

    def due(self, free: Sequence[Member], now_ms: float) -> Going | None:
        """What goes before anybody who waits in the lanes and is not critical; None: nothing now.

        1. What gathers for a node that has no slot any more goes back to the lanes.
        2. Whoever waits and belongs to a pack that gathers joins it; a pack that is full thereby goes.
        3. What is left of a pack that failed goes: its turn came when it was taken out of the lanes.
        4. A pack goes whose time has come, or whose slot somebody else would have.
        """
        here = [member for member in free if member.packing]
        self._release_all_but({member.name for member in here})
        for member in here:
            if full := self._filled(member, now_ms):
                return Going(member, full)
        if rest := self._packs.rest:
            return self._rest_goes(rest[0], free, here)
        is_wanted = len(self._waiting.lanes) > 0
        for member in here:
            if bundle := self._packs.take_due(member.name, now_ms, is_wanted=is_wanted):
                return Going(member, bundle)
        return None

    def due_at_ms(self, now_ms: float) -> float | None:
        """When a pack goes by itself; None: not by itself, or it would have gone, had it a slot."""
        at_ms = self._packs.due_at_ms()
        return at_ms if at_ms is not None and at_ms > now_ms else None

    def _release_all_but(self, names: set[str]) -> None:
        for name in self._packs.gathering():
            if name not in names:
                for job in self._packs.release(name):
                    self._waiting.put(job)

    def _filled(self, member: Member, now_ms: float) -> Bundle[Job] | None:
        """Let join who would; the pack that became full, if one did."""
        size = self._packs.size(member.name, now_ms)
        for like, posts in self._packs.openings(member.name):
            if full := self._fill(member, like, size - posts, now_ms):
                return full
        return None

    def _fill(self, member: Member, like: Like, missing: int, now_ms: float) -> Bundle[Job] | None:
        full: Bundle[Job] | None = None

        def joins(job: Job) -> bool:
            nonlocal full
            if full is not None or not self._packs.would_join(member.name, job, now_ms):
                return False
            full = self.offer(member, job, now_ms)
            return True

        tenant = like.tenant if self._settings().fair_by_tenant else ""
        self._waiting.lanes.take_beside(like.lane, tenant, joins, LOOKS_A_POST * max(1, missing), now_ms)
        return full

    def _rest_goes(self, first: Job, free: Sequence[Member], here: Sequence[Member]) -> Going | None:
        """Elsewhere than where it failed, if there is a choice; one by one while no node takes packs."""
        if not here and any(member.packing and not member.is_out for member in self._pool.in_use):
            return None
        member = min(here or free, key=lambda one: (one.name in first.failed_on, len(one.running)))
        bundle = self._packs.take_rest() if here else self._packs.take_one()
        return None if bundle is None else Going(member, bundle)
