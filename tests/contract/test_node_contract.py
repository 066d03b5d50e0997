"""The port `Node`, held to its word by both implementations: in memory, and over HTTP on a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import pytest
from deadline import eventually
from nodes import AT_ONCE, EVENTS, POLICY, ManualSleep, http_node, packed, question, reference_node

from infra.nodes.memory import MemoryNode
from infra.nodes.reference.engine import ReferenceEngine
from schemas.event import KINDS, Moderate
from schemas.settings import ReferenceNodeSettings
from streams.clock import SystemClock
from streams.ports import Node, NodeFault, Overloaded, Question, TimedOut


class Case(NamedTuple):
    """A node, and the engine behind it."""

    node: Node
    engine: ReferenceEngine


@asynccontextmanager
async def in_memory(**settings: Any) -> AsyncIterator[Case]:
    parts = {name: settings.pop(name) for name in ("sleep",) if name in settings}
    node = MemoryNode(settings=ReferenceNodeSettings(**{**AT_ONCE, **settings}), **parts)
    yield Case(node, node.engine)
    await node.close()


@asynccontextmanager
async def over_http(**settings: Any) -> AsyncIterator[Case]:
    async with reference_node(**settings) as (server, url), http_node(url, name="memory") as node:
        yield Case(node, server.engine)


Opened = Callable[..., AbstractAsyncContextManager[Case]]


@pytest.fixture(params=[in_memory, over_http])
def opened(request: pytest.FixtureRequest) -> Opened:
    return request.param


async def test_a_node_has_a_name_and_slots(opened: Opened):
    async with opened() as (node, _):
        assert node.name == "memory"
        assert node.slots == 8


async def test_a_node_that_was_probed_says_which_model_answers(opened: Opened):
    async with opened() as (node, _):
        await node.probe()
        said, asks = node.model, node.asks
        answer = await node.judge(question("What a lovely day"))
    assert answer.model == said == "penstock-reference-1"
    assert (answer.asked or answer.model) in asks, "under which an answer is looked up"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_node_answers_a_question_of_every_kind(opened: Opened, kind):
    async with opened() as (node, _):
        answer = await node.judge(Question(EVENTS[kind], POLICY))
    names = [label.name for label in answer.labels]
    assert names == {"moderate": ["violence"], "scan": ["spam"]}.get(kind, [])
    assert (answer.result is None) == (kind in {"moderate", "scan"})
    assert 0 <= answer.confidence <= 1
    assert answer.model == "penstock-reference-1"
    assert answer.prompt_tokens > answer.output_tokens > 0


@pytest.mark.parametrize("text", ["\x00", '"}]}', "a\u2028b\ufeff", "🙂" * 500, "\\u0000", "x" * 60_000])
async def test_no_content_breaks_a_question(opened: Opened, text):
    async with opened() as (node, _):
        answer = await node.judge(question(text))
    assert answer.labels == ()


async def test_harmless_text_gets_no_label_and_some_confidence(opened: Opened):
    async with opened() as (node, _):
        answer = await node.judge(question("What a lovely day"))
    assert (answer.labels, answer.confidence > 0.9) == ((), True)


async def test_the_same_question_gets_the_same_answer_and_a_cached_prefix(opened: Opened):
    async with opened() as (node, _):
        first, second = [await node.judge(question()) for _ in range(2)]
    assert first.labels == second.labels
    assert (first.cached_tokens, second.cached_tokens > 0) == (0, True)


async def test_a_full_node_is_overloaded(opened: Opened):
    sleep = ManualSleep()
    async with opened(slots=1, queue_max=0, sleep=sleep) as (node, engine):
        served = asyncio.create_task(node.judge(question()))
        await eventually(lambda: engine.slots.busy == 1, within_s=5)
        with pytest.raises(Overloaded):
            await node.judge(question())
        sleep.wake_all()
        assert (await served).labels


async def test_a_deadline_ends_the_waiting_and_frees_the_slot(opened: Opened):
    async with opened(sleep=ManualSleep()) as (node, engine):
        with pytest.raises(TimedOut):
            await node.judge(question(deadline_ms=SystemClock().now_ms() + 50))
        await eventually(lambda: engine.slots.busy == 0, within_s=5)


async def test_a_deadline_that_has_passed_asks_nothing(opened: Opened):
    sleep = ManualSleep()
    async with opened(sleep=sleep) as (node, _):
        with pytest.raises(TimedOut, match="not asked"):
            await node.judge(question(deadline_ms=SystemClock().now_ms() - 1))
    assert sleep.asked_ms == []


async def test_cancelling_a_question_frees_the_slot_for_the_next(opened: Opened):
    sleep = ManualSleep()
    async with opened(slots=1, sleep=sleep) as (node, engine):
        cancelled = asyncio.create_task(node.judge(question()))
        await eventually(lambda: len(sleep.asked_ms) == 1, within_s=5)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await eventually(lambda: engine.slots.busy == 0, within_s=5)
        following = asyncio.create_task(node.judge(question()))
        await eventually(lambda: len(sleep.asked_ms) == 2, within_s=5)
        sleep.wake_all()
        assert (await following).labels


async def test_many_questions_at_once_are_all_answered(opened: Opened):
    texts = [f"{'buy cheap followers' if n % 3 == 0 else 'hello'} {n}" for n in range(60)]
    async with opened(slots=4) as (node, engine):
        answers = await asyncio.gather(*(node.judge(question(text)) for text in texts))
        assert (engine.slots.busy, engine.slots.waiting) == (0, 0)
    assert len(answers) == 60
    assert [bool(answer.labels) for answer in answers] == [n % 3 == 0 for n in range(60)]


POSTS = ("I will kill you", "What a lovely day", "buy cheap followers", "\x00", '"}]}', "a\u2028b\ufeff\\")


async def test_each_post_of_a_pack_gets_the_answer_that_it_gets_alone(opened: Opened):
    async with opened() as (node, _):
        together = (await node.judge_pack(packed(*POSTS))).answers
        alone = [await node.judge(question(text)) for text in POSTS]
    assert [[label.name for label in answer.labels] for answer in alone[:3]] == [["violence"], [], ["spam"]]
    assert [(answer.labels, answer.confidence) for answer in together] == [
        (answer.labels, answer.confidence) for answer in alone
    ]


async def test_a_pack_costs_fewer_tokens_than_its_posts_alone(opened: Opened):
    async with opened() as (node, _):
        together = (await node.judge_pack(packed(*["What a lovely day"] * 8))).answers
        alone = await node.judge(question("What a lovely day"))
    assert sum(answer.output_tokens for answer in together) < 8 * alone.output_tokens
    assert 0 < sum(answer.prompt_tokens for answer in together) < 8 * alone.prompt_tokens


async def test_packs_begin_with_a_cached_prefix(opened: Opened):
    async with opened() as (node, _):
        first, second = [
            (await node.judge_pack(packed("hi", "ho", entropy=bytes([number] * 32)))).answers[0]
            for number in range(2)
        ]
    assert (first.cached_tokens, second.cached_tokens > 0) == (0, True)


async def test_a_pack_takes_one_slot_and_a_cancelled_one_gives_it_back(opened: Opened):
    sleep = ManualSleep()
    async with opened(sleep=sleep) as (node, engine):
        cancelled = asyncio.create_task(node.judge_pack(packed(*POSTS)))
        await eventually(lambda: engine.slots.busy == 1, within_s=5)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await eventually(lambda: engine.slots.busy == 0, within_s=5)
    assert len(sleep.asked_ms) == 1


async def test_a_deadline_ends_the_waiting_for_a_pack(opened: Opened):
    async with opened(sleep=ManualSleep()) as (node, engine):
        with pytest.raises(TimedOut):
            await node.judge_pack(packed(*POSTS, deadline_ms=SystemClock().now_ms() + 50))
        with pytest.raises(TimedOut, match="not asked"):
            await node.judge_pack(packed(*POSTS, deadline_ms=SystemClock().now_ms() - 1))
        await eventually(lambda: engine.slots.busy == 0, within_s=5)


async def test_a_full_node_refuses_a_pack_as_it_refuses_a_question(opened: Opened):
    async with opened(slots=1, queue_max=0, sleep=ManualSleep()) as (node, engine):
        held = asyncio.create_task(node.judge(question()))
        await eventually(lambda: engine.slots.busy == 1, within_s=5)
        with pytest.raises(Overloaded):
            await node.judge_pack(packed(*POSTS))
        held.cancel()
        await asyncio.wait([held])


async def test_a_probe_of_a_node_that_is_up_says_nothing(opened: Opened):
    async with opened() as (node, _):
        await node.probe()


async def test_every_fault_is_a_node_fault_with_a_code(opened: Opened):
    event = Moderate(v=1, id="1", text="hi")
    async with opened(slots=1, queue_max=0, sleep=ManualSleep()) as (node, engine):
        held = asyncio.create_task(node.judge(Question(event, POLICY)))
        await eventually(lambda: engine.slots.busy == 1, within_s=5)
        with pytest.raises(NodeFault) as caught:
            await node.judge(Question(event, POLICY))
        assert caught.value.code == "node_overloaded"
        held.cancel()
        await asyncio.wait([held])
