"""Bytes that were once published are read, and written, as on the day they were made.

Each folder holds one kind of message, each file one record's value. A new version gets new files beside the
old ones; a file that is there never changes, or somebody's archive could no longer be read.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from schemas import wire
from schemas.event import KINDS
from schemas.export.documents import MESSAGES

HERE = Path(__file__).parent / "messages"
PUBLISHED = HERE / "published.json"
FILES = sorted(HERE.glob("*/*.json"))

DECODERS = {
    "event": wire.event_decoder(1_000_000),
    "verdict": wire.decode_verdict,
    "dead_letter": wire.decode_dead_letter,
    "campaign": wire.decode_campaign,
    "pending": wire.decode_pending,
    "memo": wire.decode_memo,
    "policy": wire.decode_policy,
    "active_policy": wire.decode_active_policy,
    "control": wire.decode_control,
}
# These write their defaults out, so that a document says all that it means: a new field shows in them.
WRITTEN_WHOLE = {"policy", "active_policy"}


def name_of(path: Path) -> str:
    return str(path.relative_to(HERE))


def test_every_message_and_every_kind_of_event_has_golden_bytes():
    assert {path.parent.name for path in FILES} == set(MESSAGES) == set(DECODERS)
    events = [json.loads(path.read_bytes()) for path in FILES if path.parent.name == "event"]
    assert {event["kind"] for event in events} == set(KINDS)
    assert {event["v"] for event in events} == set(range(1, wire.VERSION + 1))


def test_published_files_never_change():
    found = {name_of(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES}
    published = json.loads(PUBLISHED.read_bytes())
    assert {name: found.get(name) for name in published} == published
    assert set(found) == set(published), "write the new file's SHA-256 into published.json, for ever"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_published_bytes_are_read_and_written_as_they_were(path):
    data = path.read_bytes()
    again = wire.encode(DECODERS[path.parent.name](data))
    assert is_within(json.loads(data), json.loads(again))
    assert again == data or path.parent.name in WRITTEN_WHOLE


def is_within(old: object, new: object) -> bool:
    """Whether all that was said is still said, perhaps beside more."""
    match old, new:
        case dict(), dict():
            return all(key in new and is_within(value, new[key]) for key, value in old.items())
        case list(), list():
            return len(old) == len(new) and all(map(is_within, old, new))
        case _:
            return old == new


def test_an_event_is_read_into_the_values_that_its_producer_meant():
    event = DECODERS["event"]((HERE / "event" / "v1-review_ban-full.json").read_bytes())
    assert (event.kind, event.id, event.tenant) == ("review_ban", "ban-7", "acme")
    assert event.created_at.isoformat() == "2026-03-01T12:30:00.250000+01:00"
    assert event.evidence == ("first \U0001f600", "second\x00")
    assert event.rejudge.rev == 3


def test_a_dead_letter_gives_back_the_very_bytes_that_could_not_be_read():
    letter = DECODERS["dead_letter"]((HERE / "dead_letter" / "v1-triage.json").read_bytes())
    assert letter.payload == b'{"v":1,"kind":"moderate","id":"post-2","text":"\xff"}'
    assert letter.headers[0].value == b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert letter.key == b"author-9"


def test_a_policy_of_an_older_release_means_what_it_meant():
    policy = wire.decode_policy((HERE / "policy" / "v1-full.json").read_bytes())
    assert {rule.canary_percent for rule in policy.rules} == {100.0}
    assert {label.late for label in policy.labels} == {label.reuse_ttl_s for label in policy.labels} == {None}
    assert {prompt.priority for prompt in policy.prompts} == {None}
    assert not any(
        getattr(rule, "evasion", False) or getattr(rule, "anywhere", False) for rule in policy.rules
    )
    assert not any(getattr(rule, "lines_min", 0) for rule in policy.rules)
