"""No text is slow: 64 KiB of a hostile text cost triage a few times what as much plain English costs."""

from __future__ import annotations

import time

import pytest

from infra.policies import default_policy_path, read
from schemas.event import Moderate
from streams.core.digest import content_digest
from streams.core.triage import triage

TEXT_BYTES = 65_536
# Seen: 3. A step that is quadratic in the text comes to hundreds.
TIMES_ENGLISH_MAX = 8
ENGLISH = "The quick brown fox jumps over a lazy dog, but not tonight. "
HOSTILE = {
    "marks that must be sorted": "\u0323\u0301",
    "voicing marks that must be sorted": "\uff9e\u0301",
    "as many marks as are kept": "a" + "\u0323\u0301" * 15,
    "emoji": "👍🔥",
    "joined emoji": "👩\u200d🔬",
    "invisible": "a\u200b",
    "tags": "\U000e0061",
    "styled": "𝓯𝓻𝓮𝓮 ",
    "growing": "ﷺ",
    "jamo": "\u1100\u1161\u11a8",
    "runs just too short": "a" * 39 + "b",
    "one character": "x",
    "a term": "link in bio ",
    "the beginning of a pattern": "your account has been suspended ",
    "nearly a pattern": "buy a b followers ",
    "links": "http://a ",
    "pleasantries": "thanks so good ",
    "controls": "a\x00",
    "letters beyond the basic plane": "𐎠𐎡",
    "Cyrillic": "Съешь ещё этих булок, да выпей чаю. ",
    "Hindi": "यह हिन्दी है और ",
}


@pytest.fixture(scope="module")
def default():
    return read(default_policy_path())


def cost_ms(unit, policy):
    """The best of several, because other processes only ever make it longer."""
    event = Moderate(v=1, id="1", text=unit * (TEXT_BYTES // len(unit.encode())))
    costs = []
    for _ in range(5):
        began = time.process_time()
        triage(event, policy)
        content_digest(event, secret=b"", scope="tenant")
        costs.append(time.process_time() - began)
    return min(costs) * 1_000


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_costs_a_few_times_what_english_costs(default, unit):
    assert cost_ms(unit, default) <= TIMES_ENGLISH_MAX * cost_ms(ENGLISH, default)
