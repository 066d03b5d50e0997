"""The JSON Schema (draft 2020-12) of each message, as msgspec sees it, in words that every validator knows.

What a JSON Schema cannot say stands in docs/messages.md: whole numbers are written without a fraction, of a
field given twice the last one counts, and the operator bounds texts and records in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from schemas.campaign import Campaign
from schemas.control import Control
from schemas.dead_letter import DeadLetter, Stage
from schemas.event import KINDS, PRIORITIES, Event
from schemas.memory import Memo
from schemas.pending import Pending
from schemas.policy import ActivePolicy, Policy, RuleMode
from schemas.verdict import Action, DecidedBy, Outcome, Status, Verdict
from schemas.wire import VERSION

Schema = dict[str, Any]

MESSAGES: Mapping[str, tuple[Any, str]] = {
    "event": (Event, "What apps write to `content.*`."),
    "verdict": (Verdict, "What services read from `verdicts`."),
    "dead_letter": (DeadLetter, "What could not be judged, in `dead-letters`."),
    "campaign": (Campaign, "What services may read from `campaigns`: many copies of one text."),
    "pending": (Pending, "Penstock's own: what triage left to the model, in `pending.*`."),
    "memo": (Memo, "Penstock's own: a remembered answer, in `memory`."),
    "policy": (Policy, "Penstock's own: a policy document, in `policy` under `doc/<digest>`."),
    "active_policy": (ActivePolicy, "Penstock's own: which document is in force, under `active/<id>`."),
    "control": (Control, "Penstock's own: an operator's order, in `control`."),
}

CHOICES: Mapping[str, tuple[str, ...]] = {
    "Kind": KINDS,
    "Priority": PRIORITIES,
    "Action": get_args(Action),
    "Status": get_args(Status),
    "DecidedBy": get_args(DecidedBy),
    "Outcome": get_args(Outcome),
    "Stage": get_args(Stage),
    "RuleMode": get_args(RuleMode),
}
"""Enumerations that have a name, in the order of their declaration; msgspec sorts them."""

_ORDERED = {frozenset(choice): list(choice) for choice in CHOICES.values()}


def documents() -> dict[str, Schema]:
    """The schema of each message, by the message's name."""
    return {name: _document(name, *message) for name, message in MESSAGES.items()}


def _document(name: str, message: Any, description: str) -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:penstock:{name}:v{VERSION}",
        "title": name,
        "description": description,
        **_portable(msgspec.json.schema(message)),
    }


def _portable(said: Any) -> Any:
    """The same without what only Python or only OpenAPI understands."""
    match said:
        case dict():
            return {key: _portable_value(key, value) for key, value in said.items() if key != "discriminator"}
        case list():
            return [_portable(item) for item in said]
        case _:
            return said


def _portable_value(key: str, value: Any) -> Any:
    match key, value:
        case "pattern", str():
            # Elsewhere `$` is the end of the text, and nothing but the end.
            return value.removesuffix(r"\Z") + "$" if value.endswith(r"\Z") else value
        case "enum", list():
            return _ORDERED.get(frozenset(value), value)
        case _:
            return _portable(value)
