"""One line for a verdict or a dead letter: what matters is there, and nothing can steer the terminal."""

from __future__ import annotations

import argparse
import json

import pytest
import strategies as messages
from hypothesis import given
from msgspec.structs import replace
from samples import LETTER, VERDICT

from infra.cli import dead_letters, verdicts
from infra.showing import dead_letter_line, verdict_line
from schemas.dead_letter import DeadLetter, Header
from schemas.verdict import ScoredLabel, Verdict


def test_a_verdict_says_what_was_done_by_whom_to_what_and_how_long_it_took() -> None:
    verdict = replace(
        VERDICT, action="block", decided_by="model", labels=(ScoredLabel(name="spam", score=0.97),)
    )
    assert verdict_line(verdict).split() == (
        ["block", "model", "forum/post", "waited", "3", "ms,", "inferred", "3", "ms", "spam", "0.97"]
    )


def test_without_labels_the_reasons_are_told() -> None:
    assert verdict_line(replace(VERDICT, reasons=("rule:short",))).endswith("  rule:short")


@given(messages.verdicts())
def test_no_verdict_can_steer_the_terminal(verdict: Verdict) -> None:
    assert verdict_line(verdict).isprintable()


@given(messages.dead_letters())
def test_no_dead_letter_can_steer_the_terminal(letter: DeadLetter) -> None:
    assert dead_letter_line(letter).isprintable()


def test_a_dead_letters_content_is_shown_only_if_that_is_asked_for() -> None:
    letter = replace(
        LETTER, payload=b"hidden\x1b[2J", key=b"hidden", headers=(Header(key="hidden", value=b"hidden"),)
    )
    for as_json in (False, True):
        assert "hidden" not in dead_letters.shown_as(letter, as_json=as_json, with_content=False)
    assert dead_letters.shown_as(letter, as_json=False, with_content=True).endswith("\n    hidden\\x1b[2J")
    assert json.loads(dead_letters.shown_as(letter, as_json=True, with_content=True))["key"] == "aGlkZGVu"


def test_a_dead_letters_words_and_content_stand_as_they_are_but_for_what_is_not_visible() -> None:
    letter = replace(LETTER, detail=r"matches '^[^\x00]+\Z'", payload=b'{"a": "C:\\\\new\x07 \xe2\x80\xae"}')
    line, content = dead_letters.shown_as(letter, as_json=False, with_content=True).splitlines()
    assert r"matches '^[^\x00]+\Z' (at" in line
    assert content == r'    {"a": "C:\\new\x07 \u202e"}'


@pytest.mark.parametrize(
    ("code", "path", "detail", "told"),
    [
        (
            "malformed_payload",
            "$.id",
            r"Expected `str` matching regex '^[^\\x00-\\x1f\\x7f-\\x9f]+\\Z'",
            "an id must not hold line breaks or other control characters (at $.id)",
        ),
        (
            "malformed_payload",
            "$.text",
            "Expected `str`, got `int`",
            "must be text, and is a whole number (at",
        ),
        ("unknown_kind", "$.kind", "not one of the known values", "must be one of moderate, review_ban, "),
        (
            "unknown_kind",
            "$.event.kind",
            "not one of the known values",
            "must be one of moderate, review_ban, ",
        ),
        ("node_refused", "$", "HTTP 400", "HTTP 400 (at $)"),
    ],
)
def test_a_dead_letter_is_told_in_the_words_of_send(code: str, path: str, detail: str, told: str) -> None:
    assert told in dead_letter_line(replace(LETTER, code=code, path=path, detail=detail))


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ({}, True),
        (
            {"tenant": "forum", "id": "post", "action": "allow", "decided_by": "rule", "kind": "moderate"},
            True,
        ),
        ({"tenant": "shop"}, False),
        ({"id": "other"}, False),
        ({"action": "block"}, False),
        ({"decided_by": "model"}, False),
        ({"kind": "scan"}, False),
    ],
)
def test_a_verdict_is_shown_if_it_passes_all_filters(filters: dict[str, str], passes: bool) -> None:
    unset = dict.fromkeys(("tenant", "id", "action", "decided_by", "kind"))
    assert verdicts.is_wanted(VERDICT, argparse.Namespace(**(unset | filters))) == passes
