"""Every engine of ours, by what it really answers: asked in its own way, read, its errors understood."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from engine_replies import ERRORS, METRICS, REPLIES, SGLANG_DECISIONS, SPAM, VLLM_DECISIONS
from nodes import EVENTS, POLICY, http_node, packed, question, reference_node

from infra.errors import ExitCode, Failure
from infra.nodes.client import HttpNode
from infra.nodes.engines.loads import load_in
from infra.nodes.engines.table import ENGINES
from infra.nodes.engines.wires import reply_in
from schemas.event import Moderate
from schemas.settings import NodeSettings
from streams import ports
from streams.clock import SystemClock
from streams.core.pacing import EngineLoad
from streams.core.windows import WINDOW_BYTES_MIN
from streams.ports import Gauged, Misconfigured, Question, Refused

KINDS = list(ENGINES)
CHAT = {kind: "/api/chat" if kind == "ollama" else "/v1/chat/completions" for kind in KINDS}
HEALTH = {"openai": "/v1/models", "ollama": "/v1/models", "ollama-v1": "/v1/models", "sglang": "/ready"}


class Told:
    """An engine that answers each path as the test has it: a body, or (status, body). It keeps what came."""

    def __init__(self, **paths: Any) -> None:
        self.paths = {f"/{path.strip('/')}": answer for path, answer in paths.items()}
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []

    async def __call__(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append((request.path, msgspec.json.decode(body) if body else {}, dict(request.headers)))
        answer = self.paths.get(request.path, (404, b"{}"))
        if callable(answer):
            answer = answer(self.asked[-1][1])
        status, told = answer if isinstance(answer, tuple) else (200, answer)
        return web.Response(status=status, body=told, content_type="application/json")

    def bodies(self, path: str) -> list[dict[str, Any]]:
        return [body for asked, body, _ in self.asked if asked == path]


@asynccontextmanager
async def engine(kind: str, told: Told, **settings: Any) -> AsyncIterator[HttpNode]:
    runner = web.ServerRunner(web.Server(told), shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with http_node(url, kind=kind, **{"model": "m", **settings}) as node:
            yield node
    finally:
        await runner.cleanup()


encoded = msgspec.json.encode
SPAM_ALONE = msgspec.structs.replace(POLICY, labels=POLICY.labels[:1])


def is_about_percents(body: dict[str, Any]) -> bool:
    return b"percent" in encoded(body["response_format"])


def answering(kind: str, answer: Any = None) -> Told:
    return Told(**{CHAT[kind]: REPLIES[kind] if answer is None else answer})


@pytest.mark.parametrize("kind", KINDS)
async def test_what_an_engine_answers_is_a_score_its_mass_and_what_it_took(kind):
    async with engine(kind, answering(kind)) as node:
        answer = await node.judge(question())
    measured = kind != "penstock"
    assert [(label.name, label.score) for label in answer.labels] == [
        ("spam", pytest.approx(0.9 / 0.98 if measured else 0.9, abs=1e-6))
    ]
    assert answer.mass == pytest.approx(0.98 if measured else 1.0)
    assert (answer.prompt_tokens, answer.output_tokens, answer.coverage) == (700, 5, 1.0)
    assert answer.cached_tokens == (640 if kind in {"openai", "vllm", "llamacpp", "penstock"} else 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_engine_is_asked_in_its_own_way(kind):
    told = answering(kind)
    async with engine(kind, told) as node:
        await node.judge(question())
    [(path, body, headers)] = told.asked
    assert path == CHAT[kind]
    assert body["model"] == "m"
    assert headers.get("Connection") == ("close" if kind == "llamacpp" else None)
    if kind == "ollama":
        assert body["format"]["required"] == ["labels"]
        assert (body["truncate"], body["shift"], body["think"]) == (False, False, False)
        assert body["options"] == {"temperature": 0, "num_predict": 92, "num_ctx": 8_192}
    else:
        shape = {"tgi": "value"}.get(kind, "json_schema")
        assert body["response_format"]["type"] == "json_schema"
        assert body["response_format"][shape]["strict"] is True
        assert body["response_format"][shape]["schema"]["required"] == ["labels"]
        assert body["temperature"] == 0
        assert body["stream"] is (kind == "llamacpp")
    assert body.get("top_logprobs") == {"tgi": 5, "penstock": None}.get(kind, 20)
    assert "priority" not in body


@pytest.mark.parametrize("kind", KINDS)
async def test_a_node_is_asked_whether_it_is_well_where_that_is_cheap(kind):
    path = HEALTH.get(kind, "/health")
    told = Told(**{path: b'{"data":[{"id":"m"}]}'})
    async with engine(kind, told) as node:
        await node.probe()
    assert [asked for asked, _, _ in told.asked] == [path]


@pytest.mark.parametrize(("kind", "status", "body", "fault", "word"), ERRORS)
async def test_an_engines_errors_say_whose_fault_it_was(kind, status, body, fault, word):
    async with engine(kind, answering(kind, (status, body))) as node:
        with pytest.raises(getattr(ports, fault)) as caught:
            await node.judge(question())
    assert type(caught.value).__name__ == fault
    assert word in str(caught.value)
    sentence = msgspec.json.decode(body).get("message", "")
    assert not sentence or sentence not in str(caught.value)


def test_a_stream_may_begin_with_a_sign_of_life():
    assert reply_in(b": still reading\n\n" + REPLIES["llamacpp"], "openai").content == SPAM


# -- priorities, slots, load


@pytest.mark.parametrize(
    ("kind", "figures"), [("vllm", {"critical": 0, "low": 3}), ("sglang", {"critical": 3, "low": 0})]
)
async def test_the_urgent_go_first_in_the_engines_own_direction_if_it_is_set_so(kind, figures):
    for is_set in (True, False):
        told = answering(kind)
        async with engine(kind, told, engine_priority=is_set) as node:
            for priority in figures:
                await node.judge(Question(EVENTS["moderate"], POLICY, priority=priority))
        asked = [body.get("priority") for body in told.bodies(CHAT[kind])]
        assert asked == (list(figures.values()) if is_set else [None, None])


@pytest.mark.parametrize("kind", METRICS)
async def test_an_engine_tells_its_load(kind):
    paths = {"/metrics": METRICS[kind], "/props": b'{"total_slots":4,"model_path":"m"}'}
    async with engine(kind, Told(**paths)) as node:
        assert isinstance(node, Gauged)
        load = await node.load()
    usage = 0.25 if kind in {"vllm", "sglang"} else None
    slots = 4 if kind == "llamacpp" else None
    preemptions = 3 if kind == "vllm" else None
    assert load == EngineLoad(running=12, waiting=2, cache_usage=usage, slots=slots, preemptions=preemptions)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(METRICS)))
async def test_an_engine_without_metrics_is_not_asked_for_them(kind):
    told = Told()
    async with engine(kind, told) as node:
        assert await node.load() is None
    assert told.asked == []


def test_a_gauge_that_is_not_there_is_unknown_and_not_zero():
    assert load_in(b"other 3\n\x00\xff{ 1\n", ENGINES["vllm"].gauges) == EngineLoad()


async def test_the_reference_nodes_gauges_are_those_that_are_read():
    async with reference_node() as (_, url), http_node(url) as node:
        assert await node.load() == EngineLoad(running=0, waiting=0)


# -- where scores come from


@pytest.mark.parametrize(
    ("kind", "reply", "mass"), [("vllm", VLLM_DECISIONS, 1.0), ("sglang", SGLANG_DECISIONS, 0.7)]
)
async def test_labels_are_decided_without_a_word_where_the_engine_can(kind, reply, mass):
    told = Told(**{"/v1/decisions": reply, CHAT[kind]: REPLIES[kind]})
    async with engine(kind, told, confidence="decisions") as node:
        answer = await node.judge(question())
        assert "by decisions" in repr(node)
        # What is no post is asked as ever, and so answered with the labels of this engine that knows no bans.
        with pytest.raises(ports.BadAnswer):
            await node.judge(Question(EVENTS["review_ban"], POLICY))
    assert [(label.name, label.score) for label in answer.labels] == [("spam", 0.91), ("harassment", 0.3)]
    assert (answer.mass, answer.prompt_tokens) == (mass, 900)
    asked, *_ = told.bodies("/v1/decisions")
    names = {"vllm": "name", "sglang": "id"}[kind]
    assert [one[names] for one in asked["questions"]] == ["spam", "violence", "harassment"]
    assert msgspec.json.decode(asked["input"]) == {"text": "I will kill you"}


@pytest.mark.parametrize("refusal", [(404, b"{}"), (501, b"{}"), (400, b"{}")])
async def test_an_engine_that_decides_nothing_is_asked_for_words_once_and_for_all(refusal, caplog):
    told = Told(**{"/v1/decisions": refusal, CHAT["vllm"]: REPLIES["vllm"]})
    async with engine("vllm", told, confidence="decisions") as node:
        for _ in range(3):
            assert (await node.judge(question())).labels
        assert "by logprobs" in repr(node)
    assert len(told.bodies("/v1/decisions")) == 1
    assert len(told.bodies(CHAT["vllm"])) == 3
    assert "knows no decisions" in caplog.text


async def test_a_ban_says_nothing_of_whether_an_engine_decides():
    said = b'{"choices":[{"message":{"content":"{\\"outcome\\":\\"uphold\\",\\"percent\\":90}"}}]}'
    ban = answering("vllm", lambda body: said if b"ban" in msgspec.json.encode(body) else REPLIES["vllm"])
    async with engine("vllm", ban, confidence="decisions") as node:
        assert (await node.judge(Question(EVENTS["review_ban"], POLICY))).result.outcome == "uphold"
        # Here it has no such endpoint, which the ban did not show.
        assert (await node.judge(question())).labels
        assert "by logprobs" in repr(node)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"penstock", "ollama", "llamacpp"}))
async def test_an_endpoint_that_passes_over_log_probabilities_is_asked_for_percentages(kind, caplog):
    """A name alone would score the same for every post, and nothing would ever be blocked."""
    names = {"choices": [{"message": {"content": SPAM}, "finish_reason": "stop"}]}
    told = answering(kind, lambda body: REPLIES["penstock"] if is_about_percents(body) else encoded(names))
    async with engine(kind, told) as node:
        looked_up = node.asks
        answers = [await node.judge(question()) for _ in range(2)]
        assert {answer.asked for answer in answers} == {*node.asks} <= {*looked_up}, "after a start as well"
    assert [answer.labels[0].score for answer in answers] == [0.9, 0.9]
    assert [is_about_percents(body) for body in told.bodies(CHAT[kind])] == [False, True, True]
    assert answers[0].asked == "m general words"
    assert "knows no logprobs" in caplog.text


async def test_an_endpoint_that_refuses_log_probabilities_is_asked_without():
    words = REPLIES["penstock"]
    told = answering("openai", lambda body: (400, b"{}") if body.get("logprobs") else words)
    async with engine("openai", told) as node:
        answers = [await node.judge(question()) for _ in range(2)]
    assert [answer.labels[0].score for answer in answers] == [0.9, 0.9]
    assert [bool(body.get("logprobs")) for body in told.bodies(CHAT["openai"])] == [True, False, False]


async def test_a_node_that_has_shown_what_it_knows_is_not_asked_in_another_way():
    answers = iter([REPLIES["openai"], (400, b"{}")])
    told = answering("openai", lambda _: next(answers))
    async with engine("openai", told) as node:
        await node.judge(question())
        with pytest.raises(Refused):
            await node.judge(question())


async def test_a_wrong_token_does_not_make_a_node_forget_what_it_was_to_be_asked():
    answers = iter([(401, b"{}"), (401, b"{}"), REPLIES["openai"]])
    told = answering("openai", lambda _: next(answers))
    async with engine("openai", told) as node:
        with pytest.raises(Misconfigured):
            await node.judge(question())
        assert (await node.judge(question())).mass == pytest.approx(0.98)


async def test_a_guard_model_that_is_asked_about_an_account_refuses():
    told = answering("vllm")
    async with engine("vllm", told, format="llama_guard") as node:
        with pytest.raises(Refused, match="judges posts only"):
            await node.judge(Question(EVENTS["analyze_user"], POLICY))
    assert told.asked == []


@pytest.mark.parametrize("kind", [kind for kind, one in ENGINES.items() if not one.fills_templates])
def test_a_guideline_that_an_engine_would_pass_over_is_refused_at_start(kind):
    settings = NodeSettings(url="http://node", name="n1", kind=kind, format="shield_gemma")
    with pytest.raises(Failure, match=f"n1: the format shield_gemma .*vllm.*, and {kind} is none") as refused:
        HttpNode(settings, SystemClock())
    assert refused.value.exit_code == ExitCode.USAGE


# -- long posts


def shown(body: dict[str, Any]) -> str:
    return msgspec.json.decode(body["messages"][-1]["content"])["text"]


async def test_a_long_post_is_judged_in_windows_and_the_worst_one_counts():
    text = "harmless " * 9_000 + "the end"
    clean = (
        b'{"choices":[{"message":{"content":"{\\"labels\\":[{\\"name\\":\\"none\\",\\"percent\\":99}]}"}}]}'
    )
    told = answering("penstock", lambda body: REPLIES["penstock"] if "the end" in shown(body) else clean)
    async with engine("penstock", told, context_tokens=4_096) as node:
        answer = await node.judge(question(text))
    windows = [shown(body) for body in told.bodies(CHAT["penstock"])]
    assert len(windows) == 3
    assert (text.startswith(windows[0]), text.endswith(windows[2])) == (True, True)
    assert [(label.name, label.score) for label in answer.labels] == [("spam", 0.9)]
    assert answer.coverage == pytest.approx(sum(map(len, windows)) / len(text), abs=1e-3)
    assert answer.prompt_tokens == 700


async def test_a_window_that_the_engine_refuses_is_narrowed():
    told = answering(
        "penstock", lambda body: (400, b"{}") if len(shown(body)) > 4_000 else REPLIES["penstock"]
    )
    async with engine("penstock", told) as node:
        answer = await node.judge(question("x" * 60_000))
    sizes = [len(shown(body)) for body in told.bodies(CHAT["penstock"])]
    assert sizes == sorted(sizes, reverse=True)
    assert all(size > 4_000 for size in sizes[:-3])
    assert 0 < answer.coverage < 0.25


@pytest.mark.parametrize("post", ["x" * 60_000, "\x01" * 9_000, "\n" * 5_000, "\u4e2d" * 5_000, "x" * 4_000])
async def test_an_engine_that_cuts_without_a_word_gets_nothing_that_it_could_cut(post):
    context_tokens = 4_096
    told = answering("ollama-v1")
    async with engine("ollama-v1", told, context_tokens=context_tokens) as node:
        answer = await node.judge(question(post))
    bodies = told.bodies(CHAT["ollama-v1"])
    for body in bodies:
        # No token is shorter than a byte.
        sent = sum(len(message["content"].encode()) for message in body["messages"])
        assert sent + body["max_tokens"] <= context_tokens
    assert answer.coverage == pytest.approx(
        min(1.0, sum(len(shown(body).encode()) for body in bodies) / len(post.encode())), abs=1e-3
    )


async def test_what_would_be_cut_however_short_is_refused_and_not_sent():
    told = answering("ollama-v1")
    async with engine("ollama-v1", told, context_tokens=512) as node:
        with pytest.raises(Refused, match="longer than a slot's context"):
            await node.judge(question("\x01" * 5_000))
    assert told.asked == []


@pytest.mark.parametrize(("size", "tries"), [(100, 1), (60_000, 4)])
async def test_narrowing_ends(size, tries):
    told = answering("penstock", (400, b"{}"))
    async with engine("penstock", told, context_tokens=512) as node:
        with pytest.raises(Refused):
            await node.judge(Question(Moderate(v=1, id="1", text="x" * size), POLICY))
    assert len(told.asked) == tries
    assert len(shown(told.asked[-1][1])) <= max(WINDOW_BYTES_MIN, size)


def slots_in(body: dict[str, Any]) -> list[dict[str, Any]]:
    return msgspec.json.decode(body["messages"][-1]["content"])


def about_a_pack(kind: str, body: dict[str, Any]) -> bytes:
    """What a model says that takes whoever wants money or sells followers for a spammer."""
    slots = slots_in(body)
    money = ("followers", "watches", "profit", "returns", "kill", "idiot")
    said = {
        slot["id"]: ["spam", 90] if any(word in slot["post"]["text"] for word in money) else ["none", 95]
        for slot in slots
    }
    content = encoded(said).decode()
    if kind == "ollama":
        return encoded({"message": {"content": content}, "done": True, "done_reason": "stop"})
    return encoded({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_engine_is_asked_about_a_pack_in_its_own_way(kind):
    told = answering(kind, lambda body: about_a_pack(kind, body))
    async with engine(kind, told, sequential=True) as node:
        pack = packed("buy cheap followers", "What a lovely day", policy=SPAM_ALONE)
        answers = (await node.judge_pack(pack)).answers
    assert [[label.name for label in answer.labels] for answer in answers] == [["spam"], []]
    assert {answer.asked for answer in answers} == {"m general words"} <= {*node.asks}
    [(path, body, _)] = told.asked
    assert path == CHAT[kind]
    shape = {"tgi": "value"}.get(kind, "json_schema")
    schema = body["format"] if kind == "ollama" else body["response_format"][shape]["schema"]
    assert schema["required"] == [slot["id"] for slot in slots_in(body)]
    assert "top_logprobs" not in body
    assert body["stream"] is (kind == "llamacpp")


@pytest.mark.parametrize(("kind", "fits"), [("ollama", True), ("ollama-v1", False)])
async def test_a_pack_that_a_slot_cannot_hold_is_refused_and_not_sent(kind, fits):
    told = answering(kind, lambda body: about_a_pack(kind, body))
    posts = packed(*["My tomatoes are ripe at last " * 20] * 2, policy=SPAM_ALONE)
    async with engine(kind, told, context_tokens=2_048) as node:
        if fits:
            await node.judge_pack(posts)
        else:
            # It cuts without a word, so that no token may be taken for longer than a byte.
            with pytest.raises(Refused, match="longer than a slot"):
                await node.judge_pack(posts)
    assert len(told.asked) == fits
