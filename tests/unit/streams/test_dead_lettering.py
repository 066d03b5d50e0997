"""Dead letters: the reason and the whole record, under the event's key where that can be read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import TOPICS, FakeRecord

from schemas.dead_letter import DeadLetter
from schemas.errors import MalformedPayload
from schemas.settings import TopicSettings
from schemas.wire import decode_dead_letter
from streams.clock import ManualClock
from streams.core.partitioning import partition_of
from streams.dead_lettering import DeadLetters
from streams.ports import BY_KEY
from streams.topics import DEAD_LETTER_BYTES_MAX, table

TRIAGE = DeadLetters("triage", TOPICS, ManualClock(wall_ms=1_700_000_000_000))
JUDGE = DeadLetters("judge", TOPICS, ManualClock())
CONTENT = TOPICS.content("low")


def record(value: bytes | None = b"{}", **fields: Any) -> FakeRecord:
    return FakeRecord(CONTENT, 2, 99, value, **fields)


def letter(*given: Any, **fields: Any) -> DeadLetter:
    return decode_dead_letter(TRIAGE.of(*given, code="some_code", **fields).value)


def test_a_letter_says_what_happened_where_and_when():
    made = letter(record(), detail="why", path="$.text", attempts=3)
    assert (made.stage, made.code, made.detail, made.path, made.attempts) == (
        "triage",
        "some_code",
        "why",
        "$.text",
        3,
    )
    assert (made.source.topic, made.source.partition, made.source.offset) == (CONTENT, 2, 99)
    assert made.failed_at == datetime.fromtimestamp(1_700_000_000, UTC)


def test_a_policy_that_is_not_there_is_told_in_words():
    made = decode_dead_letter(TRIAGE.of(record(), code="unknown_policy", path="$.policy").value)
    assert made.detail.startswith("there is no policy of this id")


@given(st.none() | st.binary(max_size=300), st.none() | st.binary(max_size=30), st.binary(max_size=30))
def test_the_record_is_in_it_byte_for_byte(value, key, header):
    made = letter(record(value, key=key, headers=(("h", header), ("none", None))))
    assert (made.payload, made.key) == (value, key)
    assert [(one.key, one.value) for one in made.headers] == [("h", header), ("none", None)]


def test_headers_that_are_left_out_are_counted():
    made = letter(record(headers=(("h", b""),) * 100), detail="why")
    assert (len(made.headers), made.detail) == (64, "why (36 headers left out)")


@pytest.mark.parametrize(
    ("letters", "value", "key"),
    [
        (TRIAGE, b'{"id":"post-1","tenant":"acme","text":5}', b"acme/post-1"),
        (TRIAGE, b'{"id":"post-1"}', b"default/post-1"),
        (TRIAGE, b'{"event":{"id":"post-1"}}', None),
        (JUDGE, b'{"event":{"id":"post-1","tenant":"acme"}}', b"acme/post-1"),
        (JUDGE, b'{"id":"post-1"}', None),
        (TRIAGE, b"not JSON", None),
        (TRIAGE, None, None),
    ],
)
def test_its_key_is_the_events_where_that_can_be_read(letters, value, key):
    for outgoing in (
        letters.of_wire_error(record(value), MalformedPayload("no")),
        letters.of_bug(record(value), ValueError("content")),
    ):
        assert outgoing.key == key
        assert outgoing.topic == TOPICS.dead_letters
        assert outgoing.partition == (BY_KEY if key else partition_of(b"99", TOPICS.partitions))


def test_of_a_bug_only_the_name_is_told():
    made = decode_dead_letter(TRIAGE.of_bug(record(), ValueError("the content itself")).value)
    assert (made.code, made.detail) == ("stage_failed", "ValueError")


def test_a_bare_letter_is_small_whatever_the_record_is():
    large = record(b"x" * 900_000, key=b"k" * 90_000, headers=(("h" * 9_000, b"v"),) * 99)
    outgoing = TRIAGE.of(large, code="msg_size_too_large", is_bare=True)
    made = decode_dead_letter(outgoing.value)
    assert (made.payload, made.key, made.headers, made.source.offset) == (None, None, (), 99)
    assert len(outgoing.value) < 1_000


@pytest.mark.parametrize(
    "parts",
    [
        {"value": b"x" * 1_048_000},
        {"key": b"k" * 1_048_000},
        {"headers": tuple((f"h{number}", b"v" * 16_000) for number in range(64))},
        {"headers": (("h", b""),) * 200_000},
    ],
    ids=lambda parts: next(iter(parts)),
)
def test_the_largest_record_that_content_takes_fits_in_a_letter(parts):
    outgoing = TRIAGE.of(record(**{"value": b"", **parts}), code="some_code")
    assert len(outgoing.value) + 1_000 < DEAD_LETTER_BYTES_MAX
    names = {topic.name: topic for topic in table(TopicSettings(), brokers=1)}
    assert names["dead-letters"].config["max.message.bytes"] == str(DEAD_LETTER_BYTES_MAX)
