"""What the operators' orders amount to: a fold over `control`; of a subject the latest order holds."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import assert_never

from schemas.control import Control, Drain, Enforce, Pause, Purge
from schemas.event import Priority
from streams.core.cuts import Cut, Cuts

CUTS_TOLD_MAX = 64
"""So many a worker tells, for whoever gave an order to see it obeyed."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What holds now."""

    enforce: bool = True
    """While False, every `block` becomes `review`."""
    paused: frozenset[Priority] = frozenset()
    """Priorities of which nothing is taken in."""
    drained: frozenset[str] = frozenset()
    """Nodes that are asked nothing."""
    cuts: Cuts = field(default_factory=Cuts)
    """Which remembered answers are refused."""

    @property
    def purged(self) -> dict[str, int]:
        """The cuts given last, the latest first, as a worker tells them."""
        return {cut.subject: cut.before_ms for cut in self.cuts.newest(CUTS_TOLD_MAX)}

    def after(self, order: Control) -> Orders:
        """What holds once this order was given."""
        match order:
            case Pause(priority=priority, active=True):
                return replace(self, paused=self.paused | {priority})
            case Pause(priority=priority):
                return replace(self, paused=self.paused - {priority})
            case Enforce(active=active):
                return replace(self, enforce=active)
            case Drain(node=node, active=True):
                return replace(self, drained=self.drained | {node})
            case Drain(node=node):
                return replace(self, drained=self.drained - {node})
            case Purge():
                return replace(self, cuts=self.cuts.after(cut_of(order)))
            case _:
                assert_never(order)


def cut_of(order: Purge) -> Cut:
    """What an order has forgotten."""
    value = "" if order.about == "all" else order.value
    return Cut(order.about, value, round(order.before.timestamp() * 1_000))
