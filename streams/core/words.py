"""A folded text as its words: the form in which whole words and phrases are looked for.

Signs between words do not count. What a term of a policy is in this form stands in `streams.core.matching`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from unicodedata import category

from streams.core.tables import Table, read_by

# Scripts that put no spaces between words, nor around others: Thai to Tibetan, Myanmar, Khmer, kana, Han.
UNSPACED = (
    "\u3005-\u3007\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"[{UNSPACED}]")
_OF_ONE_KIND = re.compile(f"[{UNSPACED}]+|[^{UNSPACED}]+")
_BEYOND = re.compile("[\U00010000-\U0010ffff]+")


class _Words(Table):
    """A blank for what words do not consist of."""

    def _made(self, char: str) -> str:
        return char if _is_of_words(char) else " "


_WORDS = _Words()


def words_form(folded: str) -> str:
    """A folded text as its words, a space before and behind each: `buy-now!` is ` buy now `.

    So a whole word is a plain substring, and one automaton of plain substrings holds any number of terms.
    """
    words = f" {_parted(read_by(_WORDS, folded))} "
    # Only blanks are left of what is no word. Each turn halves a row of them, so this is linear; and a third
    # of what it takes to cut a text into its words and to join them.
    while "  " in words:
        words = words.replace("  ", " ")
    return words if words != " " else "  "


def words_with_spans(folded: str) -> Iterator[tuple[str, int, int]]:
    """The words of the words form, with their places in the folded text."""
    for word in _words().finditer(_without_symbols(folded)):
        for part in _OF_ONE_KIND.finditer(folded, word.start(), word.end()):
            yield part[0], part.start(), part.end()


def _parted(text: str) -> str:
    """The text with a blank where a script without spaces meets another: `看link` is two words."""
    if text.isascii() or _UNSPACED.search(text) is None:
        return text
    return " ".join(_OF_ONE_KIND.findall(text))


def as_whole_words(words: str) -> str:
    """Words as they are looked for in the words form; empty if there are none.

    Scripts without spaces have no whole words to insist on: there a term is found anywhere.
    """
    if not words:
        return ""
    before = "" if _UNSPACED.match(words[0]) else " "
    behind = "" if _UNSPACED.match(words[-1]) else " "
    return f"{before}{words}{behind}"


@cache
def _words() -> re.Pattern[str]:
    """Words: letters, digits, and the marks upon them. Beyond the basic plane `_without_symbols` has looked.

    `re` has a name for letters with digits, but none for marks, so all are listed: asking Unicode takes
    10 ms, once. A class within the basic plane is a bitmap; one beyond it would be searched range by range.
    """
    basic = "".join(f"{chr(start)}-{chr(end)}" for start, end in _ranges(range(0x10000)))
    return re.compile(f"[{basic}\U00010000-\U0010ffff]+")


def _ranges(codes: range) -> Iterator[tuple[int, int]]:
    """The first and last of each unbroken row of characters that words consist of."""
    is_word = [_is_of_words(chr(code)) for code in codes]
    edges = [
        at
        for at in range(len(is_word) + 1)
        if (at < len(is_word) and is_word[at]) != (at > 0 and is_word[at - 1])
    ]
    yield from ((start, end - 1) for start, end in zip(edges[::2], edges[1::2], strict=True))


def _is_of_words(char: str) -> bool:
    return category(char)[0] in "LMN"


def _without_symbols(folded: str) -> str:
    """A blank for each character beyond the basic plane, emoji above all, that words do not consist of."""
    return _BEYOND.sub(_blanked, folded)


def _blanked(run: re.Match[str]) -> str:
    return "".join(char if _is_of_words(char) else " " for char in run[0])
