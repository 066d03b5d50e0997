"""How much one author writes: posts within a window, by the records' own timestamps, for one partition.

By the broker's time and not by ours, so that a backlog that is drained in seconds is no flood. Approximate,
and always in the author's favour: what was forgotten counts as nothing, and nobody is charged with another's
posts, as shared counters would. Its owner keeps one meter beside each partition and drops it with that.
"""

from __future__ import annotations

from typing import NamedTuple

AUTHORS_MAX = 4_096
"""Authors remembered per window; a flooding author is never the one that was quiet for the longest time."""
WINDOWS_MAX = 16
"""Windows remembered: those of the rules of the policies that judge, and of those that did before."""
SLICES = 8
"""Into so many slices a window is cut: posts count for it, and for up to one slice more."""


class Window(NamedTuple):
    """What one rule counts."""

    rule_id: str
    window_ms: int


class _Counts(NamedTuple):
    """One author's posts."""

    newest: int
    """The number of the newest slice in which there was one."""
    slices: tuple[int, ...]
    """Posts per slice, the newest first."""


_NOTHING = (0,) * (SLICES + 1)


class FloodMeter:
    """One partition's counts."""

    __slots__ = ("_authors_max", "_windows")

    def __init__(self, *, authors_max: int = AUTHORS_MAX) -> None:
        self._authors_max = authors_max
        # Both dictionaries have the least recently used first.
        self._windows: dict[Window, dict[tuple[str, str], _Counts]] = {}

    def __repr__(self) -> str:
        authors = sum(map(len, self._windows.values()))
        return f"<FloodMeter {len(self._windows)} windows, {authors} authors>"

    def count(self, window: Window, tenant: str, author: str, at_ms: int) -> int:
        """Count a post, and tell how many there were within the window that ends with the newest one.

        A post older than the window is not counted: it is too late to be part of anything.
        """
        authors = self._windows.pop(window, None)
        if authors is None:
            authors = {}
            while len(self._windows) >= WINDOWS_MAX:
                del self._windows[next(iter(self._windows))]
        self._windows[window] = authors
        who = (tenant, author)
        counts = _counted(authors.pop(who, None), at_ms * SLICES // window.window_ms)
        while len(authors) >= self._authors_max:
            del authors[next(iter(authors))]
        authors[who] = counts
        return sum(counts.slices)


def _counted(counts: _Counts | None, at: int) -> _Counts:
    if counts is None:
        return _Counts(at, (1, *_NOTHING[1:]))
    behind = counts.newest - at
    if behind <= 0:
        kept = (*_NOTHING[: min(-behind, len(_NOTHING))], *counts.slices)[: len(_NOTHING)]
        return _Counts(at, (kept[0] + 1, *kept[1:]))
    if behind >= len(_NOTHING):
        return counts
    slices = list(counts.slices)
    slices[behind] += 1
    return _Counts(counts.newest, tuple(slices))
