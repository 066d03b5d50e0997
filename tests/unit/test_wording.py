"""Whoever writes events, policies or settings by hand is told in words, not in patterns and types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, get_args

import msgspec
import pytest
from msgspec import inspect

from infra.wording import told
from schemas.campaign import Campaign
from schemas.dead_letter import DeadLetter
from schemas.event import Event
from schemas.memory import Memo
from schemas.patterns import in_words, known
from schemas.pending import Pending
from schemas.policy import ActivePolicy, Policy
from schemas.settings import Settings
from schemas.verdict import Verdict


def _patterns(kind: object, seen: set[object]) -> Iterator[str]:
    """All patterns that a declared type holds, however deep."""
    if isinstance(kind, inspect.StructType):
        if kind.cls in seen:
            return
        seen.add(kind.cls)
        for field in kind.fields:
            yield from _patterns(field.type, seen)
    elif isinstance(kind, inspect.StrType):
        if kind.pattern:
            yield kind.pattern
    elif isinstance(kind, inspect.Type):
        for name in kind.__struct_fields__:
            inner = getattr(kind, name)
            for one in inner if isinstance(inner, tuple) else (inner,):
                yield from _patterns(one, seen)


def test_every_pattern_has_its_words_and_no_words_are_left_over() -> None:
    messages = (
        *get_args(Event),
        Pending,
        Campaign,
        Memo,
        Verdict,
        DeadLetter,
        Policy,
        ActivePolicy,
        Settings,
    )
    found = {one for message in messages for one in _patterns(inspect.type_info(message), set())}
    assert len(found) > 5
    assert [pattern for pattern in found if in_words(pattern) is None] == []
    assert len({in_words(pattern) for pattern in found}) == len(known())


@pytest.mark.parametrize(
    ("complaint", "words"),
    [
        ("Expected `str` of length >= 1", "must not be empty"),
        ("Expected `str` of length <= 128", "must have at most 128 characters"),
        ("Expected `array` of length <= 64", "must have at most 64 elements"),
        ("Expected `int` >= 1", "must be a whole number, at least 1"),
        ("Expected `float` <= 1.0", "must be a number, at most 1"),
        ("Expected `int | null`, got `str`", "must be a whole number or null, and is text"),
        ("Object missing required field `text`", "the field `text` is missing"),
        ("Expected `str` matching regex '^x+$'", "Expected `str` matching regex '^x+$'"),
        ("something new", "something new"),
    ],
)
def test_a_complaint_is_told_so(complaint: str, words: str) -> None:
    assert told(complaint) == words


@pytest.mark.parametrize("pattern", [r"^[^\x00-\x1f\x7f-\x9f]+\Z", r"^https?://[^\s]+$"])
def test_the_codecs_own_complaint_of_a_pattern_is_recognised(pattern: str) -> None:
    text = Annotated[str, msgspec.Meta(pattern=pattern)]
    with pytest.raises(msgspec.ValidationError) as complained:
        msgspec.json.decode(b'"\\n"', type=text)
    assert told(str(complained.value)) == f"must be {in_words(pattern)}"
