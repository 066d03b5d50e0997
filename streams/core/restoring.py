"""Where the reading of a changelog begins, given where a store stands and what the topic still holds."""

from __future__ import annotations

from typing import NamedTuple


class Begin(NamedTuple):
    """The first offset to read, and whether what the store holds must go before."""

    offset: int
    is_anew: bool


def begin_at(stored: int | None, low: int, high: int) -> Begin:
    """How a store catches up with the records from `low` up to `high`.

    1. It knows nothing: everything is read.
    2. It stands beyond the end: the topic was made anew, and what it holds belongs to another one.
    3. It stands before what is left: all it holds is older than the retention, and so is expired; what was
       forgotten since, it would never learn.
    4. It stands within: the rest is read.
    """
    if stored is None:
        return Begin(low, is_anew=False)
    if stored > high or stored < low:
        return Begin(low, is_anew=True)
    return Begin(stored, is_anew=False)
