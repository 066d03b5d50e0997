"""Where the reading of a changelog begins, by whose a store is, where it stands, and what the topic holds."""

from __future__ import annotations

from typing import NamedTuple


class Begin(NamedTuple):
    """The first offset to read, and whether what the store holds must go before."""

    offset: int
    is_anew: bool


def is_of(source: str, *, stored_source: str | None, stored: int | None) -> bool:
    """Whether a store that says this of itself was filled from this changelog.

    An offset alone says nothing of its topic: another one may well have as many records. A store that has an
    offset and does not say of what, is nobody's; one that has neither is new.
    """
    return stored_source == source or (stored_source is None and stored is None)


def begin_at(stored: int | None, low: int, high: int, *, is_ours: bool = True) -> Begin:
    """How a store catches up with the records from `low` up to `high`.

    1. It was filled from another topic: what it holds must go, wherever it stands.
    2. It knows nothing: everything is read.
    3. It stands beyond the end: records that it took in were lost, with a broker that had no replica.
    4. It stands before what is left: all it holds is older than the retention, and so is expired; what was
       forgotten since, it would never learn.
    5. It stands within: the rest is read.
    """
    if not is_ours:
        return Begin(low, is_anew=True)
    if stored is None:
        return Begin(low, is_anew=False)
    if stored > high or stored < low:
        return Begin(low, is_anew=True)
    return Begin(stored, is_anew=False)
