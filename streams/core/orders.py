"""What the operators' orders amount to: a fold over `control`; of a subject the latest order holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from schemas.control import Control, Enforce, Pause
from schemas.event import Priority


@dataclass(frozen=True, slots=True)
class Orders:
    """What holds now."""

    enforce: bool = True
    """While False, every `block` becomes `review`."""
    paused: frozenset[Priority] = frozenset()
    """Priorities of which nothing is taken in."""

    def after(self, order: Control) -> Orders:
        """What holds once this order was given."""
        match order:
            case Pause(priority=priority, active=True):
                return Orders(self.enforce, self.paused | {priority})
            case Pause(priority=priority):
                return Orders(self.enforce, self.paused - {priority})
            case Enforce(active=active):
                return Orders(active, self.paused)
            case _:
                assert_never(order)
