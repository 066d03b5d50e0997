"""The watchdog: tells once of what stands still, or of Kafka that is away, and when it is back.

It also sends to the tail what waits for too long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mode import Service

from schemas.settings import EngineSettings
from streams.core.watching import Finding, Patience, examine
from streams.dispatch import Dispatch
from streams.observing import AWAY_AFTER_MS, PartitionStatus, Tally
from streams.partitions import Partitions, TopicPartition

# Often enough to tell within a tenth of the shortest patience that the settings allow.
_LOOK_EVERY_S = 0.5
_SENTENCES: dict[Finding, str] = {
    "held": "held, because no node would take a question: %s",
    "stuck": "stuck: %s",
    "expiring": "half of the retention is over for what is unsettled: %s",
}


class Watchdog(Service):
    """Looks at all partitions of a worker."""

    abstract = False
    mundane_level = "debug"

    def __init__(
        self,
        stages: Callable[[], Iterable[Partitions]],
        dispatch: Dispatch,
        settings: Callable[[], EngineSettings],
        retention_ms: float,
        tally: Tally,
    ) -> None:
        super().__init__()
        self._stages = stages
        self._dispatch = dispatch
        self._settings = settings
        self._retention_ms = retention_ms
        self._tally = tally
        self._told: dict[TopicPartition, Finding] = {}
        self._away_ms = 0.0
        """For how long Kafka was away at the last look; 0 where it was not."""

    @Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            await self.sleep(_LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Look once: tell what is new, and forget what is well again."""
        self._dispatch.release_overdue()
        self._look_for_kafka()
        patience = Patience(self._settings().stuck_after_s * 1_000, self._retention_ms)
        found: dict[TopicPartition, Finding] = {}
        for stage in self._stages():
            is_held = stage.stage == "judge" and self._dispatch.is_held
            for tp, standing in stage.standings():
                finding = examine(standing, patience, is_held=is_held)
                if finding is not None:
                    found[tp] = finding
                    if self._told.get(tp) != finding:
                        self._tell(finding, stage.partition_status(tp))
        self._told = found

    def _look_for_kafka(self) -> None:
        away_ms = max((stage.away_ms() for stage in self._stages()), default=0.0)
        was_away_ms, self._away_ms = self._away_ms, away_ms if away_ms >= AWAY_AFTER_MS else 0.0
        if self._away_ms and not was_away_ms:
            sentence = f"Kafka has not answered for {away_ms / 1_000:.0f} s; the work goes on once it does"
            self.log.warning(sentence)
            self._tally.error(sentence)
        elif was_away_ms and not self._away_ms:
            self.log.warning("Kafka answers again, after %.0f s", was_away_ms / 1_000)

    def _tell(self, finding: Finding, partition: PartitionStatus) -> None:
        self.log.warning(_SENTENCES[finding], partition)
        self._tally.error(_SENTENCES[finding] % partition)
