"""Makes text safe for a terminal: what a stranger wrote can be read there, and cannot steer it.

Everything that comes out of an event or a child's output passes `safe` before it is printed for a person.
JSON output does not: it is escaped by its own rules.
"""

from __future__ import annotations

import re
import unicodedata

# Printable by the Unicode tables, yet drawn as nothing: fillers, joiners, variation selectors, vowels without
# a glyph. A text could hide in them, or look like another one.
_INVISIBLE = (
    r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
)
_INVISIBLE_ONE = re.compile(f"[{_INVISIBLE}]")
# More marks than this on one letter are no script's; they would be drawn over the lines above and below.
_MARKS_MAX = 4


def safe(text: str) -> str:
    r"""The text on one line, all that is not plainly visible written as `\x1b`, `\u202e` and so on.

    The escapes are Python's, and a backslash is doubled: so two different texts never look the same.
    """
    return visible(text.replace("\\", "\\\\")) if "\\" in text else visible(text)


def visible(text: str) -> str:
    r"""The same, with backslashes as they are: for our own sentences, and for content that is to be read.

    A text that holds the four characters `\x1b` looks like one that holds the escaped one.
    """
    if text.isascii() and text.isprintable():
        return text
    marks = 0
    shown: list[str] = []
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        is_plain = char.isprintable() and not _INVISIBLE_ONE.match(char)
        shown.append(char if is_plain and marks <= _MARKS_MAX else _escaped(char))
    return "".join(shown)


def fit(text: str, columns: int) -> str:
    """As much of a safe text as stands in so many columns; what is left out is marked."""
    if sum(map(_columns_of, text)) <= columns:
        return text
    room = columns - 1
    kept: list[str] = []
    for char in text:
        room -= _columns_of(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + "…" if columns > 0 else ""


def _escaped(char: str) -> str:
    escaped = char.encode("unicode_escape", "surrogatepass").decode("ascii")
    if escaped != char:
        return escaped
    return f"\\x{ord(char):02x}"


def _columns_of(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
