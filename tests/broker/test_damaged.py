"""A batch that is damaged on a broker's disk: nobody skips it or makes records of it, and it is named."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiokafka
import pytest
from aiokafka.errors import CorruptRecordException
from deadline import eventually
from engine import PARTITIONS, Stage, at_once, committed, copies, make_topics, produce, running

from infra.embedded import EmbeddedKafka
from infra.errors import ExitCode
from infra.reasons import code_of
from schemas.settings import EmbeddedSettings
from streams.broadcast import Broadcast
from streams.rescuing import Damaged, Rescuer

PREFIX = "p."
TOPIC = f"{PREFIX}patient"
BATCHES = 3
BATCH = 5


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """Give a broker whose files the test may damage."""
    with EmbeddedKafka(tmp_path / "kafka", EmbeddedSettings()) as broker:
        make_topics(broker.bootstrap, PREFIX)
        yield broker


async def test_a_damaged_batch_stops_the_stage_with_its_place_and_nothing_is_skipped(
    own_broker: EmbeddedKafka, tmp_path: Path
) -> None:
    for first in range(0, BATCHES * BATCH * PARTITIONS, BATCH * PARTITIONS):
        produce(own_broker.bootstrap, TOPIC, range(first, first + BATCH * PARTITIONS))
    await asyncio.to_thread(damage, own_broker, tmp_path, batch=1)
    stage = Stage(own_broker.bootstrap, PREFIX, tmp_path / "stage", work=at_once)
    async with running(stage):
        await eventually(lambda: stage.app.crash_reason, within_s=40)
    reason = stage.app.crash_reason
    assert isinstance(reason, Damaged)
    assert str(reason) == f"{TOPIC}/1: the batch of records at 5 is damaged on the broker, by its checksum"
    assert code_of(reason) == ExitCode.DAMAGED
    assert committed(own_broker.bootstrap, PREFIX)[TOPIC, 1] == BATCH, "what is before it is done"
    found = copies(own_broker.bootstrap, PREFIX)
    before = range(1, BATCH * PARTITIONS, PARTITIONS)
    assert sorted(number for number in found if number % PARTITIONS == 1) == [*before]


async def test_a_damaged_order_is_not_passed_over(own_broker: EmbeddedKafka, tmp_path: Path) -> None:
    produce(own_broker.bootstrap, f"{PREFIX}urgent", range(0, BATCH * PARTITIONS, PARTITIONS))
    await asyncio.to_thread(damage, own_broker, tmp_path, batch=0, where=f"{PREFIX}urgent-0")
    heard: list[object] = []
    servers = own_broker.bootstrap
    orders = Broadcast(
        f"{PREFIX}urgent",
        heard.append,
        {"bootstrap_servers": servers},
        Rescuer({"bootstrap.servers": servers}),
    )
    with pytest.raises(Damaged):
        await asyncio.wait_for(orders.start(), 40)
    assert heard == []


async def test_what_was_damaged_on_the_way_is_read_once_more(
    kafka: str, topics_prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_topics(kafka, topics_prefix)
    produce(kafka, f"{topics_prefix}patient", range(100))
    getall, left = aiokafka.consumer.fetcher.FetchResult.getall, [True]

    def damaged_once(fetched: object, records_max: int) -> object:
        if left:
            left.pop()
            raise CorruptRecordException("Invalid CRC")
        return getall(fetched, records_max)

    monkeypatch.setattr(aiokafka.consumer.fetcher.FetchResult, "getall", damaged_once)
    async with running(Stage(kafka, topics_prefix, tmp_path, work=at_once)) as stage:
        await eventually(lambda: stage.partitions.counts.settled == 100, within_s=30)
    assert copies(kafka, topics_prefix) == dict.fromkeys(range(100), 1)


def damage(broker: EmbeddedKafka, directory: Path, *, batch: int, where: str = f"{TOPIC}-1") -> None:
    """Turn a byte in the last record of a batch, while nobody has the file open."""
    broker.stop()
    (log,) = (directory / "kafka").rglob(f"{where}/00000000000000000000.log")
    data, at = bytearray(log.read_bytes()), 0
    for _ in range(batch):
        at += length_at(data, at)
    data[at + length_at(data, at) - 2] ^= 0xFF
    log.write_bytes(data)
    broker.start()


def length_at(data: bytearray, at: int) -> int:
    """How long the batch is that begins there: eight bytes of offset, four of what follows them."""
    return 12 + int.from_bytes(data[at + 8 : at + 12], "big")
