"""Numbers of things in a sentence: `1 record`, `2 records`."""

from __future__ import annotations


def counted(count: int, thing: str) -> str:
    """So many of a thing, which is named in the singular and takes an s."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
