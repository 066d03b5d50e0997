"""Several posts in one request: hidden among sentinels, and believed as a whole or not at all."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nodes import POLICY

from schemas.event import Moderate
from schemas.policy import Label, Policy
from streams.core.answers import Judgement
from streams.core.packed_questions import packed_prompt_for
from streams.core.packing import Believed, Discarded, Pack, make_pack, pack_schema, read_pack, shown
from streams.core.requests import Dialect
from streams.core.weighing import mentioned, score

NAMES = ("spam", "violence", "harassment", "none")
ENTROPY = st.binary(min_size=32, max_size=32)
TEXTS = st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=10)


def packed(*texts: str, entropy: bytes = bytes(32), policy: Policy = POLICY) -> Pack:
    pack = make_pack([Moderate(v=1, id="1", text=text) for text in texts], policy, entropy)
    assert pack is not None
    return pack


def honest(pack: Pack) -> dict[str, list]:
    """What a model says that reads each post by itself."""
    said = {}
    for slot in pack.slots:
        labels = mentioned(score(json.loads(slot.document)["text"], NAMES[:-1]))
        flat = [part for label in labels for part in (label.name, round(100 * label.probability))]
        said[slot.id] = flat or ["none", 97]
    return said


def names_of(judged: Judgement) -> list[str]:
    return [label.name for label in judged.labels]


@given(TEXTS, ENTROPY)
def test_a_pack_holds_each_post_once_and_two_sentinels_under_ids_of_their_own(texts, entropy):
    pack = packed(*texts, entropy=entropy)
    documents = {slot.id: json.loads(slot.document) for slot in pack.slots}
    assert len(documents) == len(pack.slots) == len(texts) + 2
    assert [documents[name] for name in pack.posts] == [{"text": text} for text in texts]
    assert {name for name, _ in pack.sentinels} | set(pack.posts) == set(documents)


@given(TEXTS, ENTROPY)
def test_no_content_can_leave_its_slot(texts, entropy):
    pack = packed(*texts, entropy=entropy)
    request = msgspec.json.decode(packed_prompt_for(POLICY, "moderate", "m").body(pack))
    assert len(request["messages"]) == 2
    slots = json.loads(request["messages"][1]["content"])
    assert [slot["id"] for slot in slots] == list(pack.ids)
    assert {json.dumps(slot["post"]) for slot in slots} == {
        json.dumps(json.loads(slot.document)) for slot in pack.slots
    }


def test_ids_places_and_sentinels_are_others_in_every_pack():
    packs = [packed("a", "b", "c", entropy=bytes([number] * 32)) for number in range(200)]
    assert len({name for pack in packs for name in pack.ids}) == 1_000
    for which in (0, 1):
        places = [pack.ids.index(pack.sentinels[which][0]) for pack in packs]
        assert set(places) == {0, 1, 2, 3, 4}
        assert len({pack.sentinels[which][1].text for pack in packs}) > 195


def test_requests_about_two_packs_begin_with_the_same_bytes():
    template = packed_prompt_for(POLICY, "moderate", "m", Dialect("value", {"top_k": 1}))
    bodies = [template.body(packed("a", "b", entropy=bytes([number] * 32))) for number in range(2)]
    slots = bodies[0].index(b'"content":"[{')
    assert slots > 500
    assert bodies[0][:slots] == bodies[1][:slots]
    request = msgspec.json.decode(bodies[0])
    assert (request["model"], request["top_k"], request["temperature"]) == ("m", 1, 0)
    assert set(request["response_format"]) == {"type", "value"}


def test_the_schema_has_exactly_the_packs_ids():
    pack = packed("a", "b")
    schema = pack_schema(pack.ids, NAMES)
    assert list(schema["properties"]) == schema["required"] == list(pack.ids)
    assert schema["additionalProperties"] is False


def test_the_limit_of_tokens_has_room_for_the_longest_answer():
    pack = packed(*"abcdefgh")
    request = msgspec.json.decode(packed_prompt_for(POLICY, "moderate", "m").body(pack))
    longest = json.dumps({name: ["x" * 64, 100] * 4 for name in pack.ids})
    assert request["max_tokens"] > len(longest) / 4


@given(ENTROPY)
def test_an_honest_answer_is_believed_and_every_post_gets_its_own(entropy):
    pack = packed("I will kill you", "What a day", "buy cheap followers", entropy=entropy)
    reading = read_pack(pack, NAMES, json.dumps(honest(pack)))
    assert isinstance(reading, Believed)
    assert [names_of(judged) for judged in reading.judgements] == [["violence"], [], ["spam"]]


def tampered(how: str, pack: Pack) -> str:
    """An answer in which something is wrong."""
    said = honest(pack)
    (bad, sentinel), (good, _) = pack.sentinels
    first = pack.posts[0]
    other = "violence" if "spam" in sentinel.expected else "spam"
    without = {name: {key: value for key, value in said.items() if key != name} for name in (first, good)}
    wrong = {
        "missing_id": without[first],
        "missing_sentinel": without[good],
        "foreign_id": {**without[first], "zzzzz": said[first]},
        "one_more_id": {**said, "zzzzz": ["none", 99]},
        "bad_is_cleared": {**said, bad: ["none", 99]},
        "bad_is_called_something_else": {**said, bad: [other, 99]},
        "bad_is_unsure": {**said, bad: [min(sentinel.expected), 49]},
        "good_is_smeared": {**said, good: ["spam", 99]},
        "good_is_unusable": {**said, good: ["no_such_label", 0]},
        "all_cleared": {name: ["none", 99] for name in said},
        "a_list": list(said.items()),
    }
    texts = {
        "doubled_id": json.dumps(said)[:-1] + f', "{first}": ["none", 99]}}',
        "prose": "Sure! All of them are fine.",
        "fenced": f"```json\n{json.dumps(said)}\n```",
        "deep": "[" * 100_000,
        "figures": "1" * 5_000,
    }
    return texts.get(how) or json.dumps(wrong[how])


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("missing_id", "missing_id"),
        ("missing_sentinel", "missing_id"),
        ("foreign_id", "foreign_id"),
        ("one_more_id", "foreign_id"),
        ("doubled_id", "doubled_id"),
        ("bad_is_cleared", "wrong_sentinel"),
        ("bad_is_called_something_else", "wrong_sentinel"),
        ("bad_is_unsure", "wrong_sentinel"),
        ("good_is_smeared", "wrong_sentinel"),
        ("good_is_unusable", "wrong_sentinel"),
        ("all_cleared", "wrong_sentinel"),
        ("prose", "not_json"),
        ("fenced", "not_json"),
        ("a_list", "wrong_shape"),
        ("deep", "not_json"),
        ("figures", "not_json"),
    ],
)
def test_what_is_wrong_with_the_whole_discards_all_of_it(how, code):
    pack = packed("I will kill you", "What a day")
    assert read_pack(pack, NAMES, tampered(how, pack)) == Discarded(code)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (["no_such_label", 50], "unknown_name"),
        (["spam", 150], "out_of_range"),
        (["spam", 50, "spam", 60], "repeated_name"),
        (["none", 50, "spam", 60], "wrong_shape"),
        (["spam"], "wrong_shape"),
        (["spam", "50"], "wrong_shape"),
        (["spam", True], "wrong_shape"),
        (["spam", 50.0], "wrong_shape"),
        ([["spam", 50], ["spam", 50]], "wrong_shape"),
        ([], "wrong_shape"),
        ({"spam": 50}, "wrong_shape"),
        ("spam", "wrong_shape"),
        (None, "wrong_shape"),
    ],
)
def test_what_is_wrong_with_one_post_leaves_the_others_their_answers(said, code):
    pack = packed("I will kill you", "What a day", "buy cheap followers")
    answers = honest(pack) | {pack.posts[1]: said}
    reading = read_pack(pack, NAMES, json.dumps(answers))
    assert isinstance(reading, Believed)
    assert reading.judgements[1] == code
    assert [names_of(reading.judgements[at]) for at in (0, 2)] == [["violence"], ["spam"]]


SAID = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 200) | st.sampled_from(NAMES) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.data(), ENTROPY)
def test_whatever_a_model_says_is_read_and_only_right_sentinels_are_believed(data, entropy):
    pack = packed("I will kill you", "What a day", entropy=entropy)
    members = honest(pack) | data.draw(st.dictionaries(st.sampled_from(pack.ids), SAID, max_size=4))
    reading = read_pack(pack, NAMES, json.dumps(members))
    (bad, sentinel), (good, _) = pack.sentinels
    if isinstance(reading, Believed):
        assert members[good][0] == "none" or members[good][1] < 50
        assert set(members[bad][::2]) & sentinel.expected
        assert len(reading.judgements) == 2


def test_nothing_is_packed_where_a_policy_forbids_nothing_that_a_sentinel_shows():
    other = Policy(
        id="x", version=1, labels=(Label(name="off_topic", description="d"),), prompts=POLICY.prompts
    )
    assert make_pack([Moderate(v=1, id="1", text="a")], other, bytes(32)) is None


def test_a_pack_says_how_large_it_is_and_not_what_is_in_it():
    assert repr(packed("hush", "secret")) == "<Pack of 2 posts, 2 sentinels>"
    assert "hush" in shown(packed("hush", "secret"))
