"""Undoing what is done to words so that a list of words does not find them.

Digits and signs for letters (`fr33`), letters of other scripts that look alike, marks drawn upon letters,
letters written apart (`f r e e`, `f.r.e.e`), letters drawn out (`freeee`). Every word is read twice, as it is
and as it is seen (`streams.core.lookalikes`); a word in which the two differ is in disguise. What is found
here counts only where it covers some disguise: what is written plainly is for the plain forms. So `ail` is
not `all`, `85` not `bs`, and a Russian word no English one that looks like it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection
from functools import cached_property
from itertools import accumulate, compress, count
from operator import and_, ne
from typing import NamedTuple

from streams.core.apart import put_together
from streams.core.drawn_out import DrawnOut
from streams.core.lookalikes import GONE, JOINED, PLAIN, SEEN, one_symbol, surviving
from streams.core.normalise import Folded, cased
from streams.core.signs import DECORATIVE, NONE, Signs, signs_in
from streams.core.tables import read_by

FOREIGN_MIN = 3
"""Letters of a foreign word that may be taken for a Latin one. Shorter ones look alike by chance."""

_LATIN = re.compile(f"[a-z{JOINED}]")
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


class Reading:
    """Words in a row, a blank before and behind each, and which of them stands where."""

    def __init__(self, read: str) -> None:
        self.read = read
        self.text = one_symbol(read)

    @cached_property
    def words(self) -> list[str]:
        """The words as they were read."""
        return self.read[1:-1].split(" ")

    def numbers(self, start: int, end: int) -> range:
        """The numbers of the words within a place."""
        first = max(0, bisect_right(self.starts, start) - 1)
        if start >= self.starts[first + 1] - 1:
            first += 1
        return range(first, bisect_left(self.starts, end))

    @cached_property
    def starts(self) -> list[int]:
        """Where each word begins, and where the next one would."""
        return list(accumulate((len(word) + 1 for word in self.words), initial=1))


class Undone:
    """A text with evasion undone: words in disguise as they are seen, the others as they are."""

    def __init__(self, words: Words, disguised: list[int], signs: Signs) -> None:
        self._words = words
        self._numbers = disguised
        self._signs = signs
        self._known: dict[int, _Disguise] = {}
        self._inside = _NOWHERE
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
    def squeezed(self) -> DrawnOut:
        """Each row of equal letters as one letter."""
        return DrawnOut(self.evaded.read)

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

    def is_in_disguise(self, start: int, end: int, spelled: str) -> bool:
        """Whether a place in `evaded` covers some disguise."""
        # A text may be one word with a place in every third letter: most are within the word of the last one.
        inside = self._inside
        if inside.first <= start and end <= inside.last and end - start < inside.size:
            return 0 < 2 * inside.differing.count(1, start - inside.at, end - inside.at) <= end - start
        # From the last word on; those that are covered whole are in disguise, so there are few looks.
        number = bisect_left(self._begins, end) - 1
        while number >= 0 and (ends := self._ends[number]) > start:
            begins, word = self._begins[number], self._disguise(self._numbers[number])
            place = max(start, begins) - begins, min(end, ends) - begins
            if word.is_covered(*place, whole_words=spelled.startswith(" ")):
                return True
            self._inside = word.inside(begins)
            number -= 1
        return False

    def is_drawn_out(self, start: int, end: int, spelled: str) -> bool:
        """Whether letters at a place in `squeezed` are drawn out, the others as the term is spelled.

        Of a word in disguise with a digit in it, not where it is a part of the word only.
        """
        # Most places have none, and a text may have one in every third letter: asked before all else.
        if self._any_drawn_out.find(1, start, end) < 0 or not self.squeezed.is_at(start, end, spelled):
            return False
        start, end = self.squeezed.unsqueezed(start, end)
        numbers = self.evaded.numbers(start, end)
        # Those between are covered whole.
        return not any(self._is_part_with_digit(at, start, end) for at in {*numbers[:1], *numbers[-1:]})

    @cached_property
    def _any_drawn_out(self) -> bytes:
        return self.squeezed.any_drawn_out

    def word_numbers(self, form: str, start: int, end: int) -> list[int]:
        """The numbers of the text's words that a place in a form covers."""
        if form == "apart":
            return [self._apart[number] for number in self.apart.numbers(start, end)]
        if form == "squeezed":
            start, end = self.squeezed.unsqueezed(start, end)
        return list(self.evaded.numbers(start, end))

    @cached_property
    def _apart(self) -> list[int]:
        return [at for at in self._numbers if JOINED in self._words.plain[at]]

    @cached_property
    def _begins(self) -> list[int]:
        """Where in `evaded` each word in disguise begins."""
        return list(map(self.evaded.starts.__getitem__, self._numbers))

    @cached_property
    def _ends(self) -> list[int]:
        return [self.evaded.starts[number + 1] - 1 for number in self._numbers]

    def _is_part_with_digit(self, number: int, start: int, end: int) -> bool:
        if number not in self._disguised:
            return False
        begins, ends = self.evaded.starts[number], self.evaded.starts[number + 1] - 1
        return (begins < start or end < ends) and self._disguise(number).has_digit

    def _disguise(self, number: int) -> _Disguise:
        """What is known of a word in disguise: read once, however much is found in it."""
        if (known := self._known.get(number)) is None:
            known = self._known[number] = _Disguise(self._words.plain[number], self._words.seen[number])
        return known


class _Inside(NamedTuple):
    """The inside of a word in disguise: less than all of it, within its letters."""

    first: int
    last: int
    size: int
    at: int
    """Where the word begins."""
    differing: bytes
    """Of each character of the word, whether it is not what it seems."""


_NOWHERE = _Inside(0, 0, 0, 0, b"")


class _Disguise:
    """A word in disguise, as it is and as it is seen; to look at a part of it takes the same time for all."""

    def __init__(self, plain: str, seen: str) -> None:
        self._plain = plain
        self._seen = seen
        self._has_gone = GONE in seen

    @cached_property
    def has_digit(self) -> bool:
        return any(map(str.isdigit, self._plain))

    def is_covered(self, start: int, end: int, *, whole_words: bool) -> bool:
        """Whether a part of the word covers some disguise."""
        if self._has_gone:
            return True
        if whole_words or end - start == len(self._seen):
            return self._differing.find(1, start, end) >= 0
        # Part of a longer word. `$exit` and `base32` are names with a sign before or a number behind them,
        # `me@lists` is an address, and long numbers in hexadecimal have letters in them.
        if self._is_address:
            return False
        first, last = self._letters
        return 0 < 2 * self._differing.count(1, max(start, first), min(end, last)) <= end - start

    def inside(self, at: int) -> _Inside:
        """What decides about a part of the word, which begins there, without the signs around it."""
        first, last = self._letters
        if self._has_gone or self._is_address:
            return _NOWHERE
        return _Inside(at + first, at + last, len(self._seen), at, self._differing)

    @cached_property
    def _differing(self) -> bytes:
        """Of each character, whether it is not what it seems."""
        return bytes(map(ne, self._plain, self._seen))

    @cached_property
    def _is_address(self) -> bool:
        return _ADDRESS.fullmatch(self._plain) is not None

    @cached_property
    def _letters(self) -> tuple[int, int]:
        """Where the word begins and ends without the signs and digits around it."""
        plain = self._plain
        return len(plain) - len(plain.lstrip(_NO_LETTERS)), len(plain.rstrip(_NO_LETTERS))


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
    surely_plain = _without_letters(candidates)
    # In a text with letters that look like no Latin ones, a word of others is just a word.
    foreign_may_be = signs.foreign and not any(map(_OTHER_LETTER.search, seen))
    return [
        at
        for at, word, is_sure in zip(differing, candidates, surely, strict=True)
        if is_sure
        or (word not in surely_plain and _is_disguised(word, seen[at], foreign_may_be=foreign_may_be))
    ]


def _without_letters(words: Collection[str]) -> set[str]:
    """Those of the words that are numbers and signs."""
    return {
        word
        for word in set(words)
        if word.isascii() and not _LATIN.search(word) and _ONLY_SIGNS.fullmatch(word) is None
    }


def _is_disguised(plain: str, seen: str, *, foreign_may_be: bool) -> bool:
    """Whether a word that may have letters of other scripts is in disguise."""
    # In ASCII it has Latin letters, or is of nothing but signs; otherwise it mixes, but for foreign words.
    if plain.isascii() or _ASCII.search(plain) or _ONLY_SIGNS.fullmatch(plain):
        return True
    return (
        (foreign_may_be or _DECORATIVE.search(plain) is not None)
        and len(seen) >= FOREIGN_MIN
        and seen.isascii()
    )
