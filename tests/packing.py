"""A dispatch over nodes that take packs, for tests: the nodes, who asks, and what became of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from nodes import POLICY
from stages import ANSWER, FakeNode, Step
from virtual_time import LoopClock, now_ms, reaches

from schemas.event import Moderate
from schemas.settings import JudgeSettings
from streams.bundles import Bundle
from streams.core.pack_size import CLEAN_PACKS_TO_GROW
from streams.core.routing import Terms
from streams.dispatch import Dispatch, Job, Judged, Outcome
from streams.ports import Answer, BadAnswer, PackedAnswer, PackedQuestion, Question

PACKS = Terms(takes_packs=True)
SETTINGS = JudgeSettings(attempts_max=3, probe_interval_ms=1_000, pack_recheck_ratio=0.0)
FIXED_MS = 1_000.0
EACH_MS = 100.0


class PackNode(FakeNode):
    """Takes a fixed time and some for each post; a pack with a post that spoils it comes to nothing."""

    def __init__(
        self,
        *script: Step,
        name: str = "a",
        slots: int = 1,
        spoils: Callable[[str], bool] = lambda _: False,
        unusable: Callable[[str], bool] = lambda _: False,
        answer: Answer = ANSWER,
    ) -> None:
        super().__init__(*script, name=name, slots=slots, takes_ms=FIXED_MS + EACH_MS)
        self.spoils = spoils
        self.unusable = unusable
        self.answer = answer
        self.pack_script: list[Step] = []
        self.requests: list[tuple[float, tuple[str, ...]]] = []

    async def judge(self, question: Question) -> Answer:
        assert isinstance(question.event, Moderate)
        self.requests.append((now_ms(), (question.event.text,)))
        self.takes_ms = FIXED_MS + EACH_MS
        return await super().judge(question)

    async def judge_pack(self, question: PackedQuestion) -> PackedAnswer:
        texts = texts_of(question)
        self.requests.append((now_ms(), texts))
        step = self.pack_script.pop(0) if self.pack_script else None
        self.busy += 1
        try:
            await asyncio.sleep((FIXED_MS + EACH_MS * (len(texts) + 2)) / 1_000)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.busy -= 1
        if step is not None:
            raise step
        if any(map(self.spoils, texts)):
            raise BadAnswer("spoilt")
        return PackedAnswer(tuple(None if self.unusable(text) else self.answer for text in texts))

    @property
    def sizes(self) -> list[int]:
        return [len(texts) for _, texts in self.requests]


def texts_of(question: PackedQuestion) -> tuple[str, ...]:
    """Give the posts of a pack in their order."""
    shown = {slot.id: json.loads(slot.document)["text"] for slot in question.pack.slots}
    return tuple(shown[name] for name in question.pack.posts)


def day(number: int) -> str:
    """Give a post that may stand beside others."""
    return f"Today is day {number:04} of the trip"


class Asker:
    """Submits posts, and keeps what became of each, by its text."""

    def __init__(self, dispatch: Dispatch) -> None:
        self.dispatch = dispatch
        self.jobs: dict[str, Job] = {}
        self.outcomes: dict[str, Outcome | None] = {}
        self.after_ms: dict[str, float] = {}
        self.is_wanted = True

    def ask(self, *texts: str, lane: int = 2, within_ms: float | None = None, **event: Any) -> None:
        began_ms = now_ms()
        for text in texts:
            deadline_ms = None if within_ms is None else began_ms + within_ms
            self.jobs[text] = Job(
                question=Question(Moderate(v=1, id=text, text=text, **event), POLICY, deadline_ms),
                lane=lane,
                arrived_ms=began_ms,
                done=lambda outcome, text=text: self._end(text, outcome, began_ms),
                is_wanted=lambda: self.is_wanted,
                give_up=lambda text=text: self._end(text, None, began_ms),
                offset=len(self.jobs),
            )
            self.dispatch.submit(self.jobs[text])

    def ask_days(self, count: int, **how: Any) -> list[str]:
        first = len(self.jobs)
        texts = [day(first + number) for number in range(count)]
        self.ask(*texts, **how)
        return texts

    def _end(self, text: str, outcome: Outcome | None, began_ms: float) -> None:
        assert text not in self.outcomes, "each job has exactly one end"
        self.outcomes[text] = outcome
        self.after_ms[text] = now_ms() - began_ms

    @property
    def are_judged(self) -> bool:
        return all(isinstance(outcome, Judged) for outcome in self.outcomes.values())

    async def all_ended(self) -> None:
        await reaches(lambda: len(self.outcomes) == len(self.jobs))


@asynccontextmanager
async def asking(
    *nodes: Any, judge: JudgeSettings = SETTINGS, terms: dict[str, Terms] | None = None
) -> AsyncIterator[Asker]:
    """Run a dispatch; all nodes take packs but those for which `terms` says otherwise."""
    known = terms or {}
    numbers = iter(range(10**9))
    dispatch = Dispatch(
        nodes,
        lambda: judge,
        LoopClock(),
        terms=lambda name: known.get(name, PACKS),
        chance=lambda: 0.5,
        entropy=lambda size: next(numbers).to_bytes(size, "big"),
    )
    await dispatch.start()
    try:
        yield Asker(dispatch)
    finally:
        await dispatch.stop()


async def grown(asker: Asker, size: int = 8) -> None:
    """Let packs be as large as they may be, what they take be known, and the node be idle."""
    asker.ask_days(size + 1)
    await asker.all_ended()
    bundle = Bundle((asker.jobs[day(0)],))
    for _ in range(size * CLEAN_PACKS_TO_GROW):
        asker.dispatch.packs.answered("a", bundle, PackedAnswer((ANSWER,)))
    await asyncio.sleep(60)
