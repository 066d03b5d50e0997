"""Each way in which a message can be wrong, with the code, the place and the sentence that it gets."""

from __future__ import annotations

import pytest

from schemas import wire
from schemas.errors import MalformedPayload, TooLarge, UnknownKind, UnknownVersion, WireError

RECORD_BYTES_MAX = 200_000
decode_event = wire.event_decoder(RECORD_BYTES_MAX)

SECRET = "hunter2"


def post(more: bytes = b"") -> bytes:
    return b'{"v":1,"kind":"moderate","id":"post-1","text":"hello"%b}' % more


def refused(decode, data: bytes | None) -> tuple[type[WireError], str, str, str]:
    with pytest.raises(WireError) as caught:
        decode(data)
    return type(caught.value), caught.value.code, caught.value.path, caught.value.detail


NOT_JSON = [
    ("no value at all", None, "the record has no value"),
    ("no bytes", b"", "Input data was truncated"),
    ("words", b"hello", "JSON is malformed: invalid character (byte 0)"),
    ("the beginning of an event", post()[:-1], "Input data was truncated"),
    ("an event and more", post() + b"x", "JSON is malformed: trailing characters (byte 55)"),
    ("a byte order mark", b"\xef\xbb\xbf" + post(), "JSON is malformed: invalid character (byte 0)"),
    ("UTF-16", post().decode().encode("utf-16"), "JSON is malformed: invalid character (byte 0)"),
    ("NaN", post(b',"deadline_ms":NaN'), "JSON is malformed: invalid character (byte 68)"),
    (
        "a raw line feed in a string",
        post(b',"lang":"a\nb"'),
        "JSON is malformed: invalid character (byte 63)",
    ),
    ("bytes that are not UTF-8", post(b',"lang":"\xff"'), "not valid UTF-8"),
    ("an overlong NUL", post(b',"lang":"\xc0\x80"'), "not valid UTF-8"),
    ("a surrogate in UTF-8", post(b',"lang":"\xed\xa0\x80"'), "not valid UTF-8"),
    ("the first half of a pair", post(b',"lang":"\\ud83d"'), "an escaped surrogate without its other half"),
    ("the second half of a pair", post(b',"lang":"\\ude00"'), "an escaped surrogate without its other half"),
    ("half a pair nobody reads", post(b',"x":"\\ud83d."'), "an escaped surrogate without its other half"),
    ("depth nobody reads", post(b',"x":' + b"[" * 100_000), "nested too deeply"),
    ("depth and nothing else", b'{"a":' * 20_000, "nested too deeply"),
]


@pytest.mark.parametrize(("data", "detail"), [row[1:] for row in NOT_JSON], ids=[row[0] for row in NOT_JSON])
def test_what_is_not_json_is_malformed_as_a_whole(data, detail):
    assert refused(decode_event, data) == (MalformedPayload, "malformed_payload", "$", detail)


WRONG_SHAPE = [
    ("null", b"null", "$", "Expected `object`, got `null`"),
    ("a list", b"[]", "$", "Expected `object`, got `array`"),
    ("a number", b"5", "$", "Expected `object`, got `int`"),
    ("10,000 lists", b"[" * 10_000 + b"]" * 10_000, "$", "Expected `object`, got `array`"),
    ("no kind", b'{"v":1,"id":"a","text":"x"}', "$", "Object missing required field `kind`"),
    ("no version", b'{"kind":"scan","id":"a","text":"x"}', "$", "Object missing required field `v`"),
    ("no id", b'{"v":1,"kind":"scan","text":"x"}', "$", "Object missing required field `id`"),
    ("no text", b'{"v":1,"kind":"scan","id":"a"}', "$", "Object missing required field `text`"),
    ("a kind that is a number", b'{"v":1,"kind":5,"id":"a"}', "$.kind", "Expected `str`"),
    ("a version that is a string", post(b',"v":"1"'), "$.v", "Expected `int`, got `str`"),
    ("a version that is true", post(b',"v":true'), "$.v", "Expected `int`, got `bool`"),
    ("a version with a fraction", post(b',"v":1.0'), "$.v", "Expected `int`, got `float`"),
    ("an empty text", post(b',"text":""'), "$.text", "Expected `str` of length >= 1"),
    ("a text that is null", post(b',"text":null'), "$.text", "Expected `str`, got `null`"),
    (
        "a text that is 10,000 lists",
        post(b',"text":' + b"[" * 10_000),
        "$.text",
        "Expected `str`, got `array`",
    ),
    ("an empty id", post(b',"id":""'), "$.id", "Expected `str` of length >= 1"),
    ("an id too long", post(b',"id":"%b"' % (b"a" * 129)), "$.id", "Expected `str` of length <= 128"),
    ("a huge number", post(b',"deadline_ms":' + b"9" * 100), "$.deadline_ms", "Expected `int` <= 86400000"),
    (
        "a number of 5,000 digits",
        post(b',"deadline_ms":' + b"9" * 5_000),
        "$.deadline_ms",
        "Integer value out of range",
    ),
    ("more than a day", post(b',"deadline_ms":86400001'), "$.deadline_ms", "Expected `int` <= 86400000"),
    ("a number out of range", post(b',"deadline_ms":1e999'), "$.deadline_ms", "Number out of range"),
    (
        "half a millisecond",
        post(b',"deadline_ms":0.5'),
        "$.deadline_ms",
        "Expected `int | null`, got `float`",
    ),
    ("a time in words", post(b',"created_at":"noon"'), "$.created_at", "Invalid RFC3339 encoded datetime"),
    (
        "a time of nowhere",
        post(b',"created_at":"2026-01-01T00:00:00"'),
        "$.created_at",
        "Expected `datetime` with a timezone component",
    ),
    (
        "a key too long",
        post(b',"context":{"%b":""}' % (b"k" * 65)),
        "$.context",
        "a key: Expected `str` of length <= 64",
    ),
    ("a value of no text", post(b',"context":{"k":5}'), "$.context[...]", "Expected `str`, got `int`"),
    (
        "too many values",
        post(b',"context":%b' % wire.encode({str(n): "" for n in range(17)})),
        "$.context",
        "Expected `object` of length <= 16",
    ),
    ("an egress of its own", post(b',"egress":"hunter2"'), "$.egress", "not one of the known values"),
    ("a revision too low", post(b',"rejudge":{"run":"r","rev":0}'), "$.rejudge.rev", "Expected `int` >= 1"),
    (
        "a post that is no text",
        b'{"v":1,"kind":"analyze_user","id":"a","account":"b","posts":["x",5]}',
        "$.posts[1]",
        "Expected `str`, got `int`",
    ),
    (
        "no post",
        b'{"v":1,"kind":"analyze_user","id":"a","account":"b","posts":[]}',
        "$.posts",
        "Expected `array` of length >= 1",
    ),
    (
        "201 samples",
        b'{"v":1,"kind":"health_check","id":"a","samples":%b}' % wire.encode(["x"] * 201),
        "$.samples",
        "Expected `array` of length <= 200",
    ),
    (
        "a figure out of range",
        b'{"v":1,"kind":"health_check","id":"a","aggregates":{"posts":1e309}}',
        "$.aggregates[...]",
        "Number out of range",
    ),
]


@pytest.mark.parametrize(
    ("data", "path", "detail"), [row[1:] for row in WRONG_SHAPE], ids=[row[0] for row in WRONG_SHAPE]
)
def test_json_of_another_shape_is_malformed_at_its_place(data, path, detail):
    assert refused(decode_event, data) == (MalformedPayload, "malformed_payload", path, detail)


@pytest.mark.parametrize("field", ["id", "tenant", "policy"])
@pytest.mark.parametrize("character", ["\n", "\x00", "\x1b", "\x7f", "\x9b"])
def test_no_name_holds_a_control_character_not_even_a_line_feed_at_its_end(field, character):
    data = post(b',"%b":%b' % (field.encode(), wire.encode("a" + character)))
    error, _, path, detail = refused(decode_event, data)
    assert (error, path) == (MalformedPayload, f"$.{field}")
    assert detail.startswith("Expected `str` matching regex")


UNKNOWN = [
    (decode_event, post(b',"v":2'), UnknownVersion, "$.v", "version 2, this release reads 1"),
    (decode_event, post(b',"v":0'), UnknownVersion, "$.v", "version 0, this release reads 1"),
    (
        decode_event,
        post(b',"v":' + b"9" * 100),
        UnknownVersion,
        "$.v",
        "a version out of range, this release reads 1",
    ),
    # Of another version nothing else is known, so nothing else is wrong with it.
    (decode_event, b'{"v":7,"kind":"poem"}', UnknownVersion, "$.v", "version 7, this release reads 1"),
    (decode_event, b'{"v":1,"kind":"poem"}', UnknownKind, "$.kind", "not one of the known values"),
    (wire.decode_control, b'{"v":1,"order":"dance"}', UnknownKind, "$.order", "not one of the known values"),
    (wire.decode_verdict, b'{"v":2}', UnknownVersion, "$.v", "version 2, this release reads 1"),
    (wire.decode_dead_letter, b'{"v":2}', UnknownVersion, "$.v", "version 2, this release reads 1"),
    (wire.decode_policy, b'{"v":2}', UnknownVersion, "$.v", "version 2, this release reads 1"),
    (wire.decode_active_policy, b'{"v":2}', UnknownVersion, "$.v", "version 2, this release reads 1"),
    (wire.decode_campaign, b'{"v":2}', UnknownVersion, "$.v", "version 2, this release reads 1"),
    (wire.decode_memo, b'{"v":2}', UnknownVersion, "$.v", "version 2, this release reads 1"),
    (wire.decode_pending, b'{"v":2}', UnknownVersion, "$.v", "version 2, this release reads 1"),
    (
        wire.decode_pending,
        b'{"event":{"v":2,"kind":"scan"},"v":1}',
        UnknownVersion,
        "$.event.v",
        "this release reads version 1",
    ),
    (
        wire.decode_pending,
        b'{"event":{"v":1,"kind":"poem"},"v":1}',
        UnknownKind,
        "$.event.kind",
        "not one of the known values",
    ),
    (
        wire.decode_policy,
        b'{"v":1,"rules":[{"type":"poem"}]}',
        UnknownKind,
        "$.rules[0].type",
        "not one of the known values",
    ),
]


@pytest.mark.parametrize(("decode", "data", "error", "path", "detail"), UNKNOWN)
def test_another_version_and_another_kind_are_told_from_a_mistake(decode, data, error, path, detail):
    assert refused(decode, data) == (error, error.code, path, detail)


def test_a_record_larger_than_allowed_is_not_even_looked_at():
    data = b"x" * (RECORD_BYTES_MAX + 1)
    assert refused(decode_event, data) == (
        TooLarge,
        "too_large",
        "$",
        "200001 bytes, 200000 are allowed",
    )


def test_a_record_of_exactly_the_allowed_size_is_taken():
    data = post()
    assert wire.event_decoder(len(data))(data).text == "hello"
    with pytest.raises(TooLarge):
        wire.event_decoder(len(data) - 1)(data)


def test_of_a_field_given_twice_the_last_counts_and_each_must_be_valid():
    assert decode_event(post(b',"id":"second"')).id == "second"
    assert refused(decode_event, post(b',"id":5,"id":"third"'))[2] == "$.id"


def test_nul_may_stand_in_a_text():
    assert decode_event(post(b',"text":"a\\u0000b"')).text == "a\x00b"


def test_a_surrogate_pair_is_one_character():
    assert decode_event(post(b',"text":"\\ud83d\\ude00"')).text == "😀"


QUOTING = [
    post(b',"egress":"hunter2"'),
    post(b',"kind":"hunter2"'),
    post(b',"created_at":"hunter2"'),
    post(b',"context":{"hunter2":5}'),
    post(b',"context":{"hunter2`":5}'),
    post(b',"id":"hunter2\\n"'),
    post(b',"hunter2":tru'),
    post(b',"text":"hunter2'),
    b'{"v":1,"kind":"health_check","id":"a","aggregates":{"hunter2":"hunter2"}}',
    b'{"v":1,"kind":"health_check","id":"a","aggregates":{"hunter2 - at `$.x`":"hunter2"}}',
    b'{"hunter2":1}',
    b'"hunter2"',
    b"hunter2",
]


@pytest.mark.parametrize("data", QUOTING)
def test_no_error_of_an_event_repeats_what_stood_in_it(data):
    with pytest.raises(WireError) as caught:
        decode_event(data)
    assert SECRET not in str(caught.value) + caught.value.path


@pytest.mark.parametrize(
    ("decode", "data"),
    [
        (wire.decode_policy, b'{"hunter2":1}'),
        (wire.decode_policy, b'{"v":1,"labels":[{"hunter2":1}]}'),
        (wire.decode_policy, b'{"v":1,"rules":[{"type":"hunter2"}]}'),
        (wire.decode_control, b'{"order":"pause","v":1,"priority":"hunter2"}'),
        (wire.decode_verdict, b'{"v":1,"action":"hunter2"}'),
        (wire.decode_verdict, b'{"v":1,"verdict_id":"hunter2"}'),
        (wire.decode_dead_letter, b'{"v":1,"payload":"hunter2!"}'),
        (wire.decode_dead_letter, b'{"v":1,"code":"HUNTER2 hunter2"}'),
    ],
)
def test_no_error_of_our_own_messages_repeats_what_stood_in_them(decode, data):
    with pytest.raises(WireError) as caught:
        decode(data)
    assert SECRET not in str(caught.value) + caught.value.path
