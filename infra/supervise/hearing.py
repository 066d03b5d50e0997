"""What `up` hears while everything runs: how far behind all is, and what one should know of the workers.

The workers know their lag best, and it is theirs to tell as long as together they have all partitions. Where
one does not answer, or partitions are with nobody here, Kafka is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from infra.counting import counted
from infra.errors import Failure
from schemas.event import PRIORITIES
from streams.observing import StageStatus, WorkerStatus

# By stage, topic and number of the partition.
Behind = Mapping[tuple[str, str, int], int]


class Heard(NamedTuple):
    """What there is to be shown."""

    lag: int | None = None
    """None: nobody can know it."""
    remarks: tuple[str, ...] = ()


def hear(statuses: Mapping[str, WorkerStatus | None], places: int, ask_kafka: Callable[[], Behind]) -> Heard:
    """What the workers say, and Kafka where they cannot know; `places` partitions are to be read in all."""
    known = [status for status in statuses.values() if status is not None]
    stages = [stage for status in known for stage in status.stages]
    remarks = [*_silent(statuses), *_paused(known)]
    if any(stage.is_away for stage in stages):
        return Heard(None, (*remarks, "Kafka does not answer"))
    lag = _lags(stages)
    if len(lag) < places:
        try:
            behind = ask_kafka()
        except Failure:
            return Heard(None, (*remarks, "Kafka does not answer"))
        unowned = {place: records for place, records in behind.items() if place not in lag}
        remarks += _unowned(unowned, is_one_silent=len(known) < len(statuses))
        lag |= unowned
    return Heard(sum(lag.values()), tuple(remarks))


def _lags(stages: list[StageStatus]) -> dict[tuple[str, str, int], int]:
    return {
        (stage.stage, partition.topic, partition.partition): partition.lag
        for stage in stages
        for partition in stage.partitions
    }


def _silent(statuses: Mapping[str, WorkerStatus | None]) -> list[str]:
    return [f"{name} does not answer" for name, status in statuses.items() if status is None]


def _paused(known: list[WorkerStatus]) -> list[str]:
    paused = {priority for status in known for priority in status.paused}
    return [f"paused: {', '.join(one for one in PRIORITIES if one in paused)}"] if paused else []


def _unowned(behind: Behind, *, is_one_silent: bool) -> list[str]:
    """Why some of it rests; what is with a silent worker is told by its silence."""
    records = sum(behind.values())
    if is_one_silent or not records:
        return []
    return [f"{counted(records, 'record')} in partitions that no worker here has"]
