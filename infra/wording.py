"""What is wrong with a message, for whoever wrote it by hand: words instead of patterns and Python's types.

The codec's complaints are exact and go to dead letters as they are; here they are told to whoever sends an
event, reads a dead letter or writes a policy. What is not recognised stays as it was: no complaint is lost.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from schemas.errors import UnknownKind
from schemas.event import KINDS
from schemas.patterns import in_words

_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "str": "text",
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "array": "a list",
        "object": "a table of fields",
        "datetime": "a date and time",
        "null": "null",
    }
)
_THINGS: Mapping[str, str] = MappingProxyType(
    {"str": "characters", "array": "elements", "object": "entries", "bytes": "bytes"}
)
_SIGNS: Mapping[str, str] = MappingProxyType(
    {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
)


def told(complaint: str) -> str:
    """A complaint of the codec, in words."""
    for pattern, tell in _COMPLAINTS:
        if found := pattern.fullmatch(complaint):
            return tell(found)
    return complaint


def told_of_event(complaint: str, path: str, code: str) -> str:
    """A complaint about an event, with the words that would do where there are only some."""
    match path.rpartition(".")[2]:
        case "kind" if code == UnknownKind.code:
            return f"must be one of {', '.join(KINDS)}"
        case "id" if complaint.startswith("Expected `str` matching"):
            return "an id must not hold line breaks or other control characters"
        case _:
            return told(complaint)


def _types(names: str) -> str:
    return " or ".join(_TYPES.get(name, name) for name in names.split(" | "))


def _of_form(found: re.Match[str]) -> str:
    # msgspec shows the pattern as Python would write it.
    pattern = re.sub(r"\\(.)", r"\1", found["pattern"])
    words = in_words(pattern)
    return f"must be {words}" if words else found[0]


def _of_length(found: re.Match[str]) -> str:
    if (found["sign"], found["number"]) == (">=", "1"):
        return "must not be empty"
    return f"must have {_SIGNS[found['sign']]} {found['number']} {_THINGS.get(found['type'], 'parts')}"


_COMPLAINTS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"Expected `str` matching regex (?P<quote>['\"])(?P<pattern>.*)(?P=quote)"), _of_form),
    (re.compile(r"Expected `(?P<type>\w+)` of length (?P<sign>[<>]=?) (?P<number>\d+)"), _of_length),
    (
        re.compile(r"Expected `(?P<types>[^`]+)` (?P<sign>[<>]=?) (?P<number>[-\d.]+)"),
        lambda found: (
            f"must be {_types(found['types'])}, {_SIGNS[found['sign']]} {found['number'].removesuffix('.0')}"
        ),
    ),
    (
        re.compile(r"Expected `(?P<types>[^`]+)`, got `(?P<got>[^`]+)`"),
        lambda found: f"must be {_types(found['types'])}, and is {_types(found['got'])}",
    ),
    (
        re.compile(r"Invalid RFC3339 encoded datetime|Expected `datetime` with a timezone component"),
        lambda _: "must be a date and time with its offset, as 2025-01-31T12:00:00Z",
    ),
    (
        re.compile(r"Object missing required field `(?P<field>[^`]+)`"),
        lambda found: f"the field `{found['field']}` is missing",
    ),
)
