"""Texts by a table: what stands for each character, found out when a character is first met."""

from __future__ import annotations

from functools import cached_property

DISTINCT_MAX = 64
"""Up to so many characters beyond ASCII are replaced one after the other; looking up each character of a text
in turn takes a text of mostly ASCII five times as long."""

_ASCII = frozenset(map(chr, range(128)))

ENTRIES_MAX = 16_384
"""Characters that a table remembers: more than any language has. A few posts could have it remember all there
are, and hundreds of MiB for good; at the bound it forgets them all, and begins anew."""


class Table(dict[int, str]):
    """What stands for each character: asked once for each, as the tables of Unicode are large."""

    @cached_property
    def ascii(self) -> bytes:
        """The same for the bytes of UTF-8, of which those beyond ASCII stay."""
        return bytes(ord(self[code]) if code < 128 else code for code in range(256))

    def __missing__(self, code: int) -> str:
        made = self._made(chr(code))
        if len(self) >= ENTRIES_MAX:
            self.clear()
        self[code] = made
        return made

    def _made(self, char: str) -> str:
        """What stands for a character."""
        raise NotImplementedError


def read_by(table: Table, text: str) -> str:
    """A text by a table."""
    if not text.isascii():
        others = set(text) - _ASCII
        if len(others) > DISTINCT_MAX:
            return text.translate(table)
        changed = [(char, became) for char in others if (became := table[ord(char)]) != char]
        # What one character becomes must not be taken for another that becomes something else.
        if not {char for char, _ in changed}.isdisjoint("".join(became for _, became in changed)):
            return text.translate(table)
        for char, became in changed:
            text = text.replace(char, became)
    return text.encode("utf-8", "surrogatepass").translate(table.ascii).decode("utf-8", "surrogatepass")
