"""The watchdog: tells once of what stands still, or of Kafka that is away, and when it is back.

It also sends to the tail what waits for too long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mode import Service

from schemas.settings import EngineSettings
from streams.core.watching import Patience, examine, sentence_of
from streams.dispatch import Dispatch
from streams.observing import AWAY_AFTER_MS, Tally
from streams.partitions import Partitions, TopicPartition
from streams.rescuing import Rescuer
from streams.standing import Lookout

# Often enough to tell within a tenth of the shortest patience that the settings allow.
_LOOK_EVERY_S = 0.5
# Nobody hurries: it matters after days.
_ASK_EVERY_S = 10.0


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
        rescuer: Rescuer,
    ) -> None:
        super().__init__()
        self._stages = stages
        self._dispatch = dispatch
        self._settings = settings
        self._retention_ms = retention_ms
        self._tally = tally
        self._rescuer = rescuer
        self._lookouts: dict[str, Lookout] = {}
        self._told: dict[TopicPartition, frozenset[str]] = {}
        """What was told of those that are not well; each sentence once, though causes may come and go."""
        self._away_ms = 0.0
        """For how long Kafka was away at the last look; 0 where it was not."""

    @Service.task
    async def _watch(self) -> None:
        while not self.should_stop:
            await self.sleep(_LOOK_EVERY_S)
            self.look()

    @Service.task
    async def _ask_for_ages(self) -> None:
        while not self.should_stop:
            await self.sleep(_ASK_EVERY_S)
            await self.ask_for_ages()

    async def ask_for_ages(self) -> None:
        """Look how old the records are that wait unread: a restarted worker has not seen them come."""
        for lookout in tuple(self._lookouts.values()):
            for tp, position in tuple(lookout.without_age()):
                written_at_ms = await self._rescuer.written_at_ms(*tp, position)
                lookout.learn_age(tp, position, written_at_ms)

    def look(self) -> None:
        """Look once: tell what is new, and forget what is well again."""
        self._dispatch.release_overdue()
        self._look_for_kafka()
        patience = Patience(self._settings().stuck_after_s * 1_000, self._retention_ms)
        told: dict[TopicPartition, frozenset[str]] = {}
        for stage in self._stages():
            without_nodes = stage.stage == "judge" and self._dispatch.is_held
            lookout = self._lookouts.setdefault(stage.stage, Lookout(stage))
            for tp, standing in lookout.look(without_nodes=without_nodes):
                finding = examine(standing, patience)
                if finding is not None:
                    sentence = sentence_of(finding, standing)
                    before = self._told.get(tp, frozenset())
                    told[tp] = before | {sentence}
                    if sentence not in before:
                        self._tell(f"{sentence}: {stage.partition_status(tp)}", standing.behind)
        self._told = told

    def _look_for_kafka(self) -> None:
        away_ms = max((stage.away_ms() for stage in self._stages()), default=0.0)
        was_away_ms, self._away_ms = self._away_ms, away_ms if away_ms >= AWAY_AFTER_MS else 0.0
        if self._away_ms and not was_away_ms:
            sentence = f"Kafka has not answered for {away_ms / 1_000:.0f} s; the work goes on once it does"
            self.log.warning(sentence)
            self._tally.error(sentence)
        elif was_away_ms and not self._away_ms:
            self.log.warning("Kafka answers again, after %.0f s", was_away_ms / 1_000)

    def _tell(self, sentence: str, behind: int) -> None:
        # Markers of transactions and compacted records have offsets too.
        unread = f", up to {behind} records unread" if behind else ""
        self.log.warning("%s%s", sentence, unread)
        self._tally.error(sentence + unread)
