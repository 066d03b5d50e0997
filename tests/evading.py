"""Spellings by which people hide a word from a list of words, made at random from a seed.

The lookalikes are those that fonts draw with the same outlines (`data/drawn-alike.json`), and a few that only
resemble a letter, chosen by eye and by name. Neither is the table by which Penstock folds.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from unicodedata import lookup

DRAWN_ALIKE = json.loads((Path(__file__).parent / "data/drawn-alike.json").read_text("utf-8"))
RESEMBLING = {
    "greek": {
        "a": "ALPHA", "e": "EPSILON", "i": "IOTA", "k": "KAPPA", "n": "ETA", "o": "OMICRON", "p": "RHO",
        "t": "TAU", "u": "UPSILON", "v": "NU", "x": "CHI", "y": "GAMMA",
    },
    "cyrillic": {"b": "VE", "k": "KA", "m": "EM", "t": "TE", "h": "EN"},
}  # fmt: skip
LEET = {
    "a": "4@", "b": "8", "e": "3", "g": "9", "i": "1!|", "l": "1|", "o": "0", "s": "5$", "t": "7", "z": "2",
}  # fmt: skip
SPACES = (" ", " ", " ", "  ", "\u00a0", "\u2009", " \u200b")
DOTS = (".", ".", "-", "-", "_", "*", ",", "/", "·", " . ", " - ", "\u200b.")
HIDDEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\u2062\U000e0061\ufe0f\u202c"
MATHEMATICAL = (0x1D400, 0x1D468, 0x1D4D0, 0x1D56C, 0x1D5A0, 0x1D5D4, 0x1D63C, 0x1D670)
CONTEXTS = ("{}", "get {} now", "so much {}, really", "want a {}?", "I {} it!", "Hello\n{}", "see: {} (2024)")

Spell = Callable[[str, random.Random], str]


def leet(word: str, chance: random.Random) -> str:
    """Digits and signs for one to all of the letters that have some, less one: no number is a word."""
    return _some_replaced(word, LEET, chance, leave=1)


def spaced(word: str, chance: random.Random) -> str:
    return chance.choice(SPACES).join(word)


def dotted(word: str, chance: random.Random) -> str:
    return chance.choice(DOTS).join(word)


def repeated(word: str, chance: random.Random) -> str:
    """One or more letters drawn out."""
    drawn_out = set(chance.sample(range(len(word)), chance.randint(1, len(word))))
    return "".join(
        letter * chance.randint(3, 7) if at in drawn_out else letter for at, letter in enumerate(word)
    )


def fullwidth(word: str, chance: random.Random) -> str:
    made = "".join(chr(ord(letter) + 0xFEE0) for letter in word)
    return made if chance.random() < 0.5 else made.upper()


def mathematical(word: str, chance: random.Random) -> str:
    start = chance.choice(MATHEMATICAL) + chance.choice((0, 26))
    return "".join(chr(start + ord(letter) - ord("a")) for letter in word)


def zero_width(word: str, chance: random.Random) -> str:
    return "".join(letter + chance.choice(HIDDEN) * chance.randint(0, 2) for letter in word[:-1]) + word[-1]


def cyrillic(word: str, chance: random.Random) -> str:
    return _some_replaced(word, _alike("cyrillic", word), chance)


def greek(word: str, chance: random.Random) -> str:
    return _some_replaced(word, _alike("greek", word), chance)


def mixed(word: str, chance: random.Random) -> str:
    """Several at once: lookalikes, then leet, then one that changes how letters stand."""
    made = chance.choice((cyrillic, greek))(word, chance)
    made = _some_replaced(made, LEET, chance, leave=2)
    standing = chance.choice((spaced, dotted, zero_width, repeated, lambda same, _: same))
    return standing(made, chance)


FAMILIES: dict[str, Spell] = {
    "leet": leet,
    "spaced": spaced,
    "dotted": dotted,
    "repeated": repeated,
    "fullwidth": fullwidth,
    "mathematical": mathematical,
    "zero-width": zero_width,
    "Cyrillic": cyrillic,
    "Greek": greek,
    "mixed": mixed,
}


def spellings(word: str, family: str, count: int, chance: random.Random) -> list[str]:
    """Texts that hide a word, none of them in the word itself; none where a family cannot change it."""
    made = [FAMILIES[family](word, chance) for _ in range(count)]
    return [chance.choice(CONTEXTS).format(one) for one in made if one != word]


def _alike(script: str, word: str) -> dict[str, str]:
    """Lookalikes of small letters, and of capitals as capitals."""
    drawn = DRAWN_ALIKE[script]
    alike: dict[str, str] = {}
    for letter in word:
        near = RESEMBLING[script].get(letter)
        alike[letter] = (
            drawn.get(letter, "")
            + drawn.get(letter.upper(), "")
            + (lookup(f"{script.upper()} SMALL LETTER {near}") if near else "")
        )
    return {letter: others for letter, others in alike.items() if others}


def _some_replaced(word: str, others: dict[str, str], chance: random.Random, leave: int = 0) -> str:
    places = [at for at, letter in enumerate(word) if letter in others]
    most = min(len(places), len(word) - leave)
    if most < 1:
        return word
    replaced = set(chance.sample(places, chance.randint(1, most)))
    return "".join(
        chance.choice(others[letter]) if at in replaced else letter for at, letter in enumerate(word)
    )
