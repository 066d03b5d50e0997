"""Ten posts to one node through the dispatch: one after another, in packs of one size, and as it chooses.

In virtual time, so that what is measured is who goes when and with whom, exactly; requests are built and
answers read as over HTTP. The node has one slot, as a sequential node should.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from infra.bench.packing_suite.nodes import Sizes
from infra.bench.virtual import VirtualClock
from infra.policies import default_policy_path, read
from schemas.event import Moderate
from schemas.policy import Policy
from schemas.settings import JudgeSettings
from streams.bundles import Bundle
from streams.core.pack_size import CLEAN_PACKS_TO_GROW
from streams.core.packing import HOW_TO_ANSWER, make_pack, shown
from streams.core.questions import document_of, prompt_for, rules_of
from streams.core.routing import Terms
from streams.dispatch import Dispatch, Job, Judged, Outcome
from streams.ports import Answer, Clock, Node, PackedAnswer, Question

POSTS = 10
_LANE = 2
_TEXTS = (
    "The new bakery by the station has the best rye bread in town, go early on Saturday",
    "Does anybody know when the library opens again after the works on the roof",
    "We walked up to the castle and saw a kestrel, the children were very pleased",
    "My bike was repaired within an hour and they even cleaned the chain for me",
    "The concert was moved to the big hall because so many people wanted to come",
    "I finally finished the blue scarf that I have been knitting since the winter",
    "Our team lost again but the second half was much better than last week",
    "Three kilos of plums from the garden this morning and still more on the tree",
    "The bus was late today so I read half of my book while waiting in the sun",
    "Thanks for the recipe, the soup was even better on the day after",
)


class Ground:
    """A dispatch over one node, and ten posts to put to it."""

    def __init__(self, dispatch: Dispatch, questions: Sequence[Question], clock: Clock) -> None:
        self._dispatch = dispatch
        self._questions = questions
        self._clock = clock

    async def all_ms(self) -> float:
        """The time of all ten: they wait when the slot is free, as they do behind others."""
        loop = asyncio.get_running_loop()
        began_ms = self._clock.now_ms()
        ended: list[asyncio.Future[Outcome]] = []
        for question in self._questions:
            ended.append(loop.create_future())
            self._dispatch.put_back(job(question, began_ms, ended[-1]))
        self._dispatch.kick()
        _check(await asyncio.gather(*ended))
        return self._clock.now_ms() - began_ms


def job(question: Question, arrived_ms: float, ended: asyncio.Future[Outcome]) -> Job:
    """One post in the lane of medium."""
    return Job(
        question=question,
        lane=_LANE,
        arrived_ms=arrived_ms,
        done=ended.set_result,
        is_wanted=lambda: True,
        give_up=lambda: None if ended.done() else ended.set_exception(AssertionError("a post was given up")),
    )


@asynccontextmanager
async def dispatching(
    node: Node,
    questions: Sequence[Question],
    size: int,
    *,
    is_forced: bool = False,
    single_ms: float = 0.0,
) -> AsyncIterator[Ground]:
    """A dispatch with packs of at most so many, whether that saves time or not if it `is_forced`.

    What a post takes alone it has learned from those that always go so.
    """
    judge = JudgeSettings(pack_size_max=size, pack_recheck_ratio=0)
    clock = VirtualClock()
    terms = Terms(takes_packs=size > 1, is_priced_per_request=is_forced)
    dispatch = Dispatch([node], lambda: judge, clock, terms=lambda _: terms)
    await dispatch.start()
    if size > 1:
        _grow(dispatch, node, questions[0], size)
        if single_ms:
            dispatch.packs.took(node.name, 1, single_ms)
    try:
        yield Ground(dispatch, questions, clock)
    finally:
        await dispatch.stop()


def _grow(dispatch: Dispatch, node: Node, question: Question, size: int) -> None:
    """Packs that have come back clean so often that they are as large as they may be."""
    bundle = Bundle((job(question, 0.0, asyncio.get_running_loop().create_future()),))
    for _ in range(CLEAN_PACKS_TO_GROW * size):
        dispatch.packs.answered(node.name, bundle, PackedAnswer((Answer((), 1.0, ""),)))


def harmless() -> list[Question]:
    """Ten posts of like length, none of which breaks any rule."""
    policy = read(default_policy_path()).policy
    return [Question(Moderate(v=1, id=str(number), text=text), policy) for number, text in enumerate(_TEXTS)]


def sizes(questions: Sequence[Question]) -> Sizes:
    """What the requests hold; a slot is the mean of a pack's."""
    policy: Policy = questions[0].policy
    events = [question.event for question in questions]
    pack = make_pack(events, policy, bytes(32))
    if pack is None:
        raise AssertionError("the default policy has sentinels")
    post = sorted(map(document_of, events), key=len)[len(events) // 2]
    slot = shown(pack)[1:-1][: (len(shown(pack)) - 2) // len(pack.slots)]
    single = prompt_for(policy, "moderate", "").system
    return Sizes(single, f"{rules_of(policy, 'moderate')}\n\n{HOW_TO_ANSWER}", post, slot)


def _check(outcomes: Sequence[Outcome]) -> None:
    """What is measured must have been right: all of these posts are harmless."""
    if not all(isinstance(outcome, Judged) and not outcome.answer.labels for outcome in outcomes):
        raise AssertionError("a harmless post was not answered, or not as harmless")
