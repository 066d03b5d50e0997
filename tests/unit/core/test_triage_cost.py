"""No text is slow: 64 KiB of a hostile text cost triage a few times what as much plain English costs.

Under the default policy's rules together with 10,000 terms, half of them with evasion undone, and 2,000
patterns. Counted in CPU time, the least of several, as not every machine counts instructions.
"""

from __future__ import annotations

import gc
import time

import pytest
from msgspec.structs import replace

from infra.bench.policies import large_policy
from infra.policies import default_policy_path, read
from schemas.event import Moderate
from schemas.policy import RegexRule, TermsRule
from streams.core.digest import content_digest
from streams.core.lookalikes import confusables
from streams.core.rules import compile_policy
from streams.core.triage import triage

TEXT_BYTES = 65_536
# Seen: 6. A step that is quadratic in the text comes to hundreds.
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
    "many schemes": "://",
    "hosts within hosts": "a.b@c.d:",
    "brackets": "[.](dot) ",
    "punycode": "xn--e1a.xn--p1ai ",
    "mentions": "@a ",
    "capitals": "ЭТО ГРОМКО ",
    "lines": "a\n",
    "pleasantries": "thanks so good ",
    "controls": "a\x00",
    "letters beyond the basic plane": "𐎠𐎡",
    "Cyrillic": "Съешь ещё этих булок, да выпей чаю. ",
    "Hindi": "यह हिन्दी है और ",
    "leet": "th3 qu1ck br0wn f0x jump5 ov3r a l4zy d0g ",
    "the shortest leet": "a1 ",
    "letters apart": "f r e e ",
    "letters apart without end": "a b c d e f g h i j k l m n o p q r s t u v w x y z ",
    "nearly letters apart": "a b cd ",
    "drawn out": "freeee ",
    "drawn out and confused": "aaal ",
    "mixed scripts": "thе quiсk brоwn fох ",
    "marks upon letters": "f\u0336r\u0336e\u0336e\u0336 ",
    "small capitals": "ᴀʙᴄ🅰 ",
    "exclamations": "!",
    "exclamations within": "a!!",
    "signs": "$@ ",
    "all confusables": "".join(char for char in confusables() if len(char) == 1 and not char.isspace()),
    "a nested quantifier": "(a+)+$" + "a" * 50,
    "lone surrogates, escaped": "\\ud800",
    "replacement characters": "\ufffd",
    "unassigned": "\u0378\U000e1234",
    "flags": "🇸🇪🇽",
    "joined families": "👩\u200d👩\u200d👧\u200d👦",
    "nearly drawn out, in one word": "xxxx" + "fre" * (TEXT_BYTES // 3 - 2),
    "nearly drawn out, a long term": "xxx" + "larrktemu" * (TEXT_BYTES // 9 - 1),
    "nearly drawn out, phrases": "xxx " + "fre folowers " * (TEXT_BYTES // 13 - 1),
    "nearly drawn out, words": "xxx " + "kkys " * (TEXT_BYTES // 5 - 1),
    "too much in disguise, in one word": "a55",
}


@pytest.fixture(scope="module", autouse=True)
def _without_what_others_left():
    """As a worker does once it has started: what stands is not looked at again and again by the collector."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def policy():
    default = read(default_policy_path()).policy
    nested = RegexRule(
        id="nested", action="label", label="spam", patterns=(r"(a+)+$", r"(a|aa)+b", r"(x*)*y")
    )
    # Terms that are found in every third letter of a text, and do not count there.
    anywhere = TermsRule(
        id="anywhere", action="label", label="spam", terms=("free", "ass"), anywhere=True, evasion=True
    )
    return compile_policy(replace(default, rules=(*default.rules, *large_policy().rules, nested, anywhere)))


def post(unit, text_bytes=TEXT_BYTES):
    return Moderate(v=1, id="1", text=unit * (text_bytes // len(unit.encode())))


def times_as_much(one, other):
    """How much one costs of the other, each at its best: whatever else a machine does only adds to it.

    In turns, because a shared one is slower at some moments than at others; and of this thread alone, because
    clients that other tests have left open work on in theirs.
    """
    costs = [(spent_s(one), spent_s(other)) for _ in range(9)]
    return min(cost for cost, _ in costs) / min(cost for _, cost in costs)


def spent_s(work):
    began = time.thread_time()
    work()
    return time.thread_time() - began


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_text_costs_a_few_times_what_english_costs(policy, unit, record_property):
    hostile, english = post(unit), post(ENGLISH)
    times = times_as_much(lambda: triage(hostile, policy), lambda: triage(english, policy))
    record_property("times_english", round(times, 1))
    assert times <= TIMES_ENGLISH_MAX


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_digest_of_a_hostile_text_costs_no_more_than_that(policy, unit):
    hostile, english = post(unit), post(ENGLISH)
    times = times_as_much(
        lambda: content_digest(hostile, secret=b"", scope="tenant"), lambda: triage(english, policy)
    )
    assert times <= TIMES_ENGLISH_MAX / 2


@pytest.mark.parametrize("unit", ["f r e e ", "fr33 ", "thе ", "freeee ", "f\u0336r\u0336 "])
def test_cost_grows_in_proportion_to_the_text(policy, unit):
    # 16 times the text; the fixed cost of a short one only makes the ratio smaller.
    long, short = post(unit), post(unit, TEXT_BYTES // 16)
    assert times_as_much(lambda: triage(long, policy), lambda: triage(short, policy)) <= 16 * 2
