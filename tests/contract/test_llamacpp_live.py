"""A real llama.cpp server, started by `penstock node --gguf`, asked by our client: the wire as it is."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from deadline import eventually, until
from nodes import EVENTS, POLICY, http_node, question
from tiny_model import write_tiny_model

from infra.nodes.client import HttpNode
from schemas.event import KINDS, Moderate
from schemas.settings import Secret
from streams.clock import SystemClock
from streams.core.answers import names_offered
from streams.core.pacing import EngineLoad
from streams.core.questions import system_prompt
from streams.ports import Answer, BadAnswer, Misconfigured, Question, TimedOut

SLOTS = 2
TOKEN = "s3cret"
LABELS = tuple(label.name for label in POLICY.labels)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a llama.cpp server with the tiny model and two slots."""
    folder = tmp_path_factory.mktemp("llama")
    model = write_tiny_model(folder / "tiny.gguf")
    words = ["--gguf", str(model), "--slots", str(SLOTS), "--threads", "1", "--port", "0"]
    command = [sys.executable, "-m", "infra.cli", "node", "--data-dir", str(folder), *words]
    environment = {**os.environ, "PENSTOCK__REFERENCE_NODE__TOKEN": TOKEN}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    told = folder / "run" / "node.json"
    try:
        until(lambda: told.exists() or process.poll() is not None, within_s=60)
        assert process.poll() is None, process.stderr.read()
        address = json.loads(told.read_text())
        assert address["kind"] == "llamacpp"
        yield address["url"]
        process.terminate()
        out, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")
        assert out.startswith(f"node at {address['url']}; {model}, 2 slots of 8192 tokens")
    finally:
        process.kill()
        process.communicate()


async def is_running(node: HttpNode, requests: int) -> bool:
    load = await node.load()
    return load is not None and load.running == requests


async def answered(node: HttpNode, asked: Question) -> Answer | BadAnswer:
    try:
        return await node.judge(asked)
    except BadAnswer as fault:
        return fault


def asked_at(url: str, **settings: Any):
    return http_node(url, **{"kind": "llamacpp", "slots": SLOTS, "token": Secret(TOKEN), **settings})


@pytest.mark.parametrize("kind", KINDS)
async def test_a_model_that_knows_nothing_is_held_to_the_schema_of_every_kind(llama: str, kind):
    # With weights drawn by chance an answer is whatever the grammar allows. That is what we can read, but
    # for the same label twice, and blanks up to the limit of tokens.
    async with asked_at(llama) as node:
        answer = await answered(node, Question(EVENTS[kind], POLICY))
    if isinstance(answer, Answer):
        assert {label.name for label in answer.labels} <= set(names_offered(kind, LABELS))
        assert answer.model == "tiny"
        assert min(answer.prompt_tokens, answer.output_tokens) > 0
        # It would not have written JSON of its own accord, and its probabilities say so.
        assert answer.mass < 0.9 or kind not in {"moderate", "scan", "review_ban"}
    else:
        assert any(words in str(answer) for words in ("repeated_name", "cut off", "`none` beside"))


async def test_a_second_question_finds_the_prompt_in_the_cache(llama: str):
    def cached() -> float:
        figures = httpx.get(f"{llama}/metrics", headers={"authorization": f"Bearer {TOKEN}"}, timeout=10).text
        return float(re.search(r"^llamacpp:prompt_tokens_cached_total (\S+)$", figures, re.MULTILINE)[1])

    async with asked_at(llama) as node:
        await answered(node, question("one"))
        before = cached()
        await answered(node, question("two"))
    # A byte is a token: all of the system prompt was there.
    assert cached() - before >= len(system_prompt(POLICY, "moderate", "names"))


async def test_a_text_longer_than_the_context_is_judged_in_windows(llama: str):
    # A byte is a token here, so that the first windows are refused and narrowed until they fit.
    async with asked_at(llama, confidence="words") as node:
        answer = await answered(node, Question(Moderate(v=1, id="1", text="x" * 60_000), POLICY))
    if isinstance(answer, Answer):
        assert 0.1 < answer.coverage < 0.5


async def test_a_wrong_token_is_a_matter_of_settings(llama: str):
    async with asked_at(llama, token=Secret("wrong"), model="tiny") as node:
        with pytest.raises(Misconfigured):
            await node.judge(question())


async def test_it_says_that_it_is_well_and_what_it_runs(llama: str):
    async with asked_at(llama) as node:
        await node.probe()
        assert node.model == "tiny"
        assert await node.load() == EngineLoad(running=0, waiting=0, slots=SLOTS)


async def test_giving_up_a_question_frees_its_slot(llama: str):
    """The connection closes, and the server stops writing for nobody."""
    async with asked_at(llama, slots=1) as node:
        # 7,000 tokens to read before the first is written, and 300 to write: seconds, unless it is cut short.
        long = asyncio.create_task(node.judge(question("y" * 6_000)))
        await eventually(lambda: is_running(node, 1), within_s=10)
        long.cancel()
        with pytest.raises(asyncio.CancelledError):
            await long
        await eventually(lambda: is_running(node, 0), within_s=10)


async def test_a_deadline_ends_a_question_as_well(llama: str):
    async with asked_at(llama) as node:
        with pytest.raises(TimedOut):
            await node.judge(question("z" * 7_000, deadline_ms=SystemClock().now_ms() + 30))
