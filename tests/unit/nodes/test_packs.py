"""The reference node's answers about several posts: what it gets wrong on purpose, and how long it takes."""

from __future__ import annotations

import msgspec
import pytest
from nodes import AT_ONCE, POLICY, http_node, packed, question, reference_node

from infra.bench.packing_suite.nodes import SORTS, Sizes, best_ms, request_ms
from infra.bench.packing_suite.runs import dispatching, harmless, sizes
from infra.bench.virtual import VirtualClock, simulate
from infra.nodes.memory import MemoryNode
from infra.nodes.reference import chat
from infra.nodes.reference.chat import BadRequest
from infra.nodes.reference.engine import ReferenceEngine
from infra.nodes.templates import TEMPLATES_MAX, Templates
from schemas.policy import Policy
from schemas.settings import ReferenceNodeSettings
from streams.core.packed_questions import packed_prompt_for
from streams.core.tokens import estimated_message_tokens
from streams.ports import BadAnswer

POSTS = ("What a lovely day", "My tomatoes are ripe", "See you on Friday")


def request(*texts: str) -> chat.ChatRequest:
    return chat.decode(packed_prompt_for(POLICY, "moderate", "").body(packed(*texts).pack))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("missing_id", "missing_id"),
        ("doubled_id", "doubled_id"),
        ("foreign_id", "foreign_id"),
        ("mixed_ids", "wrong_sentinel"),
        ("not_json", "not_json"),
        ("truncated", "not_json"),
        ("unknown_label", "foreign_id"),
    ],
)
async def test_ids_that_are_mixed_up_on_purpose_discard_the_pack(fault, code):
    async with reference_node(faults=f"{fault}=1") as (_, url), http_node(url) as node:
        with pytest.raises(BadAnswer, match=f"discarded: {code}"):
            await node.judge_pack(packed(*POSTS))


async def test_a_single_post_has_no_ids_to_mix_up():
    async with reference_node(faults="mixed_ids=1") as (_, url), http_node(url) as node:
        assert (await node.judge(question())).labels


async def test_a_pack_takes_a_fixed_part_and_a_part_for_each_token():
    slept: list[float] = []

    async def sleep(ms: float) -> None:
        slept.append(ms)

    settings = ReferenceNodeSettings(
        slots=1, alpha_ms=30, beta_ms=0, prompt_token_us=1_000, output_token_us=15_000, cached_prefixes_max=8
    )
    engine = ReferenceEngine(settings, sleep)
    asked = request(*POSTS)
    completions = [await engine.complete(asked) for _ in range(2)]
    # 6 tokens for each of five slots with one label, and one that begins the object.
    assert [len(completion.pieces) for completion in completions] == [31, 31]
    output_ms = 15.0 * len(completions[0].pieces)
    user_tokens = estimated_message_tokens(asked.content)
    system_tokens = estimated_message_tokens(asked.system)
    assert slept[0] == pytest.approx(30 + output_ms + user_tokens + system_tokens)
    assert slept[1] == pytest.approx(30 + output_ms + user_tokens)


async def test_a_schema_with_other_ids_than_the_posts_is_refused():
    asked = request(*POSTS)
    other = request("What", "else")
    mixed = msgspec.structs.replace(asked, response_format=other.response_format)
    with pytest.raises(BadRequest, match="ids of the posts"):
        await ReferenceEngine(ReferenceNodeSettings(**AT_ONCE)).complete(mixed)


async def test_a_message_that_is_no_list_of_posts_is_refused():
    asked = request(*POSTS)
    messages = [asked.messages[0], chat.Message(role="user", content="hello")]
    with pytest.raises(BadRequest, match="list of posts"):
        await ReferenceEngine(ReferenceNodeSettings(**AT_ONCE)).complete(
            msgspec.structs.replace(asked, messages=messages)
        )


async def test_the_memory_node_fails_at_packs_as_it_was_told_to():
    node = MemoryNode()
    node.failing = BadAnswer("told to")
    with pytest.raises(BadAnswer, match="told to"):
        await node.judge_pack(packed(*POSTS))


def test_prepared_requests_are_made_once_and_the_oldest_given_up():
    made: list[str] = []

    def make(policy: Policy, kind: str, model: str) -> str:
        made.append(policy.id)
        return f"{policy.id} {kind} {model}"

    templates = Templates(make)
    policies = [
        Policy(id=f"p{number}", version=1, labels=POLICY.labels, prompts=POLICY.prompts)
        for number in range(TEMPLATES_MAX + 1)
    ]
    for policy in (*policies, policies[-1]):
        assert templates.of(policy, "scan", "m") == f"{policy.id} scan m"
    assert len(made) == TEMPLATES_MAX + 1
    assert len(templates) == TEMPLATES_MAX
    templates.of(policies[0], "scan", "m")
    assert made[-1] == "p0"


@pytest.mark.parametrize("sort", SORTS, ids=lambda sort: sort.name)
def test_the_benchs_ideal_is_what_the_node_takes(sort):
    questions = harmless()
    hold = sizes(questions)

    async def took_ms(size: int) -> float:
        node = MemoryNode(settings=sort.settings, clock=VirtualClock())
        async with dispatching(node, questions[:size], size, is_forced=True) as ground:
            # The first finds no prefix cached.
            await ground.all_ms()
            return await ground.all_ms()

    for size in (1, 2, 8, 10):
        ideal_ms = request_ms(sort, hold, size, is_packed=size > 1)
        assert simulate(took_ms(size)) == pytest.approx(ideal_ms, rel=0.05)


@pytest.mark.parametrize("sort", SORTS, ids=lambda sort: sort.name)
def test_the_best_way_to_part_ten_posts_is_no_worse_than_any_one_way(sort):
    hold = Sizes("s" * 3_000, "s" * 3_400, '{"text":"hello there"}', '{"id":"abcde","post":{"text":"hello"}}')
    best = [best_ms(sort, hold, 10, size) for size in (1, 2, 4, 8, 10)]
    assert best == sorted(best, reverse=True)
    assert best[0] == pytest.approx(10 * request_ms(sort, hold, 1, is_packed=False))
    assert best[-1] <= request_ms(sort, hold, 10, is_packed=True)
