"""The reference node over HTTP: it judges, queues, charges time, caches prefixes, and fails when told to."""

from __future__ import annotations

import asyncio
import json
import math
import socket
from pathlib import Path

import aiohttp
import pytest
from deadline import eventually
from nodes import EVENTS, POLICY, ManualSleep, reference_node

from infra.errors import ExitCode, Failure
from infra.nodes.reference.chat import MODEL
from infra.nodes.reference.server import ReferenceServer
from schemas.settings import ReferenceNodeSettings, Secret
from streams.clock import ManualClock
from streams.core.questions import prompt_for
from streams.core.requests import Dialect

CHAT = "/v1/chat/completions"


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


def body(text: str = "I will kill you", **fields: object) -> dict:
    return {
        "messages": [{"role": "system", "content": "Judge."}, {"role": "user", "content": text}],
        **fields,
    }


async def ask(http, url, payload, **headers):
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    async with http.post(url + CHAT, data=data, headers=headers) as response:
        return response.status, await response.json(), response.headers


@pytest.mark.parametrize("shape", ["json_schema", "schema", "value"])
@pytest.mark.parametrize("kind", list(EVENTS))
async def test_it_fills_the_schema_of_every_kind_in_every_engines_envelope(http, kind, shape):
    async with reference_node() as (_, url):
        template = prompt_for(POLICY, kind, MODEL, Dialect(shape))
        status, answer, _ = await ask(http, url, template.body(EVENTS[kind]))
    assert status == 200
    said = json.loads(answer["choices"][0]["message"]["content"])
    expected = {
        "moderate": {"labels": [{"name": "violence", "percent": 97}]},
        "scan": {"labels": [{"name": "spam", "percent": 97}]},
        "review_ban": {"outcome": "uphold", "percent": 95},
        "analyze_user": {"risk_percent": 85, "reasons": ["violence"]},
        "health_check": {"percent": 75, "findings": ["spike"]},
    }[kind]
    assert said == expected


async def test_without_a_schema_it_scores_all_that_it_knows(http):
    async with reference_node() as (_, url):
        status, answer, _ = await ask(http, url, body())
    assert status == 200
    assert json.loads(answer["choices"][0]["message"]["content"])["labels"][0]["name"] == "violence"


async def test_log_probabilities_are_those_of_the_score(http):
    template = prompt_for(POLICY, "moderate", MODEL)
    request = json.loads(template.body(EVENTS["moderate"])) | {"logprobs": True, "top_logprobs": 4}
    async with reference_node() as (_, url):
        _, answer, _ = await ask(http, url, request)
    choice = answer["choices"][0]
    tokens = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
    assert answer["usage"]["completion_tokens"] == len(tokens)
    [label] = [token for token in tokens if token["token"] == "violence"]
    assert {top["token"] for top in label["top_logprobs"]} == {"violence", "spam", "harassment", "none"}
    assert math.isclose(sum(math.exp(top["logprob"]) for top in label["top_logprobs"]), 1, rel_tol=1e-6)
    assert label["logprob"] == label["top_logprobs"][0]["logprob"] < 0


async def test_an_answer_longer_than_its_limit_is_cut_off_and_says_so(http):
    async with reference_node() as (_, url):
        _, answer, _ = await ask(http, url, body(max_tokens=3))
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("payload", "status", "says"),
    [
        (b"{", 400, "not JSON"),
        (b"\xff", 400, "not JSON"),
        (b"[]", 400, "another shape"),
        (b'{"messages":' + b"[" * 50_000, 400, "."),
        ({"messages": []}, 400, "another shape"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "role user"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "$.messages[0].content"),
        (body(stream=True), 400, "does not stream"),
        (body(n=2), 400, "n must be 1"),
        (body(top_logprobs=3), 400, "logprobs"),
        (body(logprobs=True, top_logprobs=21), 400, "<= 20"),
        (body(model="gpt-17"), 404, MODEL),
        (body(response_format={"type": "grammar"}), 400, "response_format"),
        (body(response_format={"type": "json_schema"}), 400, "schema"),
        (
            body(response_format={"type": "json_schema", "schema": {"type": "string"}}),
            400,
            "not a language model",
        ),
        (
            body(response_format={"type": "json_schema", "schema": {"properties": {"labels": 3}}}),
            400,
            "labels",
        ),
        (body("x" * 20_000), 413, "Too Large"),
    ],
)
async def test_a_request_that_it_cannot_serve_is_told_so_in_a_sentence(http, payload, status, says):
    async with reference_node(body_bytes_max=70_000 if isinstance(payload, bytes) else 16_384) as (_, url):
        answered, error, _ = await ask(http, url, payload)
    assert answered == status
    assert says in error["error"]["message"]


async def test_pages_that_are_not_there_answer_in_the_same_shape(http):
    async with reference_node() as (_, url), http.get(url + "/v2/nothing") as response:
        assert response.status == 404
        assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_it_lists_its_model_and_is_healthy(http):
    async with reference_node() as (_, url):
        async with http.get(url + "/v1/models") as response:
            assert [model["id"] for model in (await response.json())["data"]] == [MODEL]
        async with http.get(url + "/health") as response:
            assert response.status == 200


async def test_a_second_request_finds_its_system_prompt_cached(http):
    sleep = ManualSleep()
    async with reference_node(sleep=sleep, prompt_token_us=1_000) as (_, url):
        payload = body()
        payload["messages"][0]["content"] = "Judge. " * 100
        first = asyncio.create_task(ask(http, url, payload))
        await eventually(lambda: len(sleep.asked_ms) == 1, within_s=5)
        second = asyncio.create_task(ask(http, url, payload))
        await eventually(lambda: len(sleep.asked_ms) == 2, within_s=5)
        sleep.wake_all()
        usages = [(await task)[1]["usage"] for task in (first, second)]
    cached = [usage["prompt_tokens_details"]["cached_tokens"] for usage in usages]
    assert cached == [0, 179]
    assert sleep.asked_ms == [usage["prompt_tokens"] - hit for usage, hit in zip(usages, cached, strict=True)]


async def test_busy_slots_make_it_slower_and_a_full_queue_is_refused(http):
    sleep = ManualSleep()
    async with reference_node(sleep=sleep, slots=2, queue_max=1, beta_ms=10) as (server, url):
        tasks = [asyncio.create_task(ask(http, url, body())) for _ in range(3)]
        await eventually(
            lambda: (server.engine.slots.busy, server.engine.slots.waiting) == (2, 1), within_s=5
        )
        status, error, headers = await ask(http, url, body())
        assert (status, error["error"]["code"], headers["Retry-After"]) == (503, "queue_full", "1")
        assert sleep.asked_ms == [10, 20]
        sleep.wake_all()
        await eventually(lambda: len(sleep.asked_ms) == 3, within_s=5)
        sleep.wake_all()
        assert [(await task)[0] for task in tasks] == [200] * 3


async def test_a_client_that_goes_away_frees_its_slot(http):
    sleep = ManualSleep()
    async with reference_node(sleep=sleep, slots=1) as (server, url):
        gone = asyncio.create_task(ask(http, url, body()))
        waits = asyncio.create_task(ask(http, url, body()))
        await eventually(lambda: server.engine.slots.waiting == 1, within_s=5)
        gone.cancel()
        await eventually(lambda: len(sleep.asked_ms) == 2, within_s=5)
        assert (server.engine.slots.busy, server.engine.slots.waiting) == (1, 0)
        sleep.wake_all()
        assert (await waits)[0] == 200
        await eventually(lambda: server.engine.slots.busy == 0, within_s=5)


async def test_metrics_show_what_runs_waits_and_was_answered(http):
    sleep = ManualSleep()
    async with reference_node(sleep=sleep, slots=1) as (server, url):
        tasks = [asyncio.create_task(ask(http, url, body())) for _ in range(2)]
        await eventually(lambda: server.engine.slots.waiting == 1, within_s=5)
        await ask(http, url, b"{")
        async with http.get(url + "/metrics") as response:
            lines = (await response.text()).splitlines()
        assert "penstock_node_requests_running 1.0" in lines
        assert "penstock_node_requests_waiting 1.0" in lines
        assert 'penstock_node_requests_total{code="400"} 1.0' in lines
        assert "penstock_node_completions_total 0.0" in lines
        assert "penstock_node_cached_tokens_total 0.0" in lines
        sleep.wake_all()
        await eventually(lambda: len(sleep.asked_ms) == 2, within_s=5)
        sleep.wake_all()
        await asyncio.gather(*tasks)


async def test_a_loading_node_says_so_until_it_is_ready(http):
    clock = ManualClock()
    async with reference_node(clock=clock, loading_ms=5_000) as (_, url):
        status, error, _ = await ask(http, url, body())
        assert (status, error["error"]["code"]) == (503, "loading")
        async with http.get(url + "/health") as response:
            assert response.status == 503
        clock.advance(5_000)
        assert (await ask(http, url, body()))[0] == 200


# -- faults --------------------------------------------------------------------------------------------


async def test_a_header_asks_for_a_status(http):
    async with reference_node() as (_, url):
        status, _, headers = await ask(http, url, body(), **{"x-penstock-fault": "status_429"})
    assert (status, headers["Retry-After"]) == (429, "1")


async def test_a_header_asks_for_a_delay(http):
    sleep = ManualSleep()
    async with reference_node(sleep=sleep) as (_, url):
        task = asyncio.create_task(ask(http, url, body(), **{"x-penstock-fault": "delay_250"}))
        await eventually(lambda: sleep.asked_ms == [250], within_s=5)
        sleep.wake_all()
        assert (await task)[0] == 200


@pytest.mark.parametrize(
    ("fault", "content"),
    [
        ("not_json", "Sure! Here is my judgement: it looks fine to me."),
        ("truncated", '{"labels":[{"'),
        ("unknown_label", '{"labels":[{"name":"no_such_label","percent":50}]}'),
    ],
)
async def test_a_header_asks_for_garbage(http, fault, content):
    async with reference_node() as (_, url):
        status, answer, _ = await ask(http, url, body(), **{"x-penstock-fault": fault})
    assert status == 200
    assert answer["choices"][0]["message"]["content"].startswith(content)


@pytest.mark.parametrize("fault", ["drop", "drop_midway"])
async def test_a_header_asks_for_a_broken_connection(http, fault):
    async with reference_node() as (server, url):
        with pytest.raises(aiohttp.ClientError):
            await ask(http, url, body(), **{"x-penstock-fault": fault})
        await eventually(lambda: server.engine.slots.busy == 0, within_s=5)
        assert (await ask(http, url, body()))[0] == 200


async def test_a_hanging_request_keeps_its_slot_until_the_client_gives_up(http):
    async with reference_node() as (server, url):
        task = asyncio.create_task(ask(http, url, body(), **{"x-penstock-fault": "hang"}))
        await eventually(lambda: server.engine.slots.busy == 1, within_s=5)
        task.cancel()
        await eventually(lambda: server.engine.slots.busy == 0, within_s=5)


async def test_a_header_that_cannot_be_read_is_told_so(http):
    async with reference_node() as (_, url):
        status, error, _ = await ask(http, url, body(), **{"x-penstock-fault": "status=503"})
    assert status == 400
    assert "There is no fault status=503" in error["error"]["message"]


async def test_the_header_is_ignored_where_it_is_not_allowed(http):
    async with reference_node(fault_header=False) as (_, url):
        assert (await ask(http, url, body(), **{"x-penstock-fault": "status_500"}))[0] == 200


async def test_faults_by_rate_come_as_their_seed_has_it(http):
    async def statuses(seed: int) -> list[int]:
        async with reference_node(faults="status_500=0.5", seed=seed) as (_, url):
            return [(await ask(http, url, body()))[0] for _ in range(24)]

    first = await statuses(1)
    assert set(first) == {200, 500}
    assert await statuses(1) == first
    assert await statuses(2) != first


# -- starting and stopping -----------------------------------------------------------------------------


async def test_a_taken_port_is_refused_with_a_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=f"127.0.0.1:{port}") as caught:
            await ReferenceServer(ReferenceNodeSettings(port=port)).start()
    assert caught.value.exit_code == ExitCode.TAKEN


@pytest.mark.parametrize(
    "settings",
    [
        ReferenceNodeSettings(faults="quux=1"),
        ReferenceNodeSettings(ssl_cert_file="/nowhere/cert.pem"),
        ReferenceNodeSettings(ssl_cert_file=str(Path(__file__))),
    ],
)
async def test_settings_that_cannot_be_used_are_told_at_the_start(settings):
    with pytest.raises(Failure, match="settings: reference_node") as caught:
        await ReferenceServer(settings).start()
    assert caught.value.exit_code == ExitCode.USAGE


async def test_a_token_is_asked_for_everywhere_but_at_health_and_metrics(http):
    async with reference_node(token=Secret("s3cret")) as (_, url):
        assert (await ask(http, url, body()))[0] == 401
        assert (await ask(http, url, body(), Authorization="Bearer wrong"))[0] == 401
        assert (await ask(http, url, body(), Authorization="Bearer s3cret"))[0] == 200
        async with http.get(url + "/v1/models") as response:
            assert response.status == 401
        async with http.get(url + "/health") as response:
            assert response.status == 200


async def test_a_stop_does_not_wait_for_what_hangs(http):
    async with reference_node() as (server, url):
        task = asyncio.create_task(ask(http, url, body(), **{"x-penstock-fault": "hang"}))
        await eventually(lambda: server.engine.slots.busy == 1, within_s=5)
        async with asyncio.timeout(2):
            await server.stop()
        assert server.engine.slots.busy == 0
        with pytest.raises(aiohttp.ClientError):
            await task
