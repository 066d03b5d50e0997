"""What a node is asked: byte-stable before the content, safe within it, and in the engine's dialect."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.event import KINDS, AnalyzeUser, HealthCheck, Moderate, ReviewBan, Scan
from schemas.policy import Label, Policy, Prompt
from streams.core.questions import document_of, prompt_for
from streams.core.requests import Dialect

POLICY = Policy(
    id="default",
    version=1,
    labels=(Label(name="spam", description="Adverts."), Label(name="violence", description="Threats.")),
    prompts=(Prompt(kind="moderate", text="Judge the post."),),
)
EVENTS = {
    "moderate": Moderate(v=1, id="1", text="hello"),
    "scan": Scan(v=1, id="1", text="hello"),
    "review_ban": ReviewBan(v=1, id="1", account="a", ground="spam", evidence=("buy now",)),
    "analyze_user": AnalyzeUser(v=1, id="1", account="a", posts=("hi", "there")),
    "health_check": HealthCheck(v=1, id="1", aggregates={"reports": 3.0}, samples=("hi",)),
}


def decoded(body: bytes) -> dict:
    return msgspec.json.decode(body)


@pytest.mark.parametrize("kind", KINDS)
def test_a_question_of_every_kind_is_one_deterministic_strict_request(kind):
    request = decoded(prompt_for(POLICY, kind, "m").body(EVENTS[kind]))
    assert request["model"] == "m"
    assert request["temperature"] == 0
    assert request["stream"] is False
    assert 0 < request["max_tokens"] < 512
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert request["response_format"]["json_schema"]["strict"] is True


@given(st.text(max_size=200), st.text(max_size=200))
def test_requests_about_two_texts_begin_with_the_same_bytes(one, other):
    template = prompt_for(POLICY, "moderate", "m")
    bodies = [template.body(Moderate(v=1, id="1", text=text)) for text in (one, other)]
    assert all(
        body.startswith(template.request.before) and body.endswith(template.request.after) for body in bodies
    )
    assert prompt_for(POLICY, "moderate", "m") == template


@given(st.text(min_size=1, max_size=300))
def test_no_content_can_leave_its_quotes(text):
    request = decoded(prompt_for(POLICY, "moderate", "m").body(Moderate(v=1, id="1", text=text)))
    assert len(request["messages"]) == 2
    assert msgspec.json.decode(request["messages"][1]["content"]) == {"text": text}


def test_the_model_is_shown_neither_the_author_nor_ids():
    event = Moderate(v=1, id="post-77", text="hi", author="alice", tenant="acme", context={"title": "T"})
    assert msgspec.json.decode(document_of(event)) == {"text": "hi", "context": {"title": "T"}}


def test_the_context_stands_in_one_order():
    first = Moderate(v=1, id="1", text="hi", context={"a": "1", "b": "2"})
    second = Moderate(v=1, id="1", text="hi", context={"b": "2", "a": "1"})
    assert document_of(first) == document_of(second)


def test_the_prompt_holds_the_policys_words_and_every_label():
    system = prompt_for(POLICY, "moderate", "m").system
    assert system.startswith("Judge the post.")
    assert all(f"- {label.name}: {label.description}" in system for label in POLICY.labels)


def test_a_kind_without_a_prompt_of_its_own_is_asked_all_the_same():
    assert "aggregates" in prompt_for(POLICY, "health_check", "m").system


@pytest.mark.parametrize(
    ("shape", "path"),
    [("json_schema", ("json_schema", "schema")), ("schema", ("schema",)), ("value", ("value", "schema"))],
)
def test_the_schema_stands_where_the_engine_looks_for_it(shape, path):
    template = prompt_for(POLICY, "moderate", "m", Dialect(shape, {"reasoning_effort": "none"}))
    request = decoded(template.body(EVENTS["moderate"]))
    at = request["response_format"]
    for step in path:
        at = at[step]
    assert at["properties"]["labels"]["items"]["properties"]["name"]["enum"] == ["spam", "violence", "none"]
    assert request["reasoning_effort"] == "none"
