r"""What the patterns of the schemas demand, in words: people are told these, machines the pattern.

The keys are the patterns as they stand in the declarations, less the anchors (`^`, and `\Z` or `$`); a test
holds that none is missing here and none too many.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_WORDS: Mapping[str, str] = MappingProxyType(
    {
        r"[^\x00-\x1f\x7f-\x9f]+": "text without line breaks or other control characters, and not empty",
        r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}": (
            "1 to 64 letters, digits, `_`, `.` or `-`, the first a letter or a digit"
        ),
        r"[a-z0-9][a-z0-9_.-]{0,63}": (
            "1 to 64 small letters, digits, `_`, `.` or `-`, the first a letter or a digit"
        ),
        r"([a-z0-9][a-z0-9_.-]{0,63})?": (
            "empty, or 1 to 64 small letters, digits, `_`, `.` or `-`, the first a letter or a digit"
        ),
        r"[a-z0-9_]{1,64}": "1 to 64 small letters, digits or `_`",
        r"[0-9a-f]{32}": "32 hexadecimal digits",
        r"([0-9a-f]{32})?": "empty, or 32 hexadecimal digits",
        r"([a-zA-Z0-9][a-zA-Z0-9_-]{0,62}\.)?": (
            "empty, or letters, digits, `_` or `-`, the first a letter or a digit, with a `.` at the end"
        ),
        r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}|": (
            "empty, or 1 to 63 letters, digits, `_`, `.` or `-`, the first a letter or a digit"
        ),
        r"https?://[^\s]+": "an address that begins with http:// or https://, without blanks",
    }
)


def in_words(pattern: str) -> str | None:
    """What a text must be to match; None for a pattern that is not one of ours."""
    return _WORDS.get(_bare(pattern))


def known() -> frozenset[str]:
    """All patterns that have words, bare."""
    return frozenset(_WORDS)


def _bare(pattern: str) -> str:
    return pattern.replace("^", "", 1).replace("$|^$", "|").removesuffix(r"\Z").removesuffix("$")
