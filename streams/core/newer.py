"""Records of a newer release on topics that are read in full: the latest of each key tells if one stands.

So a key that is written anew, by whichever release, is a way out. The error names the record.
"""

from __future__ import annotations

from typing import Protocol

from schemas.errors import UnknownVersion

_KEY_CHARS_MAX = 100


class Keyed(Protocol):
    """A record, as far as its place and its key."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...


class NewerRecords:
    """Those that stand, while topics are read from their beginnings."""

    def __init__(self) -> None:
        self._standing: dict[tuple[str, bytes | None], UnknownVersion] = {}

    def __repr__(self) -> str:
        return f"<NewerRecords {len(self._standing)}>"

    @property
    def first(self) -> UnknownVersion | None:
        """The first of those that stand, if any does."""
        return next(iter(self._standing.values()), None)

    def found(self, record: Keyed, error: UnknownVersion) -> None:
        """This record cannot be read."""
        self._standing[record.topic, record.key] = named(error, record)

    def replaced(self, record: Keyed) -> None:
        """This one can, and so what its key said before counts no longer."""
        self._standing.pop((record.topic, record.key), None)


def named(error: UnknownVersion, record: Keyed) -> UnknownVersion:
    """The error with the record that it is about."""
    key = ascii((record.key or b"").decode(errors="replace")[:_KEY_CHARS_MAX])[1:-1]
    place = f"{record.topic}/{record.partition}@{record.offset}"
    return UnknownVersion(f"the record {place} with the key `{key}` is of {error.detail}", error.path)
