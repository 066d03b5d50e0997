"""What the stores of a worker's memories leave behind: which directories nobody needs any more.

A partition that moved away may come back, and then finds its store; so that stays until nothing in it can
stand. One that was moved aside is there for a person, for a day. Removing them is `streams.remembering`'s.
"""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import NamedTuple

ASIDE = ".aside"
_ASIDE_MS = 24 * 3_600_000


class Leftover(NamedTuple):
    """A directory that has had its time."""

    place: Path
    partition: int
    is_aside: bool


def leftovers(directory: Path, now_ms: float, ttl_ms: int) -> list[Leftover]:
    """The directories in which nothing was written for so long. What is no store of ours is left alone."""
    found = []
    for place in _folders(directory):
        name = place.name.removesuffix(ASIDE)
        is_aside = name != place.name
        if name.isdecimal() and _written_ms(place) + (_ASIDE_MS if is_aside else ttl_ms) <= now_ms:
            found.append(Leftover(place, int(name), is_aside))
    return found


def _folders(directory: Path) -> list[Path]:
    try:
        return [place for place in directory.iterdir() if place.is_dir()]
    except OSError:
        return []


def _written_ms(place: Path) -> float:
    """When something was last written there, or the directory was moved."""
    try:
        return 1_000 * max(one.stat().st_mtime for one in (place, *place.iterdir()))
    except OSError:
        # A file went meanwhile, into a larger one: somebody is at work there.
        return inf
