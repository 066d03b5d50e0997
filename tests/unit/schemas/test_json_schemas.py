"""What our decoders take the published JSON Schemas take, and what one refuses the other refuses.

A foreign producer validates with the schema and nothing else. Where the two cannot agree, docs/messages.md
says so, and the last test here shows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import strategies as messages
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from schemas import wire
from schemas.errors import WireError
from schemas.export.documents import MESSAGES

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[3] / "schemas" / "json"
DECODERS = {
    "event": wire.event_decoder(1_000_000),
    "verdict": wire.decode_verdict,
    "dead_letter": wire.decode_dead_letter,
    "pending": wire.decode_pending,
    "campaign": wire.decode_campaign,
    "memo": wire.decode_memo,
    "policy": wire.decode_policy,
    "active_policy": wire.decode_active_policy,
    "control": wire.decode_control,
}
STRATEGIES = {
    "event": messages.events(),
    "verdict": messages.verdicts(),
    "dead_letter": messages.dead_letters(),
    "pending": messages.pendings(),
    "campaign": messages.campaigns(),
    "memo": messages.memos(),
    "policy": messages.policies(),
    "active_policy": messages.active_policies(),
    "control": messages.orders(),
}

formats = FormatChecker(formats=())


@formats.checks("date-time", raises=ValueError)
def is_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def pattern(_validator: object, expression: str, value: object, _schema: object) -> Iterator[ValidationError]:
    """As the specification has it: `$` is the end. Python's own also matches before a last line feed."""
    if isinstance(value, str) and not re.search(expression.removesuffix("$") + r"\Z", value):
        yield ValidationError(f"does not match {expression}")


Validator = validators.extend(Draft202012Validator, {"pattern": pattern})


@cache
def validator(name: str) -> Any:
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Validator(schema, format_checker=formats)


def is_taken(name: str, data: bytes) -> bool:
    try:
        DECODERS[name](data)
    except WireError:
        return False
    return True


def test_every_message_has_a_schema_a_decoder_and_a_strategy():
    assert set(MESSAGES) == set(DECODERS) == set(STRATEGIES)
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.schema.json" for name in MESSAGES}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_schema_uses_only_what_every_validator_knows(name):
    text = (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    # `discriminator` is OpenAPI's, `\\Z` and look-arounds are not in every language's patterns.
    assert not any(foreign in text for foreign in ('"discriminator"', "\\\\Z", "(?"))


@pytest.mark.parametrize("name", MESSAGES)
@given(data=st.data())
def test_whatever_we_write_is_valid(name, data):
    written = wire.encode(data.draw(STRATEGIES[name]))
    assert is_taken(name, written)
    validator(name).validate(json.loads(written))


# What may take a value's place: something of another type, too little, too much, or nothing known.
REPLACEMENTS = st.sampled_from(
    [
        None,
        True,
        -1,
        0,
        1,
        2,
        2**31,
        2**63,
        0.5,
        1.5,
        -0.5,
        "",
        "x",
        "X y",
        "a\n",
        "a\x00",
        "x" * 33,
        "é" * 129,
        "x" * 5_000,
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-13-01T00:00:00Z",
        "0" * 32,
        "moderate",
        "critical",
        [],
        ["x"],
        [1],
        ["x"] * 201,
        {},
        {"x": "y"},
        {"x": 1},
        {"k" * 65: "y"},
        {str(n): "y" for n in range(65)},
    ]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value within a JSON document but the whole."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inside for place in [(*path, key), *places(item, (*path, key))]]


def changed(document: Any, path: tuple[Any, ...], replacement: Any, *, is_removed: bool) -> None:
    *way, last = path
    for key in way:
        document = document[key]
    if is_removed:
        del document[last]
    else:
        document[last] = replacement


def is_base64_of_ours(name: str, path: tuple[Any, ...]) -> bool:
    # That a text is Base64 a JSON Schema only notes.
    return name == "dead_letter" and path[-1] in {"payload", "key", "value"}


@pytest.mark.parametrize("name", MESSAGES)
@given(data=st.data())
def test_a_changed_message_is_valid_exactly_if_it_is_taken(name, data):
    document = json.loads(wire.encode(data.draw(STRATEGIES[name])))
    path = data.draw(
        st.sampled_from([place for place in places(document) if not is_base64_of_ours(name, place)])
    )
    changed(document, path, data.draw(REPLACEMENTS), is_removed=data.draw(st.booleans()))
    assert is_taken(name, wire.encode(document)) == validator(name).is_valid(document)


WRONG_EVENTS: list[dict[str, Any]] = [
    {},
    {"v": 1},
    {"v": 2, "kind": "moderate", "id": "a", "text": "x"},
    {"v": "1", "kind": "moderate", "id": "a", "text": "x"},
    {"v": 1, "kind": "poem", "id": "a", "text": "x"},
    {"v": 1, "id": "a", "text": "x"},
    {"v": 1, "kind": "moderate", "text": "x"},
    {"v": 1, "kind": "moderate", "id": "", "text": "x"},
    {"v": 1, "kind": "moderate", "id": "a\n", "text": "x"},
    {"v": 1, "kind": "moderate", "id": "a" * 129, "text": "x"},
    {"v": 1, "kind": "moderate", "id": "a", "text": ""},
    {"v": 1, "kind": "moderate", "id": "a", "text": None},
    {"v": 1, "kind": "moderate", "id": "a", "text": "x", "tenant": "a/b"},
    {"v": 1, "kind": "moderate", "id": "a", "text": "x", "tenant": ""},
    {"v": 1, "kind": "moderate", "id": "a", "text": "x", "egress": "sometimes"},
    {"v": 1, "kind": "moderate", "id": "a", "text": "x", "created_at": "noon"},
    {"v": 1, "kind": "moderate", "id": "a", "text": "x", "created_at": "2026-01-01T00:00:00"},
    {"v": 1, "kind": "moderate", "id": "a", "text": "x", "deadline_ms": 0},
    {"v": 1, "kind": "moderate", "id": "a", "text": "x", "context": {"a": 1}},
    {"v": 1, "kind": "moderate", "id": "a", "text": "x", "context": {"a": "x" * 1_025}},
    {"v": 1, "kind": "moderate", "id": "a", "text": "x", "rejudge": {"run": "r"}},
    {"v": 1, "kind": "review_ban", "id": "a", "account": "b"},
    {"v": 1, "kind": "review_ban", "id": "a", "account": "b", "ground": "c", "evidence": "x"},
    {"v": 1, "kind": "analyze_user", "id": "a", "account": "b", "posts": []},
    {"v": 1, "kind": "analyze_user", "id": "a", "account": "b", "posts": ["x"] * 201},
    {"v": 1, "kind": "health_check", "id": "a", "aggregates": {"x": "1"}},
]


@pytest.mark.parametrize("event", WRONG_EVENTS, ids=lambda event: msgspec.json.encode(event).decode()[:90])
def test_a_wrong_event_is_refused_by_both(event):
    assert not is_taken("event", wire.encode(event))
    assert not validator("event").is_valid(event)


DOCUMENTED_DIFFERENCES = [
    ("a whole number with a fraction", b'{"v":1,"kind":"moderate","id":"a","text":"x","deadline_ms":5.0}'),
    ("a field twice, first wrong", b'{"v":1,"kind":"moderate","id":5,"id":"a","text":"x"}'),
    ("another number for the version", b'{"v":1.0,"kind":"moderate","id":"a","text":"x"}'),
]


@pytest.mark.parametrize("data", [row[1] for row in DOCUMENTED_DIFFERENCES])
def test_what_only_the_decoder_refuses_is_what_a_json_schema_cannot_say(data):
    assert not is_taken("event", data)
    assert validator("event").is_valid(json.loads(data))
