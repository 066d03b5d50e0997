"""One text in the forms that decisions compare: the digest form for sameness, the folded form for rules.

Both are NFKC, case folded and without invisible characters, and neither folds lookalikes, leet or repeats:
those merge texts that mean different things. Linear in the text, and at most four times its characters.
Which characters the model is shown is another question (`streams.core.questions`).
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from itertools import pairwise
from unicodedata import category, is_normalized, normalize

import msgspec

GROWTH_MAX = 4
"""Most characters of a folded text for each character of the original."""

MARKS_MAX = 30
"""Most combining marks in a row that are kept: Unicode's own limit for text that is safe to stream. Sorting a
run of marks takes the square of its length, and 30,000 of them took a second."""

INVISIBLE = "invisible"
FLOOD = "combining_flood"
STYLED = "styled"

# Unicode's Default_Ignorable_Code_Point, the interlinear marks, and the controls that are not white space.
_IGNORABLE = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_INVISIBLE = re.compile(f"[{_IGNORABLE}]")
_ASCII_INVISIBLE = bytes([*range(9), *range(14, 28), 127])
_ASCII_LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
# A joiner after a letter of a script that joins letters is spelling, one between two emoji makes one of them,
# and a selector after an emoji chooses its looks: they are ordinary, so they are stripped but are no sign of
# hiding. One at a time: what follows a blank, a sign or another one is seen nowhere, and may be a message.
_JOINING = (
    "\u0600-\u061b\u061d-\u109f\u1700-\u17b3\u17b6-\u180a\u1810-\u18af\u1900-\u1cff\ua800-\uabff"
    "\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00011fff\U0001e900-\U0001e95f"
)
_EMOJI = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_ORDINARY = re.compile(
    f"(?<=[{_JOINING}])[\u200c\u200d]|(?<=[{_EMOJI}])[\ufe0e\ufe0f]|(?<=[0-9#*])\ufe0f(?=\u20e3)"
    f"|(?:(?<=[{_EMOJI}])|(?<=[{_EMOJI}]\ufe0f))\u200d(?=[{_EMOJI}])"
)
# Alphabets that stand for ASCII letters: fullwidth, enclosed, mathematical.
_STYLES = (
    "\uff21-\uff3a\uff41-\uff5a\u24b6-\u24e9\U0001d400-\U0001d7ff\U0001f110-\U0001f12b\U0001f130-\U0001f149"
)
_STYLED = re.compile(f"[{_STYLES}]")
# The characters that NFKC and case folding turn into more than four; they stay as they are.
_GROWTHS = (
    "\u3307\u3315-\u3317\u3319\u331a\u3320\u332b\u332e\u3332\u3334\u3336\u3347\u334a\u3356"
    "\u33ae\u33af\ufdfa\ufdfb"
)
_GROWING = re.compile(f"([{_GROWTHS}])")
# Halfwidth voicing marks are letters to Unicode, but NFKC makes combining marks of them.
_VOICING = str.maketrans("\uff9e\uff9f", "\u3099\u309a")
# No combining mark is `\w`, so a run of marks is found without asking about each character. The look-behind
# lets a search begin only where a run begins: without it a run is scanned once for each of its characters.
_MARK = re.compile(r"[^\w\s\x00-\x7f]")
_MARK_RUN = re.compile(rf"(?<!{_MARK.pattern}){_MARK.pattern}{{{MARKS_MAX + 1},}}")
# One look for everything that makes a text more than a matter of NFKC. Beyond the basic plane `re` goes
# through a class range by range, so there it is two ranges that hold all of the above, and no emoji.
_BASIC = re.sub("[\U00010000-\U0010ffff]-[\U00010000-\U0010ffff]", "", _IGNORABLE + _STYLES + _GROWTHS)
_NOTABLE = re.compile(f"[{_BASIC}\uff9e\uff9f\U0001bca0-\U0001f149\U000e0000-\U000e0fff]")


class DigestForm(msgspec.Struct, frozen=True, gc=False):
    """A text as it is compared with others, in UTF-8."""

    data: bytes
    is_whole: bool
    """Whether nothing was left out. Otherwise the original must be compared, too."""


class Folded(msgspec.Struct, frozen=True, gc=False):
    """A text as rules compare it, and what it looked like before.

    Like all that is made for every post it is no named tuple, which takes several times as long to make.
    """

    text: str
    data: bytes
    """The same in UTF-8, as RE2 reads it."""
    flags: tuple[str, ...] = ()
    """Ways in which the text hides what it says, as far as it does."""
    obfuscation: float = 0.0
    """The share of its characters that hide something, 0 to 1: invisible, styled, or marks of a flood."""
    cased: str = ""
    """The same before its case was folded, unless the text is ASCII: a capital may look like another
    letter."""


def digest_form(text: str) -> DigestForm:
    """The form that enters digests."""
    if text.isascii():
        raw = text.encode()
        visible = raw.translate(_ASCII_LOWER, _ASCII_INVISIBLE)
        return DigestForm(visible, len(visible) == len(raw))
    if _is_simple(text):
        return DigestForm(utf8(_refolded(normalize("NFKC", text).casefold())), is_whole=True)
    kept = _without_floods(_INVISIBLE.sub("", text))
    return DigestForm(utf8(_refolded(_folded(kept))), len(kept) == len(text))


def _refolded(folded: str) -> str:
    """Case folding takes some letters apart (\u0390), and their capitals otherwise than themselves."""
    return folded if is_normalized("NFKC", folded) else _compatible(folded)


def fold(text: str) -> Folded:
    """The form that rules compare."""
    if text.isascii():
        raw = text.encode()
        visible = raw.translate(_ASCII_LOWER, _ASCII_INVISIBLE)
        folded = visible.decode()
        hidden = len(raw) - len(visible)
        return Folded(folded, visible, (INVISIBLE,), hidden / len(raw)) if hidden else Folded(folded, visible)
    if _is_simple(text):
        simple = normalize("NFKC", text)
        folded = _refolded(simple.casefold())
        return Folded(folded, utf8(folded), cased=simple)
    visible_text = _INVISIBLE.sub("", text)
    kept = _without_floods(visible_text)
    hidden = len(text) - len(visible_text)
    if hidden:
        hidden -= len(_ORDINARY.findall(text))
    flooding = len(visible_text) - len(kept)
    styled = len(_STYLED.findall(kept))
    flags = tuple(flag for flag, count in ((INVISIBLE, hidden), (FLOOD, flooding), (STYLED, styled)) if count)
    compatible = _compatible(kept)
    folded = _refolded(compatible.casefold())
    return Folded(folded, utf8(folded), flags, (hidden + flooding + styled) / len(text), compatible)


def cased(text: str) -> str:
    """The same with its case as it was, unless the text is ASCII; what it hides is not looked at."""
    if text.isascii():
        return fold(text).text
    if _is_simple(text):
        return normalize("NFKC", text)
    return _compatible(_without_floods(_INVISIBLE.sub("", text)))


def segments(text: str, form: Callable[[str], str]) -> list[tuple[str, int, int]]:
    """A form in pieces, each with the span of the original that it comes from; joined they are the form.

    A piece begins at each character that cannot melt into those before it. This is for explanations; it takes
    many times as long as the form itself.
    """
    edges = [*(at for at, char in enumerate(text) if at == 0 or not _melts(char)), len(text)]
    return [(form(text[start:end]), start, end) for start, end in pairwise(edges)]


def utf8(text: str) -> bytes:
    """UTF-8 of any string; a lone surrogate, which no decoder of ours lets in, keeps its own bytes."""
    return text.encode("utf-8", "surrogatepass")


def _folded(visible: str) -> str:
    return _compatible(visible).casefold()


def _compatible(visible: str) -> str:
    if _GROWING.search(visible) is None:
        return normalize("NFKC", visible)
    parts = _GROWING.split(visible)
    return "".join(part if at % 2 else normalize("NFKC", part) for at, part in enumerate(parts))


def _is_simple(text: str) -> bool:
    """Whether nothing in a text is invisible, styled, growing, or a flood: most texts in any script.

    A run longer than may be kept covers at least one of the places that stand so far apart.
    """
    return _NOTABLE.search(text) is None and _MARK.search(text[:: MARKS_MAX + 1]) is None


def _without_floods(text: str) -> str:
    return _MARK_RUN.sub(_thinned, text.translate(_VOICING) if "\uff9e" in text or "\uff9f" in text else text)


def _thinned(run: re.Match[str]) -> str:
    """A run of symbols and marks, of the marks in a row only so many as are kept."""
    kept: list[str] = []
    marks = 0
    for char in run[0]:
        marks = marks + 1 if category(char).startswith("M") else 0
        if marks <= MARKS_MAX:
            kept.append(char)
    return "".join(kept)


def _melts(char: str) -> bool:
    """Whether folding may join it to what stands before: marks, later Hangul letters, the invisible."""
    if char < "\x80":
        return bool(_INVISIBLE.match(char))
    first = normalize("NFKD", char)[0]
    return (
        category(first).startswith("M")
        or "\u1161" <= first <= "\u1175"
        or "\u11a8" <= first <= "\u11c2"
        or bool(_INVISIBLE.match(char))
    )
