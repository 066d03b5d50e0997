"""A dead letter keeps the event's id as its key: it is read of what cannot be decoded, but never made up."""

from __future__ import annotations

import msgspec
import pytest
import strategies as messages
from hypothesis import given
from hypothesis import strategies as st

from schemas import wire
from schemas.event import Moderate, Scan


def post(more: bytes) -> bytes:
    return b'{"v":1,"kind":"moderate","id":"post-1"%b}' % more


READABLE = [
    ("of another version", b'{"v":9,"id":"post-1","tenant":"acme"}', ("acme", "post-1")),
    ("of another kind", b'{"v":1,"kind":"poem","id":"post-1","tenant":"acme"}', ("acme", "post-1")),
    ("without a tenant", b'{"v":9,"id":"post-1"}', ("default", "post-1")),
    ("with a text too large", post(b',"text":"%b"' % (b"x" * 10_000_000)), ("default", "post-1")),
    ("with a text not UTF-8", post(b',"text":"\xff\xfe"'), ("default", "post-1")),
    ("with half a surrogate pair", post(b',"text":"\\ud83d"'), ("default", "post-1")),
    ("with the other half", post(b',"text":"\\ude00\\ude00."'), ("default", "post-1")),
    ("with half a pair after a backslash", post(b',"text":"\\\\\\ud83d"'), ("default", "post-1")),
    (
        "with a pair in its id, and half a pair",
        b'{"id":"\\ud83d\\ude00","text":"\\ude00"}',
        ("default", "😀"),
    ),
]


@pytest.mark.parametrize(
    ("data", "identity"), [row[1:] for row in READABLE], ids=[row[0] for row in READABLE]
)
def test_the_identity_is_read_of_an_event(data, identity):
    assert wire.identity_of(data) == identity
    assert wire.identity_of_pending(b'{"v":9,"event":%b}' % data) == identity


UNREADABLE = [
    ("is nothing", None),
    ("is empty", b""),
    ("is not JSON", b"id: post-1"),
    ("is a list", b"[]"),
    ("has no id", b'{"v":1}'),
    ("has an empty id", b'{"id":""}'),
    ("has an id too long", b'{"id":"%b"}' % (b"a" * 129)),
    ("has an id that is a number", b'{"id":5}'),
    ("has an id with a line feed", b'{"id":"a\\n"}'),
    ("has an id with NUL", b'{"id":"a\\u0000"}'),
    ("has an id not UTF-8", b'{"id":"\xff"}'),
    ("has an id with half a pair", b'{"id":"a\\ud83d"}'),
    ("has a tenant that is a path", b'{"id":"a","tenant":"../x"}'),
    ("has a tenant with a slash", b'{"id":"a","tenant":"a/b"}'),
    ("has a tenant that is null", b'{"id":"a","tenant":null}'),
    ("is nested too deeply", b'{"id":"a","x":' + b"[" * 100_000),
]


@pytest.mark.parametrize("data", [row[1] for row in UNREADABLE], ids=[row[0] for row in UNREADABLE])
def test_no_identity_is_made_up_where_the_event(data):
    assert wire.identity_of(data) == ("", "")
    assert wire.identity_of_pending(data) == ("", "")


@given(messages.events(), st.data())
def test_the_identity_is_read_whatever_else_is_wrong(event, data):
    fields = msgspec.to_builtins(event)
    broken = data.draw(st.sampled_from(sorted(fields.keys() - {"id", "tenant"})))
    fields[broken] = data.draw(st.sampled_from([None, [], {}, "", 5, [[["x"]]]]))
    assert wire.identity_of(wire.encode(fields)) == (event.tenant, event.id)


@given(st.binary(max_size=60))
def test_the_identity_of_anything_is_valid_or_empty(data):
    for identity in (wire.identity_of(data), wire.identity_of_pending(data)):
        assert identity == ("", "") or msgspec.convert(
            {"v": 1, "kind": "scan", "text": "x", "tenant": identity[0], "id": identity[1]},
            type=Moderate | Scan,
        )
