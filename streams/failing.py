"""The one place where a stage's exceptions end: tried again record by record, condemned, or the worker stops.

Nothing here acknowledges anything: a record that is condemned is settled when its dead letter is confirmed,
and one that is given up will be delivered again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from streams.cancelling import times_cancelled
from streams.core.failing import Again, Hopeless, Patience, TooMany, Trial, pause_ms, weigh
from streams.core.pausing import Pausing
from streams.partitions import Batch, Partitions
from streams.ports import Record
from streams.turns import ByAndBy

T = TypeVar("T")

_MINUTE_MS = 60_000.0
# Those whose pauses end so close together are tried in one round: a round weighs all that failed at a step.
_TOGETHER_MS = 20.0


class CrashLoop(Exception):
    """A stage fails at everything, or at too much, however often it is tried.

    `condemned` became dead letters within a minute, where others pass.
    """

    def __init__(
        self, stage: str, bug: Exception, records: int, tries: int, *, condemned: int | None = None
    ) -> None:
        many = f"all of {records}" if condemned is None else f"{records}"
        others = (
            ""
            if condemned is None
            else f", though others pass; {condemned} became dead letters within a minute, and no more may"
        )
        super().__init__(
            f"{stage} failed at {many} records, {tries} times in a row{others}: {type(bug).__name__}"
        )


class Cancelled(Exception):
    """What a stage awaited was cancelled, and nobody had cancelled the stage: a bug like others."""


@dataclass(slots=True, eq=False)
class _Step:
    """One thing that a stage does with each record: what another step shows says nothing about it."""

    passed: int = 0
    unwitnessed: int = 0
    """Condemned since one passed."""
    condemned_at_ms: deque[float] = field(default_factory=deque)
    """When the last ones were condemned."""

    def condemned_since(self, since_ms: float) -> int:
        """How many were condemned since then; those before are forgotten."""
        while self.condemned_at_ms and self.condemned_at_ms[0] < since_ms:
            self.condemned_at_ms.popleft()
        return len(self.condemned_at_ms)


@dataclass(slots=True, eq=False)
class _Suspect:
    """A record at which a step has failed."""

    step: _Step
    batch: Batch
    record: Record
    again: Callable[[], Awaitable[None]]
    bug: Exception
    passed_before: int
    tries: int = 1
    is_witnessed: bool = False
    """Whether it has failed, another has passed, and it has failed again."""

    def failed_again(self, bug: Exception) -> None:
        self.bug = bug
        self.tries += 1
        self.is_witnessed = self.step.passed > self.passed_before


class Failing:
    """What becomes of the records of one stage at which it fails.

    They are tried again beside the work on others, which goes on: others that pass are the evidence.
    """

    def __init__(
        self,
        partitions: Partitions,
        *,
        condemn: Callable[[Batch, Record, Exception], None],
        stop_worker: Callable[[Exception], None],
        patience: Patience | None = None,
    ) -> None:
        self.clock = partitions.clock
        self._partitions = partitions
        self._condemn = condemn
        self._stop_worker = stop_worker
        self._patience = patience or Patience()
        self._steps: defaultdict[str, _Step] = defaultdict(_Step)
        self._suspects: dict[_Suspect, None] = {}  # As a set that keeps its order.
        self._pausing: Pausing[_Suspect] = Pausing()  # The same; who was condemned may still stand there.
        self._came = asyncio.Event()
        self._given_up: ByAndBy[_Suspect] = ByAndBy(_abandon)
        self._retrying: asyncio.Task[None] | None = None
        partitions.on_drain.append(self._give_up)

    def __repr__(self) -> str:
        return f"<Failing {self._partitions.stage} | {len(self._suspects)} tried again>"

    def passed(self, step: str) -> None:
        """A step has worked on a record: whoever fails at the same step may be to blame himself."""
        known = self._steps[step]
        known.passed += 1
        known.unwitnessed = 0

    def attempt(
        self,
        step: str,
        batch: Batch,
        record: Record,
        work: Callable[..., T],
        *args: Any,
        again: Callable[[Batch, Record], object] | None = None,
    ) -> T | None:
        """Work on a record. Where that raises, the same, or `again`, is tried later, and this is None."""
        try:
            return work(*args)
        except (Exception, asyncio.CancelledError) as bug:  # noqa: BLE001 - whatever a stage raises ends here
            # Nobody can cancel what does not wait: it asked for what somebody else has cancelled.
            later = partial(again, batch, record) if again else partial(work, *args)
            self._suspect(step, batch, record, partial(_awaited, later), _as_bug(bug))
            return None

    async def handle(self, batch: Batch, handle: Callable[[Batch], Awaitable[None]]) -> None:
        """Let a stage work on a batch. Where it raises, it gets the records again, each by itself.

        So it must raise before it has handed anything of the batch on, or not at all.
        """
        before = times_cancelled()
        try:
            await handle(batch)
        except (Exception, asyncio.CancelledError) as bug:
            if times_cancelled() > before:
                # The agent itself is stopped.
                raise
            for record in batch.records:
                again = partial(self._alone, batch.part((record,)), handle)
                self._suspect("batch", batch, record, again, _as_bug(bug))
        else:
            self.passed("batch")

    async def _alone(self, part: Batch, handle: Callable[[Batch], Awaitable[None]]) -> None:
        await handle(part)
        self.passed("batch")

    def _suspect(
        self, step: str, batch: Batch, record: Record, again: Callable[[], Awaitable[None]], bug: Exception
    ) -> None:
        self._partitions.counts.failures += 1
        known = self._steps[step]
        suspect = _Suspect(known, batch, record, again, bug, known.passed)
        self._suspects[suspect] = None
        self._pausing.come(suspect, urgency=self._urgency_of(suspect))
        self._came.set()
        self._begin()

    def _urgency_of(self, suspect: _Suspect) -> int:
        return self._partitions.urgency_of(suspect.record.topic)

    def _begin(self) -> None:
        if self._retrying is None:
            self._retrying = asyncio.ensure_future(self._retry())
            self._retrying.add_done_callback(self._retried)

    def _retried(self, retrying: asyncio.Task[None]) -> None:
        self._retrying = None
        if not retrying.cancelled() and (bug := retrying.exception()) is not None:
            # A bug of ours, or of who condemns. What is unsettled comes again.
            self._give_up()
            self._stop_worker(bug if isinstance(bug, Exception) else RuntimeError(type(bug).__name__))
        if self._suspects:
            # They came between the end of the work and this; or somebody cancelled it, and nobody else would
            # try them.
            self._begin()

    def _give_up(self) -> None:
        """A drain has begun: whoever comes next may have more luck."""
        self._given_up.add(self._suspects)
        self._suspects.clear()
        self._pausing.clear()
        self._came.set()

    # -- trying again ---------------------------------------------------------------------------------------

    async def _retry(self) -> None:
        """Try all again until each has passed or is condemned, or the worker must stop."""
        while self._suspects:
            await self._round()
            await self._pause()

    async def _round(self) -> None:
        """Try those whose pause is over, the most urgent first."""
        tried = []
        # No more than these: who comes meanwhile may go before others, whose turn is in the next round.
        for _ in range(self._pausing.ready(self.clock.now_ms() + _TOGETHER_MS)):
            if (suspect := self._pausing.take()) is not None:
                tried.append(suspect)
                await self._try(suspect)
        self._consequences([suspect for suspect in tried if suspect in self._suspects])

    async def _pause(self) -> None:
        """Wait until the first pause is over, or somebody comes who needs none."""
        self._came.clear()
        wait_ms = self._pausing.wait_ms(self.clock.now_ms())
        if self._suspects and wait_ms:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_ms / 1_000):
                    await self._came.wait()

    async def _try(self, suspect: _Suspect) -> None:
        # Others have their turn after each: this may be thousands.
        await asyncio.sleep(0)
        if suspect not in self._suspects:
            return
        # While it is tried it is nobody's suspect: a drain that begins now waits for its end.
        del self._suspects[suspect]
        has_passed = False
        try:
            has_passed = suspect.batch.is_wanted and await self._passes(suspect)
        finally:
            if not has_passed:
                self._take_back(suspect)

    def _take_back(self, suspect: _Suspect) -> None:
        if suspect.batch.is_wanted:
            self._suspects[suspect] = None
            until_ms = self.clock.now_ms() + pause_ms(suspect.tries, self._patience)
            self._pausing.pause(suspect, urgency=self._urgency_of(suspect), until_ms=until_ms)
        else:
            _abandon(suspect)

    async def _passes(self, suspect: _Suspect) -> bool:
        before = times_cancelled()
        try:
            await suspect.again()
        except (Exception, asyncio.CancelledError) as bug:
            if times_cancelled() > before:
                raise
            self._partitions.counts.failures += 1
            suspect.failed_again(_as_bug(bug))
            return False
        return True

    def _consequences(self, tried: Sequence[_Suspect]) -> None:
        """Condemn, or stop the worker, after a round in which these have failed again."""
        for step in {suspect.step for suspect in tried if self._may_end(suspect)}:
            suspects = [suspect for suspect in self._suspects if suspect.step is step]
            if not self._weigh(step, suspects, frozenset(tried)):
                return
        self._partitions.counts.backoffs += any(suspect in self._suspects for suspect in tried)

    def _may_end(self, suspect: _Suspect) -> bool:
        """Whether it is old enough for anything to be decided: to weigh thousands takes milliseconds."""
        patience = self._patience
        return suspect.tries >= (patience.tries_of_few if suspect.is_witnessed else patience.tries_max)

    def _weigh(self, step: _Step, suspects: Sequence[_Suspect], tried: AbstractSet[_Suspect]) -> bool:
        """Decide about all that have failed at a step; False where the worker must stop."""
        lately = step.condemned_since(self.clock.now_ms() - _MINUTE_MS)
        match weigh(
            [Trial(one.tries, one.is_witnessed, one not in tried) for one in suspects],
            self._patience,
            unwitnessed=step.unwitnessed,
            condemned_lately=lately,
        ):
            case Hopeless():
                self._stop(suspects)
                return False
            case TooMany(condemned):
                self._stop([suspects[position] for position in condemned], condemned=lately)
                return False
            case Again(condemned, unwitnessed):
                step.unwitnessed += unwitnessed
                for position in condemned:
                    self._bury(suspects[position])
        return True

    def _bury(self, suspect: _Suspect) -> None:
        self._condemn(suspect.batch, suspect.record, suspect.bug)
        del self._suspects[suspect]
        suspect.step.condemned_at_ms.append(self.clock.now_ms())
        self._partitions.counts.condemned += 1

    def _stop(self, suspects: Sequence[_Suspect], condemned: int | None = None) -> None:
        """The stage is broken: nothing of this is settled, and the worker ends."""
        worst = max(suspects, key=lambda suspect: suspect.tries)
        self._give_up()
        self._stop_worker(
            CrashLoop(self._partitions.stage, worst.bug, len(suspects), worst.tries, condemned=condemned)
        )


def _as_bug(raised: Exception | asyncio.CancelledError) -> Exception:
    return raised if isinstance(raised, Exception) else Cancelled()


def _abandon(suspect: _Suspect) -> None:
    suspect.batch.abandon((suspect.record.offset,))


async def _awaited(work: Callable[[], object]) -> None:
    work()
