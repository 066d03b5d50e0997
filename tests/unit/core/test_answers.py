"""How an answer is read: what is right comes through, and everything else is refused with a code."""

from __future__ import annotations

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import KINDS
from schemas.verdict import Result, ScoredLabel
from streams.core.answers import (
    LABELS_MAX,
    UnusableAnswer,
    answer_schema,
    answer_tokens_max,
    names_offered,
    parse_answer,
)

LABELS = ("spam", "violence", "hate", "scam", "sexual")


def parse(kind, content):
    return parse_answer(kind, frozenset(names_offered(kind, LABELS)), content)


def test_labels_come_sorted_by_their_score():
    judgement = parse(
        "moderate", '{"labels":[{"name":"spam","percent":30},{"name":"violence","percent":90}]}'
    )
    assert judgement.labels == (
        ScoredLabel(name="violence", score=0.9),
        ScoredLabel(name="spam", score=0.3),
    )
    assert judgement.confidence == 0.9


def test_none_is_no_label_and_its_percentage_the_confidence():
    judgement = parse("scan", '{"labels":[{"name":"none","percent":97}]}')
    assert judgement.labels == ()
    assert judgement.confidence == 0.97


def test_an_unlikely_label_is_a_confident_answer():
    assert parse("moderate", '{"labels":[{"name":"spam","percent":20}]}').confidence == 0.8


@pytest.mark.parametrize(
    ("kind", "content", "result"),
    [
        ("review_ban", '{"outcome":"overturn","percent":80}', Result(outcome="overturn")),
        (
            "analyze_user",
            '{"risk_percent":70,"reasons":["spam","links"]}',
            Result(risk=0.7, findings=("spam", "links")),
        ),
        ("health_check", '{"percent":60,"findings":["campaign"]}', Result(findings=("campaign",))),
    ],
)
def test_the_other_kinds_are_answered_with_a_result(kind, content, result):
    assert parse(kind, content).result == result


@pytest.mark.parametrize(
    ("kind", "content", "code"),
    [
        ("moderate", "", "not_json"),
        ("moderate", "Sure! It is spam.", "not_json"),
        ("moderate", '{"labels":[{"name":"spam","perc', "not_json"),
        ("moderate", "[" * 100_000, "wrong_shape"),
        ("moderate", "[]", "wrong_shape"),
        ("moderate", '{"labels":[]}', "wrong_shape"),
        ("moderate", '{"labels":[{"name":"spam"}]}', "wrong_shape"),
        ("moderate", '{"labels":[{"name":"spam","percent":0.93}]}', "wrong_shape"),
        ("moderate", '{"labels":[{"name":"spam","percent":"93"}]}', "wrong_shape"),
        ("moderate", '{"labels":[{"name":"spam","percent":93}],"allow":true}', "wrong_shape"),
        ("moderate", '{"labels":[{"name":"none","percent":9},{"name":"spam","percent":9}]}', "wrong_shape"),
        ("moderate", '{"labels":[{"name":"Spam","percent":93}]}', "unknown_name"),
        ("moderate", '{"labels":[{"name":"spam","percent":101}]}', "out_of_range"),
        ("moderate", '{"labels":[{"name":"spam","percent":-1}]}', "out_of_range"),
        ("moderate", '{"labels":[{"name":"spam","percent":9},{"name":"spam","percent":9}]}', "repeated_name"),
        ("review_ban", '{"outcome":"allow","percent":50}', "unknown_name"),
        ("review_ban", '{"outcome":"uphold"}', "wrong_shape"),
        ("analyze_user", '{"risk_percent":700,"reasons":[]}', "out_of_range"),
        ("analyze_user", '{"risk_percent":70,"reasons":["quux"]}', "unknown_name"),
        ("health_check", '{"percent":60,"findings":"campaign"}', "wrong_shape"),
    ],
)
def test_an_answer_that_was_not_asked_for_is_refused_with_its_code(kind, content, code):
    with pytest.raises(UnusableAnswer) as caught:
        parse(kind, content)
    assert caught.value.code == code


def test_more_labels_than_may_be_named_are_refused():
    items = [{"name": name, "percent": 50} for name in LABELS]
    assert len(items) > LABELS_MAX
    with pytest.raises(UnusableAnswer):
        parse("moderate", msgspec.json.encode({"labels": items}).decode())


def test_a_refusal_never_quotes_the_answer():
    with pytest.raises(UnusableAnswer) as caught:
        parse("moderate", '{"labels":[{"name":"secret words","percent":93}]}')
    assert "secret" not in str(caught.value)


@given(st.sampled_from(KINDS), st.text(max_size=200))
def test_no_text_makes_the_parser_raise_anything_else(kind, content):
    with pytest.raises(UnusableAnswer):
        parse(kind, content)


@given(
    st.lists(
        st.tuples(st.sampled_from(LABELS), st.integers(0, 100)),
        min_size=1,
        max_size=LABELS_MAX,
        unique_by=lambda item: item[0],
    )
)
def test_what_the_schema_allows_the_parser_takes(items):
    said = {"labels": [{"name": name, "percent": percent} for name, percent in items]}
    jsonschema.validate(said, answer_schema("moderate", LABELS))
    judgement = parse("moderate", msgspec.json.encode(said).decode())
    assert {(label.name, round(label.score * 100)) for label in judgement.labels} == set(items)


@pytest.mark.parametrize("kind", KINDS)
def test_every_schema_is_one_that_strict_modes_take(kind):
    schema = answer_schema(kind, LABELS)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == set(schema["properties"])
    assert answer_tokens_max(kind) <= 256
