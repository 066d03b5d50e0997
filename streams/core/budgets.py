"""A budget that is earned: a share of what is ordinary may be spent on what is not, and some may be saved up.

It pays for retries (a tenth of the first attempts), hedges, and turns of lanes that critical ones stand
before: under trouble the extra work grows no faster than the ordinary.
"""

from __future__ import annotations


class Budget:
    """Earns `share` of each ordinary act, saves at most `saved_max`, and spends 1 at a time."""

    __slots__ = ("_saved", "saved_max", "share")

    def __init__(self, share: float, *, saved_max: float, saved: float = 0.0) -> None:
        self.share = share
        self.saved_max = saved_max
        self._saved = min(saved, saved_max)

    def __repr__(self) -> str:
        return f"<Budget {self._saved:.1f} of {self.saved_max:g} saved>"

    @property
    def is_there(self) -> bool:
        """Whether one may be spent. Ten times a tenth is a little less than 1, and meant to be 1."""
        return self._saved >= 1 - 1e-9

    def earn(self) -> None:
        """Something ordinary was done."""
        self._saved = min(self.saved_max, self._saved + self.share)

    def spend(self) -> bool:
        """Spend one, where there is one."""
        if not self.is_there:
            return False
        self._saved = max(0.0, self._saved - 1)
        return True
