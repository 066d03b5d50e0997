"""Undoing what is done to words so that a list of words does not find them.

Digits and signs for letters (`fr33`), letters of other scripts that look alike, marks drawn upon letters,
letters written apart (`f r e e`, `f.r.e.e`), letters drawn out (`freeee`). Every word is read twice, as it is
and as it is seen (`streams.core.lookalikes`); a word in which the two differ is in disguise. What is found
here counts only where it covers some disguise: what is written plainly is for the plain forms. So `ail` is
not `all`, `85` not `bs`, and a Russian word no English one that looks like it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate, compress, count, groupby
from operator import and_, ne
from typing import NamedTuple

from streams.core.apart import put_together
from streams.core.lookalikes import GONE, JOINED, PLAIN, SEEN, one_symbol, surviving
from streams.core.normalise import Folded, cased
from streams.core.signs import DECORATIVE, NONE, Signs, signs_in
from streams.core.tables import read_by

FOREIGN_MIN = 3
"""Letters of a foreign word that may be taken for a Latin one. Shorter ones look alike by chance."""

DRAWN_OUT_MIN = 3
"""As many equal letters in a row stand for one or two."""

_LATIN = re.compile("[a-z]")
_ASCII = re.compile(r"[\x02-\x7f]")
_ONLY_SIGNS = re.compile("[@$!|€£¢¥§]{3,}")
_OTHER_LETTER = re.compile(r"[^\W\d_\x00-\x7f]")
_HIDING_IN_ASCII = re.compile(rf"{JOINED}|[a-z][0-9$!|]+[a-z]")
_DECORATIVE = re.compile(f"[{DECORATIVE}]")
_ADDRESS = re.compile("[^@]{2,}@[^@]{2,}")
_NO_LETTERS = "0123456789@$!|"


class Words(NamedTuple):
    """The words of a text, as they are and as they are seen; the two go character by character."""

    plain: list[str]
    seen: list[str]


class Part(NamedTuple):
    """What of a word a place in a form covers."""

    number: int
    start: int
    end: int


class Reading:
    """Words in a row, a blank before and behind each, and which of them stands where."""

    def __init__(self, read: str) -> None:
        self._read = read
        self.text = one_symbol(read)

    @cached_property
    def words(self) -> list[str]:
        """The words as they were read."""
        return self._read[1:-1].split(" ")

    def parts(self, start: int, end: int) -> Iterator[Part]:
        """The parts of words within a place."""
        number = max(0, bisect_right(self._starts, start) - 1)
        while number < len(self.words) and self._starts[number] < end:
            begins, length = self._starts[number], len(self.words[number])
            if start < begins + length:
                yield Part(number, max(0, start - begins), min(length, end - begins))
            number += 1

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((len(word) + 1 for word in self.words), initial=1))


class Undone:
    """A text with evasion undone: words in disguise as they are seen, the others as they are."""

    def __init__(self, words: Words, disguised: list[int], signs: Signs) -> None:
        self._words = words
        self._numbers = disguised
        self._signs = signs
        if len(disguised) == len(words.plain):
            read = words.seen
        else:
            read = words.plain.copy()
            for at in disguised:
                read[at] = words.seen[at]
        self.evaded = Reading(f" {' '.join(read)} ".replace(GONE, ""))

    def __repr__(self) -> str:
        return f"<Undone [{len(self._numbers)} of {len(self._words.plain)} words in disguise]>"

    def __bool__(self) -> bool:
        """Whether any word is in disguise."""
        return bool(self._numbers)

    @cached_property
    def _disguised(self) -> frozenset[int]:
        return frozenset(self._numbers)

    @cached_property
    def apart(self) -> Reading:
        """Only the words that were written apart."""
        return Reading(f" {' '.join([self.evaded.words[at] for at in self._apart])} ")

    @property
    def has_apart(self) -> bool:
        """Whether there is any such word."""
        return self._signs.apart and bool(self._apart)

    @cached_property
    def squeezed(self) -> Reading:
        """Each row of equal letters as one letter."""
        return Reading(squeeze(self.evaded.text))

    @cached_property
    def has_drawn_out(self) -> bool:
        """Whether any letters are drawn out; they may have been digits before: `fr333`."""
        return self._signs.drawn_out or (bool(self) and signs_in(self.evaded.text).drawn_out)

    @cached_property
    def hiding_characters(self) -> int:
        """Characters of the words that hide something; `mp3` does not, though it may be read as `mpe`."""
        words = list(map(self._words.plain.__getitem__, self._numbers))
        ascii_words = list(filter(str.isascii, words))
        hiding = sum(map(len, words)) - sum(map(len, ascii_words))
        # A text may have thousands of such words, and nothing that hides in any.
        if _HIDING_IN_ASCII.search(" ".join(ascii_words)):
            hiding += sum(map(len, filter(_HIDING_IN_ASCII.search, ascii_words)))
        return hiding

    def is_in_disguise(self, start: int, end: int, *, whole_words: bool) -> bool:
        """Whether a place in `evaded` covers some disguise."""
        return any(
            part.number in self._disguised and self._covers_disguise(part, whole_words=whole_words)
            for part in self.evaded.parts(start, end)
        )

    def is_drawn_out(self, start: int, end: int, spelled: str) -> bool:
        """Whether letters at a place in `squeezed` are drawn out, the others as the term is spelled.

        Three or more may stand for any number that the term has, and so may any where every letter is
        doubled.
        """
        spellings = [[row for row, _ in _rows(word)] for word in spelled.split()]
        parts = list(self.squeezed.parts(start, end))
        if len(parts) != len(spellings):
            return False
        any_drawn_out = False
        for part, spelling in zip(parts, spellings, strict=True):
            rows = _rows(self.evaded.words[part.number])
            if part.number in self._disguised and part.end - part.start < len(rows) and self._has_digit(part):
                return False
            all_doubled = len(rows) > 1 and min(of_one_letter for _, of_one_letter in rows) > 1
            for (row, of_one_letter), spelt in zip(rows[part.start : part.end], spelling, strict=True):
                is_drawn_out = of_one_letter >= max(DRAWN_OUT_MIN, spelt) or all_doubled
                if not is_drawn_out and row != spelt:
                    return False
                any_drawn_out = any_drawn_out or (is_drawn_out and row != spelt)
        return any_drawn_out

    def word_numbers(self, form: str, start: int, end: int) -> list[int]:
        """The numbers of the text's words that a place in a form covers."""
        if form == "apart":
            return [self._apart[part.number] for part in self.apart.parts(start, end)]
        reading = self.squeezed if form == "squeezed" else self.evaded
        return [part.number for part in reading.parts(start, end)]

    @cached_property
    def _apart(self) -> list[int]:
        return [at for at in self._numbers if JOINED in self._words.plain[at]]

    def _has_digit(self, part: Part) -> bool:
        return any(map(str.isdigit, self._words.plain[part.number]))

    def _covers_disguise(self, part: Part, *, whole_words: bool) -> bool:
        plain, seen = self._words.plain[part.number], self._words.seen[part.number]
        if GONE in seen:
            return True
        _, start, end = part
        if whole_words or end - start == len(seen):
            return plain[start:end] != seen[start:end]
        # Part of a longer word. `$exit` and `base32` are names with a sign before or a number behind them,
        # `me@lists` is an address, and long numbers in hexadecimal have letters in them.
        if _ADDRESS.fullmatch(plain):
            return False
        start = max(start, len(plain) - len(plain.lstrip(_NO_LETTERS)))
        end = min(end, len(plain.rstrip(_NO_LETTERS)))
        differing = sum(plain[at] != seen[at] for at in range(start, end))
        return 0 < differing <= (part.end - part.start) / 2


def undo(text: str, folded: Folded, signs: Signs) -> Undone | None:
    """Undo evasion in a text, which shows these signs when folded; nothing if there is none to undo."""
    if signs == NONE:
        return None
    words = words_of(base_of(text, folded), may_be_apart=signs.apart)
    disguised = _disguised(words, signs)
    return Undone(words, disguised, signs) if disguised or signs.drawn_out else None


def base_of(text: str, folded: Folded | None = None) -> str:
    """What is read in two ways: compatibility forms are folded, case is not. It may be folded already."""
    survived = surviving(text)
    if folded is None or survived != text:
        return cased(survived)
    return folded.cased or folded.text


def words_of(base: str, *, may_be_apart: bool = True) -> Words:
    """The words of a text whose case is not folded yet."""
    together = put_together(base, may_be_apart=may_be_apart)
    return Words(read_by(PLAIN, together).split(), read_by(SEEN, together).split())


def squeeze(text: str) -> str:
    """Each row of equal letters as one letter."""
    # Half of what a substitution takes where most letters are repeated.
    return "".join([letter for letter, _ in groupby(text)])


def _disguised(words: Words, signs: Signs) -> list[int]:
    """The numbers of the words in disguise."""
    plain, seen = words
    differing = list(compress(count(), map(ne, plain, seen)))
    if not differing:
        return []
    candidates = list(map(plain.__getitem__, differing))
    # Nothing in these words is a capital: a small letter in ASCII is Latin, and quickly found.
    surely = list(map(and_, map(str.isascii, candidates), map(str.islower, candidates)))
    if all(surely):
        return differing
    # In a text with letters that look like no Latin ones, a word of others is just a word.
    foreign_may_be = signs.foreign and not any(map(_OTHER_LETTER.search, seen))
    has_latin = _LATIN.search
    return [
        at
        for at, word, is_sure in zip(differing, candidates, surely, strict=True)
        if is_sure or has_latin(word) or _is_disguised(word, seen[at], foreign_may_be=foreign_may_be)
    ]


def _is_disguised(plain: str, seen: str, *, foreign_may_be: bool) -> bool:
    """Whether a word without Latin letters is in disguise; a number is not."""
    if plain.isascii():
        return JOINED in plain or _ONLY_SIGNS.fullmatch(plain) is not None
    if _ASCII.search(plain) or _ONLY_SIGNS.fullmatch(plain):
        return True
    return (
        (foreign_may_be or _DECORATIVE.search(plain) is not None)
        and len(seen) >= FOREIGN_MIN
        and seen.isascii()
    )


def _rows(word: str) -> list[tuple[int, int]]:
    """How often each symbol of a word is repeated, and how often at most one letter of it.

    `free` is 1, 1, 2; in `ili` one symbol stands three times, but no letter more than once.
    """
    rows, at = [], 0
    for _, row in groupby(one_symbol(word)):
        length = sum(1 for _ in row)
        letters = groupby(word[at : at + length])
        rows.append((length, max(sum(1 for _ in letter) for _, letter in letters)))
        at += length
    return rows
