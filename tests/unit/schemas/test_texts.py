"""How long the texts of an event may be: each by itself, in bytes of UTF-8."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import wire
from schemas.errors import TooLarge
from schemas.event import Moderate

decode_event = wire.event_decoder(1_000_000)

SHORT = {"v": 1, "id": "a"}
LONG = "é" * 51  # 102 bytes

TOO_LONG_TEXTS = [
    ({**SHORT, "kind": "moderate", "text": LONG}, "$.text"),
    ({**SHORT, "kind": "scan", "text": "x" * 101}, "$.text"),
    ({**SHORT, "kind": "scan", "text": "x", "context": {"title": LONG}}, "$.context[...]"),
    ({**SHORT, "kind": "review_ban", "account": "a", "ground": LONG}, "$.ground"),
    (
        {**SHORT, "kind": "review_ban", "account": "a", "ground": "g", "evidence": ["x", LONG]},
        "$.evidence[1]",
    ),
    ({**SHORT, "kind": "review_ban", "account": "a", "ground": "g", "text": LONG}, "$.text"),
    ({**SHORT, "kind": "analyze_user", "account": "a", "posts": ["x", "y", LONG]}, "$.posts[2]"),
    ({**SHORT, "kind": "analyze_user", "account": "a", "posts": ["x"], "text": LONG}, "$.text"),
    ({**SHORT, "kind": "health_check", "samples": [LONG]}, "$.samples[0]"),
    ({**SHORT, "kind": "health_check", "text": LONG}, "$.text"),
]


@pytest.mark.parametrize(("fields", "path"), TOO_LONG_TEXTS)
def test_every_text_of_every_kind_is_held_to_the_limit_in_bytes(fields, path):
    event = decode_event(wire.encode(fields))
    with pytest.raises(TooLarge) as caught:
        wire.check_text(event, 100)
    assert (caught.value.path, caught.value.code) == (path, "too_large")
    assert caught.value.detail in {"101 bytes of text, 100 are allowed", "102 bytes of text, 100 are allowed"}
    wire.check_text(event, 102)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60), st.integers(1, 120))
@example("😀" * 26, 100)
@example("😀" * 25, 100)
def test_a_text_is_too_large_exactly_if_its_utf_8_is(text, text_bytes_max):
    event = Moderate(v=1, id="a", text=text)
    if len(text.encode()) <= text_bytes_max:
        wire.check_text(event, text_bytes_max)
    else:
        with pytest.raises(TooLarge):
            wire.check_text(event, text_bytes_max)
