"""What packing costs us: requests for a post that spoils its pack, processor time for one that does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

from infra.bench.measuring import Timed, cpu_us_per_event
from infra.bench.packing_suite.runs import dispatching, harmless
from infra.bench.report import Finding
from infra.bench.virtual import simulate
from schemas.event import Moderate
from streams.core.bisecting import extra_requests_max
from streams.core.packed_questions import packed_prompt_for
from streams.core.packing import Believed, make_pack, read_pack
from streams.ports import Answer, BadAnswer, PackedAnswer, PackedQuestion, Question

_PACKS = 200
_SIZE = 8


class _Spoilt:
    """A node that answers at once, but about no pack that holds one post."""

    name = model = "spoilt"
    asks = (model,)
    slots = 1

    def __init__(self, culprit: Question) -> None:
        self.requests = 0
        if not isinstance(culprit.event, Moderate):
            raise TypeError("posts are spoilt by posts")
        self._culprit = json.dumps(culprit.event.text)

    async def judge(self, question: Question) -> Answer:  # noqa: ARG002 - it thinks nothing of it
        self.requests += 1
        return Answer((), 1.0, self.name)

    async def judge_pack(self, question: PackedQuestion) -> PackedAnswer:
        self.requests += 1
        await asyncio.sleep(0)
        if any(self._culprit in slot.document for slot in question.pack.slots):
            raise BadAnswer("spoilt")
        return PackedAnswer((Answer((), 1.0, self.name),) * len(question.pack.posts))

    async def probe(self) -> None:
        """It is well."""

    async def close(self) -> None:
        """There is nothing to give back."""


def run() -> Iterable[Finding]:
    """Posts through packs of eight."""
    most = max(simulate(_requests_with(culprit)) for culprit in range(_SIZE)) - 1
    target = extra_requests_max(_SIZE)
    yield Finding(what="extra requests, one spoiling 8", ours=most, unit="requests", target=target)
    spent = cpu_us_per_event({"packs": _prepared}, rounds=5)["packs"]
    yield Finding(what="our CPU for what a packed post says", ours=spent, unit="us")


async def _requests_with(culprit: int) -> int:
    """How many requests eight posts take of which one spoils each pack that holds it."""
    questions = harmless()[:_SIZE]
    node = _Spoilt(questions[culprit])
    async with dispatching(node, questions, _SIZE) as ground:
        await ground.all_ms()
    return node.requests


def _prepared() -> Timed:
    questions = harmless()[:_SIZE]
    policy = questions[0].policy
    events = [question.event for question in questions]
    template = packed_prompt_for(policy, "moderate", "")

    def timed() -> int:
        posts = 0
        for number in range(_PACKS):
            pack = make_pack(events, policy, number.to_bytes(32, "big"))
            if pack is None:
                raise AssertionError("the default policy has sentinels")
            template.body(pack)
            said = {name: ["none", 99] for name in pack.ids}
            for name, sentinel in pack.sentinels:
                if sentinel.expected:
                    said[name] = [min(sentinel.expected), 99]
            if isinstance(read_pack(pack, template.names, json.dumps(said)), Believed):
                posts += len(pack.posts)
        return posts

    return timed
