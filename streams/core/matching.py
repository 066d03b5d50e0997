"""Many patterns over one text at once: an RE2 set, and the forms in which terms are compared.

RE2 takes time linear in the text whatever the pattern, and refuses what could not be so: references
back, looking around. Nothing here knows of rules; `streams.core.rules` knows which pattern is whose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from unicodedata import category

import re2

from streams.core.normalise import fold

AUTOMATON_BYTES_MAX = 64 << 20
"""For the program of a set and the states it runs with. 20,000 terms take 10 MiB: this is for patterns."""

# Scripts that put no spaces between words: Thai to Tibetan, Myanmar, Khmer, kana, Han.
_UNSPACED = re.compile(
    "[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
_BEYOND = re.compile("[\U00010000-\U0010ffff]+")
_ASCII_WORDS = bytes(
    code if code >= 128 or (chr(code).isalnum() and chr(code).isascii()) else 32 for code in range(256)
)


class BadPattern(Exception):
    """A pattern that RE2 does not take; the message is RE2's reason."""


class Automaton:
    """A set of patterns: which of them occur in a text."""

    def __init__(self, patterns: Sequence[str]) -> None:
        # Made here, where nobody waits, and not at the first text that needs it.
        _words()
        self._count = len(patterns)
        self._set = re2.Set.SearchSet(_options())
        try:
            for pattern in patterns:
                self._set.Add(pattern)
            # This fails, too, where there would be no room to run the set: a search never runs out of memory.
            self._set.Compile()
        except re2.error:
            raise BadPattern(f"all together they take more than {AUTOMATON_BYTES_MAX >> 20} MiB") from None

    def __len__(self) -> int:
        return self._count

    def hits(self, text: str) -> Sequence[int]:
        """The numbers of the patterns that occur, ascending."""
        # To RE2 a set without patterns has one.
        found: list[int] | None = self._set.Match(text) if self._count else None
        return sorted(found) if found else ()


def check_pattern(pattern: str) -> None:
    """Raise `BadPattern` for what RE2 does not take."""
    try:
        re2.compile(pattern, _options())
    except re2.error as problem:
        raise BadPattern(_reason(problem)) from None


def span_of(pattern: str, text: str) -> tuple[int, int] | None:
    """Where a pattern first occurs."""
    match = re2.compile(pattern, _options()).search(text)
    return None if match is None else match.span()


def words_form(folded: str) -> str:
    """A folded text as its words, a space before and behind each: `buy-now!` is ` buy now `.

    So a whole word is a plain substring, and one automaton of plain substrings holds any number of terms.
    """
    if folded.isascii():
        words = folded.encode().translate(_ASCII_WORDS).decode().split()
    else:
        words = _words().findall(_without_symbols(folded))
    return f" {' '.join(words)} "


def words_with_spans(folded: str) -> Iterator[tuple[str, int, int]]:
    """The words of the words form, with their places in the folded text."""
    for word in _words().finditer(_without_symbols(folded)):
        yield word[0], word.start(), word.end()


def term_needle(term: str) -> str:
    """What of the words form a term is; empty if nothing of it is a word.

    Scripts without spaces have no whole words to insist on: there a term is found anywhere.
    """
    words = words_form(fold(term).text).strip()
    if not words:
        return ""
    before = "" if _UNSPACED.match(words[0]) else " "
    behind = "" if _UNSPACED.match(words[-1]) else " "
    return f"{before}{words}{behind}"


def needle_pattern(needle: str) -> str:
    """A needle as a pattern of an automaton."""
    escaped: str = re2.escape(needle)
    return escaped


def _options() -> re2.Options:
    options = re2.Options()
    # It would write to stderr, and quote the pattern there.
    options.log_errors = False
    # Texts come folded; a capital in a pattern would never match.
    options.case_sensitive = False
    options.max_mem = AUTOMATON_BYTES_MAX
    return options


def _too_large() -> BadPattern:
    return BadPattern(f"all together they take more than {AUTOMATON_BYTES_MAX >> 20} MiB")


def _reason(problem: Exception) -> str:
    said = problem.args[0] if problem.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


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
