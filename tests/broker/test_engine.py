"""The engine on a real broker: nothing lost, nothing committed unsettled, no repeats without a crash."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import confluent_kafka as ck
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import GroupAuthorizationFailedError, IncompatibleBrokerVersion, KafkaError
from aiokafka.record.util import calc_crc32c
from confluent_kafka.admin import AdminClient
from deadline import eventually
from engine import PARTITIONS, Stage, at_once, committed, copies, make_topics, produce, running, uneven

from infra.embedded import EmbeddedKafka
from infra.kafka import aiokafka_options
from schemas.settings import EmbeddedSettings, KafkaSettings
from streams.broadcast import Broadcast
from streams.continuity import PositionLost
from streams.core.failing import Patience
from streams.core.pressure import Bounds
from streams.failing import CrashLoop
from streams.partitions import TopicPartition
from streams.ports import Record
from streams.rescuing import Rescuer
from streams.standing import Lookout
from streams.transport import BatchConsumer
from streams.unpacking import FetchedRecord

EVENTS = 3_000


@pytest.fixture
def topics(kafka: str, topics_prefix: str) -> str:
    """Give a prefix under which the topics of a test exist."""
    make_topics(kafka, topics_prefix)
    return topics_prefix


async def _done(kafka: str, prefix: str, events: int) -> None:
    async def all_copied() -> bool:
        return len(await asyncio.to_thread(copies, kafka, prefix)) >= events

    await eventually(all_copied, within_s=60, every_s=0.5)


async def test_work_that_ends_out_of_order_is_delivered_once_and_committed_whole(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    produce(kafka, f"{topics}patient", range(EVENTS))
    async with running(Stage(kafka, topics, tmp_path)) as stage:
        await eventually(lambda: stage.partitions.counts.settled == EVENTS, within_s=60)
    assert copies(kafka, topics) == dict.fromkeys(range(EVENTS), 1)
    assert sum(committed(kafka, topics).values()) == EVENTS
    assert not stage.failures


async def test_a_worker_that_joins_and_leaves_causes_no_loss_and_no_repeat(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    # Some 800 records/s, so that the backlog outlives both rebalances.
    bounds = Bounds(
        partition_records_max=30,
        partition_bytes_max=16 << 20,
        total_records_max=4_000,
        total_bytes_max=64 << 20,
    )

    def work(record: Record) -> float:
        return 5 * uneven(record)

    produce(kafka, f"{topics}patient", range(2 * EVENTS))
    async with running(Stage(kafka, topics, tmp_path / "a", name="a", bounds=bounds, work=work)) as first:
        await eventually(lambda: first.partitions.counts.settled > EVENTS // 10, within_s=60)
        async with running(
            Stage(kafka, topics, tmp_path / "b", name="b", bounds=bounds, work=work)
        ) as second:
            await eventually(lambda: second.partitions.counts.settled > 0, within_s=60)
            shares = {len(first.partitions.owned), len(second.partitions.owned)}
            assert shares == {PARTITIONS}, "each owns half of the two topics"
        assert first.partitions.counts.settled < 2 * EVENTS, "there was a backlog at the second rebalance"
        await _done(kafka, topics, 2 * EVENTS)
    assert copies(kafka, topics) == dict.fromkeys(range(2 * EVENTS), 1)


async def test_a_broker_that_goes_away_in_the_middle_of_a_rebalance_only_delays_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first join, and at a later one: between the join and the question where the group stands."""
    seek, away_s = BatchConsumer.seek_to_committed, 2.0
    to_meet_it: list[Stage] = []

    async def seek_to_committed(consumer: BatchConsumer) -> Any:
        if to_meet_it and to_meet_it[0].app.consumer is consumer:
            to_meet_it.clear()
            broker.pause()
            asyncio.get_running_loop().call_later(away_s, broker.resume)
        return await seek(consumer)

    monkeypatch.setattr(BatchConsumer, "seek_to_committed", seek_to_committed)
    with EmbeddedKafka(tmp_path / "kafka", EmbeddedSettings()) as kafka:
        broker = kafka.brokers[0]
        make_topics(kafka.bootstrap, "p.")
        produce(kafka.bootstrap, "p.patient", range(100))
        first = Stage(kafka.bootstrap, "p.", tmp_path / "a", work=at_once)
        to_meet_it.append(first)
        async with running(first):
            await eventually(lambda: first.partitions.counts.settled == 100, within_s=30)
            assert not to_meet_it
            to_meet_it.append(first)
            async with running(Stage(kafka.bootstrap, "p.", tmp_path / "b", name="b", work=at_once)):
                await eventually(lambda: not to_meet_it, within_s=30)
                await asyncio.to_thread(produce, kafka.bootstrap, "p.patient", range(100, 200))
                await _done(kafka.bootstrap, "p.", 200)
            assert first.partitions.counts.rebalances >= 2
        assert copies(kafka.bootstrap, "p.") == dict.fromkeys(range(200), 1)


async def test_who_is_told_to_stop_while_it_joins_leaves_the_group(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    def dynamic(name: str) -> Stage:
        stage = Stage(kafka, topics, tmp_path / name, name=name, work=at_once)
        stage.app.conf.consumer_group_instance_id = None
        return stage

    leaving, staying = dynamic("a"), dynamic("b")
    stopping: list[asyncio.Future[None]] = []
    async with running(staying):
        await leaving.app.start()
        await eventually(lambda: len(leaving.partitions.owned) == PARTITIONS, within_s=30)
        consumer = leaving.app.consumer
        assigned = consumer.on_partitions_assigned

        async def stopped_meanwhile(*args: Any) -> None:
            stopping.append(asyncio.ensure_future(leaving.app.stop()))
            # At once: the stop has not come to the consumer yet.
            await eventually(lambda: leaving.app.should_stop, within_s=10, every_s=0.001)
            await assigned(*args)

        consumer.on_partitions_assigned = stopped_meanwhile
        async with running(dynamic("c")):
            await eventually(lambda: stopping, within_s=30)
            await stopping[0]
        # By then c has left as well. Else it would be a session of six seconds until all of it is b's.
        await eventually(lambda: len(staying.partitions.owned) == 2 * PARTITIONS, within_s=4)
    await leaving.publisher.close(1)


async def test_what_a_stop_leaves_unfinished_is_not_committed_and_comes_again(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    produce(kafka, f"{topics}patient", range(PARTITIONS * 10))
    # Every partition's third record never ends; all the others do, before and behind it.
    stuck = Stage(
        kafka, topics, tmp_path, work=lambda record: 60 if record.offset == 2 else 0, drain_timeout_ms=200
    )
    async with running(stuck):
        await eventually(lambda: stuck.partitions.counts.settled == PARTITIONS * 9, within_s=30)
    assert [committed(kafka, topics)[f"{topics}patient", number] for number in range(PARTITIONS)] == [
        2
    ] * PARTITIONS
    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as again:
        await eventually(lambda: again.partitions.counts.settled == PARTITIONS * 8, within_s=30)
    assert set(copies(kafka, topics)) == set(range(PARTITIONS * 10))


async def test_the_unsettled_stay_within_the_bound_and_nothing_is_lost_by_holding(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    bound = 50
    produce(kafka, f"{topics}patient", range(EVENTS))
    bounds = Bounds(
        partition_records_max=bound,
        partition_bytes_max=16 << 20,
        total_records_max=4_000,
        total_bytes_max=64 << 20,
    )
    seen: list[int] = []
    async with running(Stage(kafka, topics, tmp_path, bounds=bounds, work=lambda _: 0.002)) as stage:

        def is_done() -> bool:
            seen.extend(owned.watermark.unsettled for owned in stage.partitions.owned.values())
            return stage.partitions.counts.settled == EVENTS

        await eventually(is_done, within_s=60, every_s=0.005)
    assert copies(kafka, topics) == dict.fromkeys(range(EVENTS), 1)
    # A fetch that was begun below the bound may bring one batch more.
    assert bound <= max(seen) <= bound + stage.app.transport.options.batch_records_max


async def test_an_urgent_record_passes_a_backlog(kafka: str, topics: str, tmp_path: Path) -> None:
    produce(kafka, f"{topics}patient", range(1, EVENTS + 1))
    bounds = Bounds(
        partition_records_max=200,
        partition_bytes_max=16 << 20,
        total_records_max=200,
        total_bytes_max=64 << 20,
    )
    async with running(Stage(kafka, topics, tmp_path, bounds=bounds, work=lambda _: 0.05)) as stage:
        await eventually(lambda: stage.partitions.counts.settled > 0, within_s=30)
        produce(kafka, f"{topics}urgent", range(1))
        await eventually(lambda: _urgent_settled(stage), within_s=10)
        assert stage.partitions.counts.settled < EVENTS, "the backlog was still there"


def _urgent_settled(stage: Stage) -> bool:
    return any(
        owned.watermark.next_offset == 1 and not owned.watermark.unsettled
        for tp, owned in stage.partitions.owned.items()
        if tp.topic.endswith("urgent")
    )


async def test_a_paused_topic_is_not_taken_in_until_it_is_resumed(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        await eventually(lambda: stage.partitions.owned, within_s=30)
        stage.partitions.pause(frozenset({f"{topics}patient"}))
        produce(kafka, f"{topics}patient", range(100))
        produce(kafka, f"{topics}urgent", range(100, 200))
        await eventually(lambda: stage.partitions.counts.settled == 100, within_s=30)
        assert set(copies(kafka, topics)) == set(range(100, 200))
        stage.partitions.pause(frozenset())
        await eventually(lambda: stage.partitions.counts.settled == 200, within_s=30)
    assert copies(kafka, topics) == dict.fromkeys(range(200), 1)


async def test_a_fetch_that_went_astray_is_looked_for_again(kafka: str, topics: str, tmp_path: Path) -> None:
    produce(kafka, f"{topics}patient", range(PARTITIONS))
    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        await eventually(lambda: stage.partitions.counts.settled == PARTITIONS, within_s=30)
        # Held, so that the engine does not fetch; then one fetch is taken out beside it and thrown away.
        stage.partitions.pause(frozenset({f"{topics}patient", f"{topics}urgent"}))
        produce(kafka, f"{topics}patient", range(PARTITIONS, 10 * PARTITIONS))
        consumer = stage.app.consumer
        stolen = await eventually(
            lambda: consumer._getmany(consumer.assignment(), 1.0),  # noqa: SLF001 - there is no other way in
            within_s=30,
        )
        assert sum(map(len, stolen.values())) > 0
        stage.partitions.pause(frozenset())
        produce(kafka, f"{topics}patient", range(10 * PARTITIONS, 11 * PARTITIONS))
        await eventually(lambda: stage.partitions.counts.settled == 11 * PARTITIONS, within_s=30)
    assert copies(kafka, topics) == dict.fromkeys(range(11 * PARTITIONS), 1)


async def test_a_record_that_aiokafka_cannot_read_stops_nobody(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    produce(kafka, f"{topics}patient", range(PARTITIONS))
    await _produce_with_a_header_that_is_no_text(kafka, f"{topics}patient", str(PARTITIONS).encode())
    produce(kafka, f"{topics}patient", range(PARTITIONS + 1, 10 * PARTITIONS))
    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        await eventually(lambda: stage.partitions.counts.settled == 10 * PARTITIONS, within_s=60)
        await _produce_with_a_header_that_is_no_text(kafka, f"{topics}patient", b"1000")
        await eventually(lambda: stage.partitions.counts.settled == 10 * PARTITIONS + 1, within_s=60)
    assert copies(kafka, topics) == dict.fromkeys([*range(10 * PARTITIONS), 1000], 1)
    assert not stage.failures


async def test_a_broadcast_goes_on_behind_a_record_that_aiokafka_cannot_read(kafka: str, topics: str) -> None:
    """On `policy` or `control` such a record would keep every worker from starting."""
    topic = f"{topics}patient"
    produce(kafka, topic, range(0, 3 * PARTITIONS, PARTITIONS))
    await _produce_with_a_header_that_is_no_text(kafka, topic, b"before")
    heard: list[bytes | None] = []
    broadcast = Broadcast(
        topic,
        lambda record: heard.append(record.value),
        aiokafka_options(KafkaSettings(), kafka),
        Rescuer({"bootstrap.servers": kafka}),
    )
    await broadcast.start()
    assert heard[-1] == b"before"
    await _produce_with_a_header_that_is_no_text(kafka, topic, b"after")
    await eventually(lambda: heard[-1] == b"after", within_s=30)
    await broadcast.stop()
    assert len(heard) == len(set(heard)) == 5


@pytest.mark.parametrize("last", ["an order", "a header that is no text"])
async def test_a_broadcast_obeys_nothing_that_was_taken_back_or_may_still_be(
    kafka: str, topics: str, last: str
) -> None:
    """Neither does it wait for that: a start would never end."""
    topic = f"{topics}patient"
    producer = ck.Producer({"bootstrap.servers": kafka, "transactional.id": topics})
    await asyncio.to_thread(producer.init_transactions, 60)

    def begin(order: bytes) -> None:
        producer.begin_transaction()
        producer.produce(topic, order, partition=0)
        producer.flush(30)

    heard: list[bytes | None] = []

    def broadcast() -> Broadcast:
        return Broadcast(
            topic,
            lambda record: heard.append(record.value),
            aiokafka_options(KafkaSettings(), kafka),
            Rescuer({"bootstrap.servers": kafka}),
        )

    begin(b"given")
    producer.commit_transaction(30)
    if last == "an order":
        begin(b"taken back")
        producer.abort_transaction(30)
    else:
        await _take_back_what_aiokafka_cannot_read(kafka, topic)
    first = broadcast()
    await asyncio.wait_for(first.start(), 30)
    assert heard == [b"given"]
    begin(b"open")
    second = broadcast()
    await asyncio.wait_for(second.start(), 30)
    assert heard == [b"given"] * 2
    producer.commit_transaction(30)
    await eventually(lambda: heard[2:] == [b"open"] * 2, within_s=30)
    await first.stop()
    await second.stop()


async def _take_back_what_aiokafka_cannot_read(kafka: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{topic}.unreadable")
    await producer.start()
    await producer.begin_transaction()
    await _write_with_a_header_that_is_no_text(producer, topic, b"taken back")
    await producer.abort_transaction()
    await producer.stop()


async def test_a_stop_does_not_wait_for_who_reads_by_another_way_in_vain(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    """Its broker was lost in that moment: without the stop it would ask for ten seconds."""
    rescuer = Reading({"bootstrap.servers": "127.0.0.1:9", "log_level": 0})
    async with running(Stage(kafka, topics, tmp_path, work=at_once, rescuer=rescuer)) as stage:
        await eventually(lambda: stage.partitions.owned, within_s=60)
        await _produce_with_a_header_that_is_no_text(kafka, f"{topics}patient", b"1000")
        await eventually(lambda: rescuer.readers, within_s=30)
    await eventually(lambda: not rescuer.readers, within_s=4, what="nobody reads any more")

    rescuer = Reading({"bootstrap.servers": "127.0.0.1:9", "log_level": 0})
    options = aiokafka_options(KafkaSettings(), kafka)
    broadcast = Broadcast(f"{topics}patient", lambda _: None, options, rescuer)
    starting = asyncio.ensure_future(broadcast.start())
    await eventually(lambda: rescuer.readers, within_s=30)
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await starting
    await broadcast.stop()
    await eventually(lambda: not rescuer.readers, within_s=4, what="nobody reads any more")


class Reading(Rescuer):
    """Tells how many read."""

    readers = 0

    def read(self, *where: Any) -> list[FetchedRecord]:
        self.readers += 1
        try:
            return super().read(*where)
        finally:
            self.readers -= 1


async def _produce_with_a_header_that_is_no_text(kafka: str, topic: str, value: bytes) -> None:
    """As any client in another language may do: a header's name is bytes to the broker."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    await _write_with_a_header_that_is_no_text(producer, topic, value)
    await producer.stop()


async def _write_with_a_header_that_is_no_text(producer: AIOKafkaProducer, topic: str, value: bytes) -> None:
    batch = producer.create_batch()
    batch.append(timestamp=None, key=None, value=value, headers=[("name", b"x")])
    batch.close()
    build = batch._build  # noqa: SLF001 - no Python client writes such a header

    def built() -> bytearray:
        written = build()
        at = bytes(written).find(b"name")
        if at >= 0:
            written[at : at + 4] = b"\xff\xfe\xff\xfe"
            # The checksum stands at 17 and covers all that follows it.
            written[17:21] = calc_crc32c(bytes(written[21:])).to_bytes(4, "big")
        return written

    # As late as it is sent: a transaction's number is written into it before.
    batch._build = built  # noqa: SLF001 - as above
    await (await producer.send_batch(batch, topic, partition=0))


async def test_an_open_transaction_holds_its_own_partition_only_and_what_is_aborted_is_never_seen(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    producer = ck.Producer({"bootstrap.servers": kafka, "transactional.id": topics})
    await asyncio.to_thread(producer.init_transactions, 60)

    def begin(values: range) -> None:
        producer.begin_transaction()
        for value in values:
            producer.produce(f"{topics}patient", str(value).encode(), partition=0)
        producer.flush(30)

    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        begin(range(10))
        producer.commit_transaction(30)
        await eventually(lambda: stage.partitions.counts.settled == 10, within_s=30)
        begin(range(10, 20))
        producer.abort_transaction(30)
        begin(range(20, 30))
        produce(kafka, f"{topics}urgent", range(30, 40))
        # Much less than the detour takes with which records are read that nobody shows.
        await eventually(lambda: stage.partitions.counts.settled == 20, within_s=5)
        await eventually(lambda: _unread(stage) == {TopicPartition(f"{topics}patient", 0): 10}, within_s=5)
        producer.commit_transaction(30)
        await eventually(lambda: stage.partitions.counts.settled == 30, within_s=30)
        # The watermark is before the marker, but nothing is left to read.
        await eventually(lambda: not _unread(stage), within_s=5)
    assert copies(kafka, topics) == dict.fromkeys([*range(10), *range(20, 40)], 1)


def _unread(stage: Stage) -> dict[TopicPartition, int]:
    return {tp: standing.behind for tp, standing in Lookout(stage.partitions).look()}


async def test_a_broker_that_goes_in_the_middle_of_the_first_join_is_asked_again(
    kafka: str, topics: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_to_join(monkeypatch, IncompatibleBrokerVersion("unknown"))
    produce(kafka, f"{topics}patient", range(10))
    async with asyncio.timeout(30), running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        await eventually(lambda: stage.partitions.counts.settled == 10, within_s=20)


async def test_a_right_that_is_missing_at_the_first_join_is_told(
    kafka: str, topics: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fail_to_join(monkeypatch, GroupAuthorizationFailedError("group"))
    async with asyncio.timeout(30), running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        await eventually(lambda: stage.app.crash_reason, within_s=20)
        assert isinstance(stage.app.crash_reason, GroupAuthorizationFailedError)


def _fail_to_join(monkeypatch: pytest.MonkeyPatch, *errors: KafkaError) -> None:
    """Let the first tries to join a group end so."""
    left = list(errors)
    join = GroupCoordinator._do_rejoin_group  # noqa: SLF001 - brokers fail so at a moment of their own

    async def failing(coordinator: GroupCoordinator, subscription: object) -> object:
        if left:
            raise left.pop(0)
        return await join(coordinator, subscription)

    monkeypatch.setattr(GroupCoordinator, "_do_rejoin_group", failing)


@pytest.mark.parametrize(("deleted_to", "missed"), [(25, 15), (40, 30)])
async def test_records_that_were_deleted_before_they_were_read_stop_the_stage_with_their_number(
    kafka: str, topics: str, tmp_path: Path, deleted_to: int, missed: int
) -> None:
    """Also where nothing is left that would come, and show the gap."""
    produce(kafka, f"{topics}patient", range(10 * PARTITIONS))
    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        await eventually(lambda: stage.partitions.counts.settled == 10 * PARTITIONS, within_s=30)
    produce(kafka, f"{topics}patient", range(10 * PARTITIONS, 40 * PARTITIONS))
    # The group stands at 10.
    _delete(kafka, f"{topics}patient", 1, deleted_to)
    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        await eventually(lambda: stage.app.crash_reason, within_s=30)
        assert isinstance(stage.app.crash_reason, PositionLost)
        assert stage.app.crash_reason.missed == missed
        assert str(stage.app.crash_reason) == f"{topics}patient/1: {missed} records from 10 on are gone"
    assert committed(kafka, topics)[f"{topics}patient", 1] == 10, "nothing is skipped in silence"


async def test_a_loss_behind_which_stands_a_record_that_aiokafka_cannot_read_is_told_as_well(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    produce(kafka, f"{topics}patient", range(0, 10 * PARTITIONS, PARTITIONS))
    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        await eventually(lambda: stage.partitions.counts.settled == 10, within_s=30)
    produce(kafka, f"{topics}patient", range(0, 10 * PARTITIONS, PARTITIONS))
    await _produce_with_a_header_that_is_no_text(kafka, f"{topics}patient", b"20")
    _delete(kafka, f"{topics}patient", 0, 20)
    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        await eventually(lambda: stage.app.crash_reason, within_s=30)
        assert str(stage.app.crash_reason) == f"{topics}patient/0: 10 records from 10 on are gone"


async def test_a_detour_holds_up_its_own_partition_only(
    kafka: str, topics: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_read = threading.Event()
    read = Rescuer.read

    def waiting(rescuer: Rescuer, *args: Any) -> list[Any]:
        assert may_read.wait(60)
        return read(rescuer, *args)

    monkeypatch.setattr(Rescuer, "read", waiting)
    await _produce_with_a_header_that_is_no_text(kafka, f"{topics}patient", b"1000")
    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        produce(kafka, f"{topics}patient", range(1, 10 * PARTITIONS, PARTITIONS))
        produce(kafka, f"{topics}urgent", range(0, 10 * PARTITIONS, PARTITIONS))
        await eventually(lambda: stage.partitions.counts.settled == 20, within_s=20)
        assert stage.app.crash_reason is None
        may_read.set()
        await eventually(lambda: stage.partitions.counts.settled == 21, within_s=20)


async def test_a_rebalance_in_the_middle_of_a_detour_leaves_it_to_the_next_owner(
    kafka: str, topics: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = [threading.Event() for _ in range(2)]
    may_read = threading.Event()
    read = Rescuer.read

    def waiting(rescuer: Rescuer, *args: Any) -> list[Any]:
        next(event for event in (*reads, threading.Event()) if not event.is_set()).set()
        assert may_read.wait(60)
        return read(rescuer, *args)

    monkeypatch.setattr(Rescuer, "read", waiting)
    await _produce_with_a_header_that_is_no_text(kafka, f"{topics}patient", b"1000")
    # The range of names decides: partition 0 goes to whoever joins.
    first, second = (Stage(kafka, topics, tmp_path / name, name=name, work=at_once) for name in ("b", "a"))
    async with running(first):
        await eventually(reads[0].is_set, within_s=30)
        async with running(second):
            await eventually(lambda: second.partitions.owned and reads[1].is_set(), within_s=60)
            may_read.set()
            await eventually(lambda: copies(kafka, topics) == {1000: 1}, within_s=30)
            assert (first.app.crash_reason, second.app.crash_reason) == (None, None)


def _delete(kafka: str, topic: str, partition: int, before: int) -> None:
    """As retention does, but now."""
    deleted = ck.TopicPartition(topic, partition, before)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_records([deleted])[deleted].result(30)


async def test_culprits_are_condemned_and_all_others_are_copied_once(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    culprits = {7, 8, 9, 1_234, EVENTS - 1}
    produce(kafka, f"{topics}patient", range(EVENTS))
    stage = Stage(kafka, topics, tmp_path, work=at_once, is_bad=lambda record: _number(record) in culprits)
    async with running(stage):
        await eventually(lambda: stage.partitions.counts.settled == EVENTS, within_s=60)
    assert {_number(record) for record in stage.condemned} == culprits
    assert copies(kafka, topics) == dict.fromkeys(set(range(EVENTS)) - culprits, 1)
    assert sum(committed(kafka, topics).values()) == EVENTS
    assert (stage.failures, stage.partitions.counts.condemned) == ([], len(culprits))


async def test_a_stage_that_fails_at_everything_says_so_and_commits_nothing(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    produce(kafka, f"{topics}patient", range(EVENTS))
    patience = Patience(tries_max=3, wait_ms_first=50)
    broken = Stage(kafka, topics, tmp_path, work=at_once, is_bad=lambda _: True, patience=patience)
    async with running(broken):
        await eventually(lambda: broken.failures, within_s=30)
    assert [type(reason) for reason in broken.failures][:1] == [CrashLoop]
    assert (broken.condemned, sum(committed(kafka, topics).values())) == ([], 0)
    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as mended:
        await eventually(lambda: mended.partitions.counts.settled == EVENTS, within_s=60)
    assert copies(kafka, topics) == dict.fromkeys(range(EVENTS), 1)


async def test_much_that_is_settled_is_committed_before_the_timer_says_so(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    produce(kafka, f"{topics}patient", range(EVENTS))
    async with running(
        Stage(kafka, topics, tmp_path, work=at_once, commit_interval_ms=600_000, commit_records_max=500)
    ) as stage:
        await eventually(lambda: stage.partitions.counts.settled == EVENTS, within_s=60)
        counts = stage.partitions.counts
        await eventually(lambda: sum(committed(kafka, topics).values()) > EVENTS - 500, within_s=30)
        assert 1 <= counts.commits <= EVENTS / 500, "the timer had no turn"


async def test_a_partition_that_was_committed_at_its_first_record_knows_when_that_is_deleted(
    kafka: str, topics: str, tmp_path: Path
) -> None:
    produce(kafka, f"{topics}patient", range(10 * PARTITIONS))
    stuck = Stage(
        kafka, topics, tmp_path, work=lambda record: 0 if record.offset else 60, drain_timeout_ms=100
    )
    async with running(stuck):
        await eventually(lambda: stuck.partitions.counts.commits, within_s=30)
    deleted = ck.TopicPartition(f"{topics}patient", 1, 4)
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.delete_records([deleted])[deleted].result(30)
    async with running(Stage(kafka, topics, tmp_path, work=at_once)) as stage:
        await eventually(lambda: stage.app.crash_reason, within_s=30)
        assert str(stage.app.crash_reason) == f"{topics}patient/1: 4 records from 0 on are gone"


def _number(record: Record) -> int:
    return int(record.value or b"-1")
