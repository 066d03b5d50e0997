"""Tests of a text's shape that no pattern can make: too short to hold anything, or the same over and over.

They look at folded texts and return at once for most: each is a few comparisons for an ordinary post.
"""

from __future__ import annotations

import re
from collections import Counter

from schemas.policy import LengthRule, RepetitionRule

_LATIN = "a-z\u00df-\u00f6\u00f8-\u024f\u1e00-\u1eff"
# Letters, blanks and the punctuation of plain sentences. A full stop within a word may be a domain's.
_PLAIN = re.compile(rf"(?:[{_LATIN} \n,!?'\u2019…-]|\.(?![{_LATIN}]))+")
_LETTER = re.compile(rf"[{_LATIN}]")
# What lines and tables are drawn with; forty of these in a row are a heading.
_DRAWING = frozenset(" \t\r\n-=_*~#.")


def is_harmless(folded: str, rule: LengthRule) -> bool:
    """Whether a text is as short and plain as the rule wants it; words to beware of are not looked for here.

    Only Latin letters: four characters of Han are a sentence.
    """
    return (
        len(folded) <= rule.characters_max
        and _PLAIN.fullmatch(folded) is not None
        and _LETTER.search(folded) is not None
    )


def is_repetitive(folded: str, rule: RepetitionRule) -> bool:
    """Whether one character, or one word, is repeated over and over."""
    return has_run(folded, rule.run_min) or _has_common_word(folded, rule)


def has_run(text: str, run_min: int) -> bool:
    """Whether one character is repeated so many times without a break.

    A run covers at least two of the places that stand half of it apart: few looks do for most texts.
    """
    stride = run_min // 2
    sample = text[::stride]
    for at, char in enumerate(sample[:-1]):
        if (
            char == sample[at + 1]
            and char not in _DRAWING
            and _run_around(text, at * stride, run_min) >= run_min
        ):
            return True
    return False


def _run_around(text: str, place: int, reach: int) -> int:
    """How long the run of equal characters around a place is, as far as the reach."""
    before = text[max(0, place - reach) : place]
    behind = text[place : place + reach]
    char = text[place]
    return len(before) - len(before.rstrip(char)) + len(behind) - len(behind.lstrip(char))


def _has_common_word(folded: str, rule: RepetitionRule) -> bool:
    words = folded.split()
    # If one word has its share, then so few others are left.
    if len(words) < rule.words_min or len(set(words)) - 1 > (1 - rule.word_share) * len(words):
        return False
    return Counter(words).most_common(1)[0][1] >= rule.word_share * len(words)
