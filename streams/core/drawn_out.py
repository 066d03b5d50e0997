"""Letters that were drawn out, looked up instead of counted: how often each letter of a text is repeated.

A text is read once, whatever is found in it afterwards; a look at a place then takes the time of a few byte
strings' comparison, however long the word is in which the place stands. Which words are in disguise is not
known here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import compress, count, groupby
from operator import ne, sub

from streams.core.lookalikes import one_symbol

DRAWN_OUT_MIN = 3
"""As many equal letters in a row stand for one or two."""

_MANY = 255
"""Stands for as many and more; a term has fewer letters."""
_DRAWN_OUT = bytes(many if many >= DRAWN_OUT_MIN else 0 for many in range(256))
_DOUBLED = bytes(many > 1 for many in range(256))
# Written so that they begin with what can be searched for quickly.
_DOUBLED_WORD = re.compile(b"\x01\x01\x01*")
_SYMBOL_ROW = re.compile("iii*")
_BLANKS = re.compile("   *")
_SPELLINGS_MAX = 4_096


class DrawnOut:
    """The rows of equal letters of a text, each as one letter in `text`."""

    def __init__(self, read: str) -> None:
        self._read = read
        self._unsqueezed = one_symbol(read)
        self.text = squeeze(self._unsqueezed)
        self._verdicts: dict[tuple[str, bytes, bytes], bool] = {}

    def is_at(self, start: int, end: int, spelled: str) -> bool:
        """Whether letters at a place in `text` are drawn out, the others as the term is spelled.

        Three or more may stand for any number that the term has, and so may any where every letter is
        doubled.
        """
        look = (spelled, self._rows[start:end], self._drawn_out[start:end])
        if (verdict := self._verdicts.get(look)) is None:
            verdict = self._verdicts[look] = _is_drawn_out(*look)
        return verdict

    def unsqueezed(self, start: int, end: int) -> tuple[int, int]:
        """Where a place in `text` was before rows became one letter."""
        return self._starts[start], self._starts[end] if end < len(self._starts) else len(self._read)

    @cached_property
    def _starts(self) -> list[int]:
        """Where each letter of `text` stood first."""
        return list(compress(count(), map(ne, self._unsqueezed, f"\0{self._unsqueezed}")))

    @cached_property
    def _rows(self) -> bytes:
        """How often each letter of `text` stands in a row; `l` and `i` are one symbol."""
        lengths = list(map(sub, [*self._starts[1:], len(self._read)], self._starts))
        try:
            rows = bytes(lengths)
        except ValueError:
            rows = bytes([min(length, _MANY) for length in lengths])
        if "  " not in self._unsqueezed:
            return rows
        # What is only drawn upon nothing is a word without letters, and no blank is drawn out.
        single = bytearray(rows)
        for blanks in _BLANKS.finditer(self._unsqueezed):
            single[self._letter_at(blanks.start())] = 1
        return bytes(single)

    @cached_property
    def _drawn_out(self) -> bytes:
        """How many of its rows each letter may stand for, 0 for a letter that is not drawn out.

        In `ili` one symbol stands three times, but no letter more than once.
        """
        of_one_letter = self._of_one_letter
        drawn_out = bytearray(of_one_letter.translate(_DRAWN_OUT))
        for start, end in self._doubled_words(of_one_letter):
            drawn_out[start:end] = bytes([_MANY]) * (end - start)
        return bytes(drawn_out)

    @cached_property
    def any_drawn_out(self) -> bytes:
        """Of each letter of `text`, 1 if it is drawn out; without one nothing is drawn out at a place."""
        return self._drawn_out.translate(bytes(many > 0 for many in range(256)))

    @cached_property
    def _of_one_letter(self) -> bytes:
        """How often at most one letter stands in a row: less than the symbol only where `l` and `i` mix."""
        rows = bytearray(self._rows)
        longest: dict[str, int] = {}
        for symbols in _SYMBOL_ROW.finditer(self._unsqueezed):
            row = self._read[symbols.start() : symbols.end()]
            if "il" not in row and "li" not in row:
                continue
            if row not in longest:
                longest[row] = min(_MANY, max(sum(1 for _ in letter) for _, letter in groupby(row)))
            rows[self._letter_at(symbols.start())] = longest[row]
        return bytes(rows)

    def _doubled_words(self, of_one_letter: bytes) -> Iterator[tuple[int, int]]:
        """The words of which every letter stands more than once. Blanks do not, so rows end at them."""
        for run in _DOUBLED_WORD.finditer(of_one_letter.translate(_DOUBLED)):
            start, end = run.span()
            if self.text[start - 1 : start] in {"", " "} and self.text[end : end + 1] in {"", " "}:
                yield start, end

    def _letter_at(self, at: int) -> int:
        """Which letter of `text` stands for this one."""
        return bisect_right(self._starts, at) - 1


def squeeze(text: str) -> str:
    """Each row of equal letters as one letter."""
    return "".join(compress(text, map(ne, text, f"\0{text}")))


@lru_cache(maxsize=_SPELLINGS_MAX)
def _spelt(spelled: str) -> bytes:
    """How often each letter of a term stands in a row."""
    return bytes(min(_MANY, sum(1 for _ in row)) for _, row in groupby(one_symbol(spelled)))


def _is_drawn_out(spelled: str, rows: bytes, drawn_out: bytes) -> bool:
    spelt = _spelt(spelled)
    if len(spelt) != len(rows):
        return False
    return rows != spelt and all(
        row == as_spelt or many >= max(DRAWN_OUT_MIN, as_spelt)
        for row, as_spelt, many in zip(rows, spelt, drawn_out, strict=True)
    )
