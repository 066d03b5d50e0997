"""The nodes of one worker together: who has room, for whom, and how many slots are kept for critical ones."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence

from streams.core.reserve import Reserve
from streams.core.routing import pick
from streams.jobs import Job
from streams.members import Member

# Prompts that were asked of late: only where there are several does it matter which node has cached which.
_PREFIXES_MAX = 16


class Pool:
    """All nodes."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.members = tuple(members)
        self._open: tuple[Member, ...] = ()
        """Those that no order keeps from being asked …"""
        self._primary: tuple[Member, ...] = ()
        """… and are no backup."""
        self.drain(frozenset())
        self.declared = sum(member.node.slots for member in self.members)
        """All slots that the nodes declare."""
        self.is_clearing = False
        """Whether a node is being cleared for a suspect, or has one."""
        self.reserve = Reserve()
        self._prefixes: OrderedDict[str, None] = OrderedDict()

    def __repr__(self) -> str:
        up = sum(not member.is_out for member in self.members)
        return f"<Pool {up} of {len(self.members)} up, {sum(len(m.running) for m in self.members)} in flight>"

    def drain(self, names: Collection[str]) -> None:
        """Ask these nothing from now on, and all others."""
        for member in self.members:
            member.is_drained = member.name in names
        self._open = tuple(member for member in self.members if not member.is_drained)
        self._primary = tuple(member for member in self._open if not member.terms.is_backup)

    @property
    def packing(self) -> dict[str, bool]:
        """The nodes that posts are put together for; of each, whether it is priced per request."""
        return {member.name: member.terms.is_priced_per_request for member in self.members if member.packing}

    @property
    def in_use(self) -> tuple[Member, ...]:
        """Those that are asked: backup nodes only while all the others are out."""
        if len(self._primary) == len(self._open) or any(not member.is_out for member in self._primary):
            return self._primary
        return self._open

    @property
    def is_out(self) -> bool:
        """Whether no node would take anything."""
        return all(member.is_out for member in self._open)

    def is_last(self, member: Member) -> bool:
        """Whether all the others are out."""
        return all(other.is_out for other in self.in_use if other is not member)

    def free(self, now_ms: float) -> list[Member]:
        """Those that take a question now."""
        return [member for member in self.in_use if not member.clearing and member.has_room(now_ms)]

    def opens_at_ms(self, now_ms: float) -> float | None:
        """When one of them will have room by itself."""
        moments = (member.opens_at_ms(now_ms) for member in self.in_use)
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def slots(self) -> int:
        """How many questions may be under way."""
        return sum([member.limit for member in self.in_use if not member.is_out])

    def choose(self, free: Sequence[Member], job: Job, now_ms: float) -> Member | None:
        """Which of those with room gets the job; None if none can answer in time.

        A node on trial gets no critical one while there is another.
        """
        if job.is_critical:
            free = [member for member in free if not member.is_on_trial] or free
        at = pick([member.candidate(job, now_ms) for member in free], self._prefix(job), job.left_ms(now_ms))
        return None if at is None else free[at]

    def cleared(self, now_ms: float) -> Member | None:
        """A node on which a suspect is alone, if there is one now; else the idlest is cleared for it."""
        up = [member for member in self.in_use if not member.is_out]
        clearing = [member for member in up if member.clearing]
        if not clearing and up:
            clearing = [min(up, key=lambda member: len(member.running))]
            clearing[0].clearing = self.is_clearing = True
        idle = (member for member in clearing if not member.running and member.has_room(now_ms))
        return next(idle, None)

    def no_suspects(self) -> None:
        """Nothing has to be asked alone any more."""
        self.is_clearing = False
        for member in self.members:
            member.clearing = False

    def _prefix(self, job: Job) -> str:
        question = job.question
        prefix = f"{question.policy.id}/{question.policy.version}/{question.event.kind}"
        self._prefixes[prefix] = None
        self._prefixes.move_to_end(prefix)
        if len(self._prefixes) > _PREFIXES_MAX:
            self._prefixes.popitem(last=False)
        return prefix if len(self._prefixes) > 1 else ""
