"""What a character is, and what it is seen as: Cyrillic has a letter that is seen as `a`, as are `@` and `4`.

Two tables from a character to what stands for it. They agree on all that is ordinary: case, accents, a blank
for what no word consists of. Where they differ, a character passes for another. As `1`, `|` and `I` are seen
as `i` or as `l`, `one_symbol` makes the two one in the end. Lookalikes are Unicode's (UTS 39, as the package
confusable-homoglyphs brings it) and those that Unicode's names tell; only digits and signs for letters are
ours, as nobody keeps a table of them.
"""

from __future__ import annotations

import re
import string
from functools import cache
from unicodedata import category, name, normalize

from streams.core.tables import Table

GONE = "\x01"
"""Stands for a mark that is only drawn upon a letter; it is taken out in the end."""
JOINED = "\x02"
"""Stands before letters that were written apart. What is read has no controls, so there is no other."""

LEET = {
    **dict(zip("0123456789", "oizeasgtbg", strict=True)),
    **dict(zip("@$!|€£¢¥§", "asiieicys", strict=True)),
}
"""Digits and signs as letters. Of several readings one is chosen, for terms and texts alike."""

# Latin letters with accents, hooks and strokes are spelling; those beyond are phonetics, and decoration.
_LATIN = re.compile("[\u00c0-\u024f\u1e00-\u1eff]")
_NAMED = re.compile(
    r"LATIN (?:SMALL|CAPITAL) LETTER (?:DOTLESS )?([A-Z])(?: WITH .*)?"
    r"|(?:.* )?LATIN LETTER SMALL CAPITAL ([A-Z])"
    r"|(?:NEGATIVE|REGIONAL).* LETTER ([A-Z])"
)
# Where characters stand whose names tell a Latin letter; looking up a name takes a microsecond.
_TELLING = re.compile(
    "[\u00c0-\u02af\u1d00-\u1dbf\u1e00-\u1eff\u2c60-\u2c7f\ua720-\ua7ff\uab30-\uab6f\U0001f100-\U0001f1ff]"
)
_DECORATION = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]")
_EUROPEAN = re.compile("[A-Za-z\u00c0-\u052f\u1e00-\u1fff]")
# The package marks right-to-left characters with invisible ones.
_DIRECTIONS = dict.fromkeys(map(ord, "\u200e\u200f"))


class _Plain(Table):
    """What a character is."""

    def _made(self, char: str) -> str:
        if char in {JOINED, GONE} or char in LEET or _DECORATION.match(char):
            return char
        if category(char)[0] not in "LMN":
            return char if _look(char) else " "
        base = (_LATIN.match(char) and _named(char)) or char
        if _EUROPEAN.match(base):
            base = normalize("NFD", base)[0]
        folded = base.casefold()
        # A capital is what its small letter is, though its name may tell less.
        return self._made(folded) if folded != base and len(folded) == 1 else folded


class _Seen(Table):
    """What a character is seen as."""

    def _made(self, char: str) -> str:
        if char in {JOINED, GONE} or _DECORATION.match(char):
            return GONE
        if char in LEET:
            return LEET[char]
        plain = PLAIN[ord(char)]
        return plain if plain.isascii() else _look(char) or plain


PLAIN = _Plain()
SEEN = _Seen()


def one_symbol(read: str) -> str:
    """The same with one symbol for letters that are seen as each other; as long as before."""
    return read.replace("l", "i")


def _look(char: str) -> str:
    """The Latin letter that a character is seen as; empty if none.

    1. What Unicode says of it. 2. What its name says: small capitals, letters in black boxes. 3. It resembles
    a Latin letter with a mark. 4. What is said of its capital: Cyrillic's small ka is confused with nothing,
    its capital with `K`. 5. What is said of the character that it resembles.
    """
    if char.isascii():
        return ""
    if said := _looks().get(char) or _named(char):
        return said
    resembled = [normalize("NFD", entry["c"])[0] for entry in confusables().get(char, ())]
    capital = char.upper()
    return next(
        (
            found
            for other in (
                *(one for one in resembled if one.isascii()),
                *([capital] if capital != char else ()),
                *resembled,
            )
            if (found := _looks().get(other) or _named(other))
        ),
        "",
    )


def _named(char: str) -> str:
    """The Latin letter that a character's name tells; empty if none."""
    if char.isascii():
        return char.lower() if char.isalpha() else ""
    told = _NAMED.fullmatch(name(char, "")) if _TELLING.match(char) else None
    return (told[1] or told[2] or told[3]).lower() if told else ""


def surviving(text: str) -> str:
    """The text with characters replaced that compatibility turns into others, such as the lunate sigma.

    What stands for them is as foreign, is seen as the same letter, and stays.
    """
    for char, other in _unstable().items():
        text = text.replace(char, other)
    return text


@cache
def _unstable() -> dict[str, str]:
    stays: dict[str, str] = {}
    for char, letter in _looks().items():
        if normalize("NFKC", char) == char and category(char) == "Ll":
            stays.setdefault(letter, char)
    return {
        char: stays[letter]
        for char, letter in _looks().items()
        if letter in stays
        and category(char) in {"Ll", "Lu"}
        and not (became := normalize("NFKC", char)).isascii()
        and _looks().get(became) != letter
    }


@cache
def _looks() -> dict[str, str]:
    """Of each character that Unicode says is confused with a Latin letter or a digit: the letter."""
    looks: dict[str, str] = {}
    targets = {**{letter: letter for letter in string.ascii_letters}, "rn": "m"}
    targets |= {digit: LEET[digit] for digit in string.digits}
    for target, letter in targets.items():
        for entry in confusables().get(target, ()):
            char = entry["c"].translate(_DIRECTIONS)
            if len(char) == 1 and not char.isascii():
                looks.setdefault(char, letter.lower())
    return looks


@cache
def confusables() -> dict[str, list[dict[str, str]]]:
    """Unicode's table of characters and sequences that are confused with others."""
    # Its table takes 40 ms to read: not on import.
    from confusable_homoglyphs.confusables import confusables_data  # noqa: PLC0415

    data: dict[str, list[dict[str, str]]] = confusables_data
    return data
