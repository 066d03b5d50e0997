"""Whether a text shows any sign of evasion: one look with RE2, as most texts show none.

It may see a sign where there is nothing to undo, and overlooks none; what there is, `streams.core.evasion`
knows.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import re2

from streams.core.lookalikes import SEEN

# Letters between which and another script's, or a digit, a word goes on.
_LATIN = "a-z\u00c0-\u024f\u1e00-\u1eff"
# Where lookalikes and marks are at home. Han, kana, Hangul and emoji are left out.
_OTHERS = "\u0250-\u1dff\u1f00-\u1fff\u2070-\u2dff\ua490-\uabff\ufe20-\ufe2f\U00010000-\U0001f1ff"
# Letters that are Latin by name, and seldom used to spell: phonetics, small capitals, letters in boxes.
DECORATIVE = "\u0250-\u02af\u1d00-\u1dbf\u2c60-\u2c7f\ua720-\ua7ff\uab30-\uab6f\U0001f100-\U0001f1ff"
_SIGNS = "@$€£¢¥§"
_MIXED = (
    f"[{_LATIN}][{_OTHERS}]|[{_OTHERS}][{_LATIN}]"
    f"|[{_LATIN}{_OTHERS}][0-9|{_SIGNS}]|[0-9|!{_SIGNS}][{_LATIN}{_OTHERS}]"
    f"|[{_LATIN}{_OTHERS}]!+[0-9|{_SIGNS}]"
    f"|[{DECORATIVE}]{{3}}"
    f"|[{_SIGNS}][!|{_SIGNS}]{{2}}|[!|{_SIGNS}]{{2}}[{_SIGNS}]"
)
# Whole words of letters that have a lookalike, in a script that has others, too.
_FOREIGN_RANGES = ((0x370, 0x52F), (0x13A0, 0x13FF))
_FOREIGN = "".join(f"{chr(first)}-{chr(last)}" for first, last in _FOREIGN_RANGES)
_LETTER, _BETWEEN = r"[\pL\pN@$|!]", r"[^\pL\pN\pM@$]"
_APART = "|".join(
    rf"(?:^|{_BETWEEN}){first}\pM*{_BETWEEN}{{1,3}}{second}\pM*{_BETWEEN}{{1,3}}{_LETTER}\pM*(?:$|{_BETWEEN})"
    for first, second in ((r"\pL", _LETTER), (_LETTER, r"\pL"))
)
_REPEATED = [chr(code) for span in ((0x61, 0x7B), (0x3B1, 0x3CA), (0x430, 0x450)) for code in range(*span)]
_DRAWN_OUT = "|".join(
    [*(letter * 3 for letter in _REPEATED), rf"\b(?:{'|'.join(letter * 2 for letter in _REPEATED)}){{2,}}\b"]
)


class Signs(NamedTuple):
    """What a text shows."""

    mixed: bool
    """Digits, signs, marks or another script's letters within words."""
    foreign: bool
    """Words in letters of another script, all of which are lookalikes."""
    apart: bool
    """Single letters in a row."""
    drawn_out: bool
    """The same letter three times in a row, or every letter twice."""


NONE = Signs(mixed=False, foreign=False, apart=False, drawn_out=False)


def signs_in(folded: str | bytes) -> Signs:
    """What a folded text shows; it may be in UTF-8 already."""
    found = _signs().Match(folded)
    if not found:
        return NONE
    mixed, foreign, unlike, apart, drawn_out = (number in found for number in range(5))
    return Signs(mixed=mixed, foreign=foreign and not unlike, apart=apart, drawn_out=drawn_out)


def _unlike() -> str:
    """The letters of other scripts that look like no Latin ones."""
    letters = (chr(code) for first, last in _FOREIGN_RANGES for code in range(first, last + 1))
    return "".join(letter for letter in letters if letter.isalpha() and not SEEN[ord(letter)].isascii())


@cache
def _signs() -> re2.Set:
    options = re2.Options()
    options.log_errors = False
    signs = re2.Set.SearchSet(options)
    for pattern in (_MIXED, f"[{_FOREIGN}]{{3}}", f"[{_unlike()}]", _APART, _DRAWN_OUT):
        signs.Add(pattern)
    signs.Compile()
    return signs
