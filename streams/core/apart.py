"""Letters that were written apart, put together: `f r e e`, `f.r.e.e`, `f - r - e - e` become one word.

At least three single letters or digits, over a third of them letters, with the same one to three signs or
blanks between all of them, or with any one sign between any two. What was put together begins with `JOINED`,
so that it is known to have been apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from streams.core.lookalikes import JOINED

Span = tuple[int, int]

# At the end of a word it is no letter.
_EXCLAMATION = re.compile(r"(?<!!)!++(?![|@$\w])")
_MARKS = "\u0300-\u036f"
_LETTER = rf"(?:[^\W_]|[@$|!])[{_MARKS}]*"
_BETWEEN = rf"(?:(?![@${_MARKS}])[\W_])"
_ONE_SIGN = r"(?![\s|!])"
_APART = re.compile(
    rf"(?<![^\W_])(?<![@$]){_LETTER}"
    rf"(?:({_BETWEEN}{{1,3}}){_LETTER}(?:\1{_LETTER})+|(?:{_ONE_SIGN}{_BETWEEN}{_LETTER}){{2,}})(?![^\W_]|[@$])"
)
_ANY_BETWEEN = re.compile(_BETWEEN)
_ANY_MARK = re.compile(f"[{_MARKS}]")


def put_together(base: str, *, may_be_apart: bool = True) -> str:
    """The text with letters put together that were apart."""
    kept = _without_exclamations(base)
    return _APART.sub(_together, kept) if may_be_apart else kept


def pieces(base: str) -> Iterator[tuple[str, Span]]:
    """The same in pieces, each with its place in the text: a character, or what was put together."""
    kept = _without_exclamations(base)
    at = 0
    for apart in _APART.finditer(kept):
        yield from ((kept[place], (place, place + 1)) for place in range(at, apart.start()))
        yield _together(apart), apart.span()
        at = apart.end()
    yield from ((kept[place], (place, place + 1)) for place in range(at, len(kept)))


def _without_exclamations(base: str) -> str:
    return _EXCLAMATION.sub(lambda row: " " * len(row[0]), base) if "!" in base else base


def _together(apart: re.Match[str]) -> str:
    run = apart[0]
    step = 1 + len(apart[1] or " ")
    letters = run[::step] if run.isascii() or not _ANY_MARK.search(run) else _ANY_BETWEEN.sub("", run)
    # More than a third of them: `a[1:3]` is a piece of code. That all are is the quickest to know.
    if letters.isalpha() or 3 * sum(map(str.isalpha, letters)) > len(letters):
        return JOINED + letters
    return run
