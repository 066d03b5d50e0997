"""The judge over a node that is declared sequential: packs on their way from records to verdicts."""

from __future__ import annotations

import asyncio

from judging import POLICIES, post, staged
from msgspec.structs import replace
from stages import TOPICS
from virtual_time import LoopClock, virtual

from infra.nodes.configured import terms_of
from infra.nodes.memory import MemoryNode
from schemas.settings import NodeSettings, ReferenceNodeSettings, Settings
from schemas.wire import decode_pending, encode
from streams.core.sentinels import can_be_watched
from streams.ports import Answer, PackedAnswer, PackedQuestion, Question

SETTINGS = Settings(
    nodes=(NodeSettings(url="http://node", name="memory", kind="penstock", slots=1, sequential=True),)
)
SEQUENTIAL = ReferenceNodeSettings(
    slots=1, alpha_ms=1_000, beta_ms=0, prompt_token_us=100, output_token_us=10_000
)
HARMLESS = "Day {:04} of the trip"
HARMFUL = "On {:04} I will kill you"


class Counting(MemoryNode):
    """The reference node; it keeps how many posts each request held."""

    def __init__(self) -> None:
        super().__init__("memory", SEQUENTIAL, clock=LoopClock())
        self.sizes: list[int] = []

    async def judge(self, question: Question) -> Answer:
        self.sizes.append(1)
        return await super().judge(question)

    async def judge_pack(self, question: PackedQuestion) -> PackedAnswer:
        self.sizes.append(len(question.pack.posts))
        return await super().judge_pack(question)


@virtual
async def test_records_that_were_judged_together_have_the_verdicts_that_they_have_alone():
    active = POLICIES.active("default")
    assert active is not None
    assert can_be_watched(active.policy)
    node = Counting()
    texts = [(HARMFUL if number % 4 == 0 else HARMLESS).format(number) for number in range(60)]
    async with staged(node, terms=terms_of(SETTINGS, "memory")) as stage:
        await stage.put(*[post(f"post-{number}", text) for number, text in enumerate(texts)])
        await stage.settled()
        verdicts = {verdict.id: verdict for verdict in stage.verdicts}
    async with staged(Counting()) as alone:
        await alone.put(*[post(f"post-{number}", text) for number, text in enumerate(texts)])
        await alone.settled()
        expected = {verdict.id: verdict for verdict in alone.verdicts}
    assert len(verdicts) == len(expected) == 60
    for event_id, verdict in verdicts.items():
        other = expected[event_id]
        assert (verdict.action, verdict.labels, verdict.decided_by) == (other.action, other.labels, "model")
    assert len({verdict.action for verdict in verdicts.values()}) > 1
    assert sum(node.sizes) == 60
    assert len(node.sizes) <= 60 / 3


@virtual
async def test_copies_wait_for_one_that_is_in_a_pack_and_what_it_said_is_remembered():
    node = Counting()
    async with staged(node, terms=terms_of(SETTINGS, "memory")) as stage:
        texts = [HARMLESS.format(number % 10) for number in range(30)]
        await stage.put(*[post(f"post-{number}", text) for number, text in enumerate(texts)])
        await stage.settled()
        await stage.put(*[post(f"late-{number}", text) for number, text in enumerate(texts)])
        await stage.settled()
        assert len(stage.verdicts) == 60
    assert sum(node.sizes) == 10
    assert max(node.sizes) >= 4


@virtual
async def test_what_triage_found_to_hide_something_goes_alone():
    node = Counting()
    async with staged(node, terms=terms_of(SETTINGS, "memory")) as stage:
        values = [post(f"post-{number}", HARMLESS.format(number)) for number in range(9)]
        values[5] = encode(replace(decode_pending(values[5]), flags=("invisible",)))
        await stage.put(*values)
        await stage.settled()
        assert len(stage.verdicts) == 9
    assert sorted(node.sizes) == [1, 1, 3, 4]


@virtual
async def test_a_drain_in_the_middle_settles_the_pack_that_is_on_the_node_and_nothing_behind_it():
    node = Counting()
    async with staged(node, terms=terms_of(SETTINGS, "memory")) as stage:
        batch = await stage.put(*[post(f"post-{number}", HARMLESS.format(number)) for number in range(20)])
        await asyncio.sleep(1.5)
        assert node.sizes == [1, 4]
        stage.sharing.begin_drain()
        stage.dispatch.begin_drain()
        await asyncio.sleep(60)
        assert [verdict.id for verdict in stage.verdicts] == [f"post-{number}" for number in range(5)]
        assert stage.partitions.owned[TOPICS.pending("low"), 0].watermark.position == 5
        assert batch is not None
    assert node.sizes == [1, 4]
