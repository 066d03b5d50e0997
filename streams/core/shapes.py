"""Tests of a text's shape that no pattern can make.

Too short to hold anything, the same over and over, shouted, made of emoji, calling a crowd. They return at
once for most texts: each is a few comparisons for an ordinary post.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from schemas.policy import LengthRule, RepetitionRule, ShapeRule

_LATIN = "a-z\u00df-\u00f6\u00f8-\u024f\u1e00-\u1eff"
# Letters, blanks and the punctuation of plain sentences. A full stop within a word may be a domain's.
_MARKS = "\u0300-\u036f"
_PLAIN = re.compile(rf"(?:[{_LATIN}][{_MARKS}]?|[ \n,!?'\u2019…-]|\.(?![{_LATIN}]))+")
_LETTER = re.compile(rf"[{_LATIN}]")
_MARK = re.compile(rf"[{_MARKS}]")
# What lines and tables are drawn with; forty of these in a row are a heading.
_ALIKE = re.compile(r"([^ \t\r\n=_*~#.-])\1\1")

CHARACTERS_LOOKED_AT = 4_096
"""Of a text, for shares: what follows is as the beginning is, or nobody reads it."""
_TOO_FEW = -1.0
_ASCII_BLANKS = b" \t\n\v\f\r\x1c\x1d\x1e\x1f"
_ASCII_CAPITALS = string.ascii_uppercase.encode()
_ASCII_SMALL = string.ascii_lowercase.encode()
_MENTION = re.compile(r"(?<![\w.])@\w")
# The blocks of pictures. Skin tones, joiners and selectors belong to the picture before them.
_EMOJI = re.compile("[\u2600-\u27bf\U0001f1e6-\U0001f1ff\U0001f300-\U0001f3fa\U0001f400-\U0001faff]")
_SEEN = re.compile("[^\\s\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0000-\U000e0fff]")


def is_harmless(folded: str, rule: LengthRule) -> bool:
    """Whether a text is as short and plain as the rule wants it; words to beware of are not looked for here.

    Only Latin letters: four characters of Han are a sentence. Graphemes are counted, what a reader calls a
    character. Of plain Latin text every code point is one, but for a mark upon its letter; so two marks on
    one letter are not plain, and no library is needed to count.
    """
    length = len(folded)
    # A letter and its mark at the most, so twice as many code points; then the marks are taken off.
    return (
        length <= 2 * rule.characters_max
        and _PLAIN.fullmatch(folded) is not None
        and _LETTER.search(folded) is not None
        and (length <= rule.characters_max or graphemes_of_plain(folded) <= rule.characters_max)
    )


def graphemes_of_plain(plain: str) -> int:
    """How many characters a reader counts in a plain text, as `is_harmless` understands plain."""
    return len(plain) - len(_MARK.findall(plain))


def is_repetitive(folded: str, rule: RepetitionRule) -> bool:
    """Whether one character, one word, or one line is repeated over and over."""
    return (
        has_run(folded, rule.run_min)
        or _has_common_word(folded, rule.words_min, rule.word_share)
        or (rule.lines_min > 0 and _has_common(_lines(folded), rule.lines_min, rule.line_share))
    )


def has_shape(text: str, folded: str, rule: ShapeRule) -> bool:
    """Whether an original text looks as the rule says, in every respect that it names."""
    if rule.mentions_over is not None and not _has_more_mentions(folded, rule.mentions_over):
        return False
    looked_at = text[:CHARACTERS_LOOKED_AT]
    return (rule.emoji_share is None or _emoji(looked_at, rule.characters_min) >= rule.emoji_share) and (
        rule.capitals_share is None
        or _has_capitals(looked_at, rule.capitals_share, letters_min=rule.characters_min)
    )


def _has_more_mentions(folded: str, most: int) -> bool:
    # As many as may be are found, and one more: no text is searched on to its end for all of a thousand.
    return "@" in folded and sum(1 for _ in islice(_MENTION.finditer(folded), most + 1)) > most


def _has_capitals(text: str, share: float, *, letters_min: int) -> bool:
    """Whether capitals are so many of the letters that could be one, if there are enough of these."""
    is_ascii = text.isascii()
    capitals = _counted(text, _ASCII_CAPITALS) if is_ascii else sum(map(str.isupper, text))
    # The share of the fewest letters that count is the most it can be: most texts are not asked on.
    if capitals / letters_min < share:
        return False
    letters = capitals + (_counted(text, _ASCII_SMALL) if is_ascii else sum(map(str.islower, text)))
    return letters >= letters_min and capitals / letters >= share


def _counted(text: str, of: bytes) -> int:
    """How many of these characters an ASCII text has."""
    return len(text) - len(text.encode().translate(None, of))


def _emoji(text: str, characters_min: int) -> float:
    """The share of emoji among the characters that are seen; below nothing where there are too few."""
    if text.isascii():
        return _TOO_FEW
    seen = len(_SEEN.findall(text))
    return len(_EMOJI.findall(text)) / seen if seen >= characters_min else _TOO_FEW


def has_run(text: str, run_min: int) -> bool:
    """Whether one character is repeated so many times without a break.

    A run covers at least three of the places that stand a third of it apart: one look does for most texts.
    """
    stride = run_min // 3
    sample = text[::stride]
    alike = _ALIKE.search(sample)
    while alike is not None:
        if _run_around(text, alike.start() * stride, run_min) >= run_min:
            return True
        alike = _ALIKE.search(sample, alike.start() + 1)
    return False


def _run_around(text: str, place: int, reach: int) -> int:
    """How long the run of equal characters around a place is, as far as the reach."""
    before = text[max(0, place - reach) : place]
    behind = text[place : place + reach]
    char = text[place]
    return len(before) - len(before.rstrip(char)) + len(behind) - len(behind.lstrip(char))


def _has_common_word(folded: str, words_min: int, share: float) -> bool:
    """Whether one word has its share of all.

    Of the first words no more can be others than the others' share of all there may be: most texts have more,
    and need not be cut up to their end.
    """
    words_max = _blanks_max(folded) + 1
    if words_max < words_min:
        return False
    others_max = int((1 - share) * words_max) + 1
    looked_at = 2 * others_max
    if looked_at < words_max and len(set(folded.split(None, looked_at)[:looked_at])) - 1 > others_max:
        return False
    return _has_common(folded.split(), words_min, share)


def _blanks_max(text: str) -> int:
    """How many blanks a text has at the most."""
    if text.isascii():
        # Half of what the other way takes.
        return _counted(text, _ASCII_BLANKS)
    # What is printable has no other blank than the one between words.
    return text.count(" ") if text.isprintable() else len(text) // 2


def _has_common(parts: Sequence[str], parts_min: int, share: float) -> bool:
    """Whether one of the parts has its share of them."""
    # If one has, then so few others are left.
    if len(parts) < parts_min or len(parts) - len(set(parts)) + 1 < share * len(parts):
        return False
    return Counter(parts).most_common(1)[0][1] >= share * len(parts)


def _lines(folded: str) -> list[str]:
    """The lines that are not blank, without the blanks around them."""
    return [line for line in map(str.strip, folded.split("\n")) if line] if "\n" in folded else []
