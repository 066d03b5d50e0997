"""What a node's HTTP answer means, case by case, and that nothing it sends can be anything else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.nodes.engines.wires import reply_in
from infra.nodes.responses import answer_of, fault_in, judgement_in, models_in
from schemas.policy import Label, Policy, Prompt
from streams.core.formats import general
from streams.core.requests import OPENAI_DIALECT
from streams.ports import Answer, BadAnswer, Misconfigured, Overloaded, Refused, TimedOut, Unreachable

POLICY = Policy(
    id="default",
    version=1,
    labels=(Label(name="spam", description="Adverts."),),
    prompts=(Prompt(kind="moderate", text="Judge."),),
)
ASKING = general.asking(POLICY, "moderate", "m", OPENAI_DIALECT)
GOOD = '{"labels":[{"name":"spam","percent":93}]}'


def answer_in(body: bytes) -> Answer:
    reply = reply_in(body, "openai")
    return answer_of(judgement_in(ASKING, [reply]), [reply], "m")


def completion(content: str | None = GOOD, finish_reason: str = "stop", **others: object) -> bytes:
    choice = {"message": {"content": content}, "finish_reason": finish_reason}
    return msgspec.json.encode({"choices": [choice], **others})


def test_a_good_answer_brings_labels_and_tokens():
    usage = {"prompt_tokens": 700, "completion_tokens": 11, "prompt_tokens_details": {"cached_tokens": 600}}
    answer = answer_in(completion(usage=usage))
    assert [(label.name, label.score) for label in answer.labels] == [("spam", 0.93)]
    assert (answer.prompt_tokens, answer.cached_tokens, answer.output_tokens) == (700, 600, 11)
    assert answer.model == "m"


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}, {"prompt_tokens_details": None}])
def test_an_engine_may_leave_out_what_it_does_not_count(usage):
    assert answer_in(completion(usage=usage)).prompt_tokens == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502</html>",
        b"[]",
        b'{"choices":[]}',
        b'{"choices":[{}]}',
        b"[" * 100_000,
        b'{"x":' + b"[" * 100_000,
        b"\xff\xfe",
        completion(None),
        completion("It is spam."),
        completion(GOOD, "length"),
        completion('{"labels":[{"name":"quux","percent":1}]}'),
    ],
)
def test_anything_else_is_a_bad_answer(body):
    with pytest.raises(BadAnswer):
        answer_in(body)


@given(st.binary(max_size=200))
def test_no_bytes_are_anything_but_a_bad_answer(body):
    with pytest.raises(BadAnswer):
        answer_in(body)


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (429, Overloaded),
        (503, Overloaded),
        (408, TimedOut),
        (301, Misconfigured),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (400, Refused),
        (413, Refused),
        (422, Refused),
        (424, Unreachable),
        (500, Unreachable),
        (502, Unreachable),
        (504, Unreachable),
        (204, Unreachable),
    ],
)
def test_every_status_says_whose_fault_it_is(status, fault):
    assert type(fault_in(status, {}, b"")) is fault


@pytest.mark.parametrize(
    ("given", "ms"),
    [("2", 2_000), ("0.25", 250), ("", 0), ("-1", 0), ("soon", 0), ("999999", 60_000), ("nan", 0), ("٣", 0)],
)
def test_a_node_may_say_when_to_come_again(given, ms):
    assert fault_in(503, {"retry-after": given}, b"").retry_after_ms == ms


def test_of_an_error_only_its_code_is_told():
    body = msgspec.json.encode({"error": {"code": "model_not_found", "message": "the post said: secret"}})
    assert fault_in(404, {}, body).detail == "HTTP 404 (model_not_found)"
    assert fault_in(404, {}, b'{"error":{"code":"Secret words"}}').detail == "HTTP 404"
    assert fault_in(404, {}, b'{"error":{"code":404}}').detail == "HTTP 404"


def test_a_list_of_models_gives_their_names():
    assert models_in(b'{"data":[{"id":"a"},{"id":"b"}]}') == ("a", "b")
    with pytest.raises(BadAnswer):
        models_in(b'{"models":[]}')
