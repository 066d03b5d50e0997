"""Words with which a very short text is not harmless, and words of which alone it may consist.

A text that is allowed is read by nobody, so here is looked harder than where a rule finds: letters with
accents are read as those without, words that were cut up are put together, and doubled letters count once. To
find one too many costs a question to a model, no more. For short texts only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from streams.core.drawn_out import squeeze
from streams.core.forms import Forms
from streams.core.lookalikes import PLAIN
from streams.core.matching import Terms, needles
from streams.core.normalise import fold

CUT_UP_MIN = 4
"""Letters of a word that is found across blanks and signs. Shorter ones stand across them by chance."""

# Letters, their marks, and an apostrophe between them: `don't` is one word.
_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|[\u0300-\u036f]|'(?=[^\W\d_]))*")
_MARK = re.compile("[\u0300-\u036f]")


class Beware:
    """The words with which a text is not harmless."""

    __slots__ = ("_doubled", "_joined", "_terms")

    def __init__(self, words: Iterable[str]) -> None:
        words = tuple(words)
        # In disguise, too.
        self._terms = Terms((needle, 0) for word in words for needle in needles(word, evasion=True))
        letters = [_letters(_plain(fold(word).text)) for word in words]
        self._joined = Terms(
            (needle, 0)
            for word in letters
            if len(word) >= CUT_UP_MIN
            for needle in needles(word, whole_words=False)
        )
        self._doubled = frozenset(map(squeeze, letters)) - {""}

    def are_in(self, forms: Forms) -> bool:
        """Whether any of them is in a text, however it is spelled."""
        if not self._doubled:
            return False
        if self._terms.owners_in(forms):
            return True
        plain = _plain(forms.folded.text)
        if plain != forms.folded.text and self._terms.owners_in(Forms(plain)):
            return True
        squeezed = (squeeze(_letters(word)) for word in plain.split())
        return not self._doubled.isdisjoint(squeezed) or self._are_cut_up(plain)

    def _are_cut_up(self, plain: str) -> bool:
        """Whether one stands across blanks and signs, and not within a word: `skill` is not `kill`."""
        joined = _letters(plain)
        if joined == plain or not self._joined.owners_in(Forms(joined)):
            return False
        within = sum(1 for _ in self._joined.places(Forms(plain)))
        return sum(1 for _ in self._joined.places(Forms(joined))) > within


def words_in(folded: str) -> list[str]:
    """The words of a short text, those with an apostrophe whole."""
    return _WORD.findall(folded.replace("\u2019", "'"))


def is_word(word: str) -> bool:
    """Whether something is one word in this sense."""
    folded = fold(word).text
    return words_in(folded) == [folded.replace("\u2019", "'")]


def known(words: Iterable[str]) -> frozenset[str]:
    """Words in the form in which `words_in` finds them."""
    return frozenset(word for written in words for word in words_in(fold(written).text))


def _plain(folded: str) -> str:
    """The letters without accents and marks; signs stay."""
    if folded.isascii():
        return folded
    return "".join(PLAIN[ord(char)] if char.isalpha() else char for char in _MARK.sub("", folded))


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text))
