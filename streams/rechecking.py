"""Packed posts that are judged a second time, alone: what tells whether packs are good enough.

Their answers change no verdict; they only make packs smaller (`core.pack_size`). They wait in the least
urgent lane, are given up with whatever waits there, and are bounded in number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from streams.core.lanes import LANES
from streams.jobs import Job, Judged, Outcome
from streams.packs import Packs
from streams.ports import Answer, Clock

RECHECKS_MAX = 32
"""One in a hundred packed posts: more than these at once would wait for longer than they are worth."""


class Rechecks:
    """Those under way."""

    def __init__(self, packs: Packs[Job], clock: Clock, submit: Callable[[Job], None]) -> None:
        self._packs = packs
        self._clock = clock
        self._submit = submit
        self._open = 0

    def __repr__(self) -> str:
        return f"<Rechecks {self._open} under way>"

    def again(self, node: str, job: Job, packed: Answer) -> None:
        """Ask about a post of a pack once more, as if nothing had been said about it yet."""
        if self._open >= RECHECKS_MAX:
            return
        self._open += 1
        self._submit(
            Job(
                question=replace(job.question, deadline_ms=None, traceparent="", priority=None),
                lane=LANES - 1,
                arrived_ms=self._clock.now_ms(),
                done=partial(self._ended, node, job, packed),
                is_wanted=lambda: True,
                give_up=self._gone,
                is_apart=True,
            )
        )

    def _ended(self, node: str, job: Job, packed: Answer, outcome: Outcome) -> None:
        self._gone()
        # Another model may think otherwise of a post, packed or not.
        if isinstance(outcome, Judged) and outcome.answer.model == packed.model:
            self._packs.compared(node, job, packed, outcome.answer, self._clock.now_ms())

    def _gone(self) -> None:
        self._open -= 1
