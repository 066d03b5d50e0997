"""Whole workers that remember, on a real Kafka, at a node that counts: orders, restores, campaigns, time."""

from __future__ import annotations

import json
import shutil
import statistics
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from deadline import until
from msgspec.structs import replace
from penstocks import PARTITIONS, Penstock

from infra.clients import Writer, reach
from infra.kafka import producer_options
from infra.running import worker_statuses
from schemas.campaign import Campaign
from schemas.memory import Memo
from schemas.verdict import Verdict
from schemas.wire import decode_campaign, decode_memo, encode
from streams.core.partitioning import partition_of
from streams.observing import WorkerStatus
from streams.topics import Topics

WORKERS = ("worker-1", "worker-2")
COPY_MAX = 0.1
# Some seconds of reading, on a machine that has other things to do.
BEFORE = 20_000
STEPS = 3


def texts(wave: str, count: int) -> list[str]:
    """Texts that no rule decides, and that no other test sends."""
    return [f"a long and winding letter of the {wave} about {number} things" for number in range(count)]


@pytest.fixture(scope="module")
def both(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Penstock]:
    """Give two workers at work, and a node that takes the time that a small model takes."""
    directory, prefix = tmp_path_factory.mktemp("both"), f"t{uuid.uuid4().hex[:12]}."
    with Penstock(directory, kafka, prefix, "campaigns.copies_min=10") as made:
        start_both(made)
        yield made


def start_both(penstock: Penstock) -> None:
    for name in WORKERS:
        penstock.start(name)
    for name in WORKERS:
        penstock.await_ready(name)


def send(penstock: Penstock, wave: str, texts: Collection[str], *, authors: int = 0) -> list[str]:
    """Write one event for each text; their ids."""
    writer = Writer(penstock.settings, reach(penstock.settings))
    ids = [f"{wave}-{number}" for number in range(len(texts))]
    for number, (one, text) in enumerate(zip(ids, texts, strict=True)):
        event = {"v": 1, "kind": "moderate", "id": one, "text": text}
        if authors:
            event["author"] = f"author-{number % authors}"
        writer.write(f"{penstock.prefix}content.medium", one.encode(), json.dumps(event).encode())
    writer.flush()
    return ids


def judged(penstock: Penstock, wave: str, texts: Collection[str], **more: int) -> list[Verdict]:
    """Send, and wait for the verdicts, in the order of the texts."""
    ids = send(penstock, wave, texts, **more)
    found = penstock.await_verdicts(ids, within_s=60)
    return [found[one] for one in ids]


def by(verdicts: Collection[Verdict]) -> set[str]:
    return {verdict.decided_by for verdict in verdicts}


def order(penstock: Penstock, *words: str) -> None:
    """Give an order to forget, and wait until every worker says that it obeys."""
    before = [cuts(status) for status in worker_statuses(penstock.data_dir).values()]
    penstock.command("cache", *words)

    def all_do() -> bool:
        now = [cuts(status) for status in worker_statuses(penstock.data_dir).values()]
        return len(now) == len(before) and all(one != other for one, other in zip(now, before, strict=True))

    until(all_do, within_s=20, what=f"all workers have heard of {words}")


def cuts(status: WorkerStatus | None) -> dict[str, int]:
    assert status is not None
    return dict(status.purged)


def test_what_is_purged_is_asked_about_again_by_every_worker(both: Penstock) -> None:
    letters, before = texts("purge", 40), both.node().completions
    assert by(judged(both, "first", letters)) == {"model"}
    assert by(judged(both, "copies", letters)) == {"cache"}
    owning = [status.memory for status in worker_statuses(both.data_dir).values() if status]
    assert [memory.partitions for memory in owning if memory] == [PARTITIONS // 2] * 2
    assert both.node().completions == before + len(letters)
    order(both, "purge", "--all")
    assert by(judged(both, "again", letters)) == {"model"}
    assert by(judged(both, "known", letters)) == {"cache"}
    assert both.node().completions == before + 2 * len(letters)


def test_a_text_that_is_forgotten_is_asked_about_again_and_no_other(both: Penstock) -> None:
    letters, before = texts("forgotten", 20), both.node().completions
    first = judged(both, "to-forget", letters)
    assert '"answers"' in both.command("cache", "lookup", "--text", letters[0], "--json")
    order(both, "forget", "--digest", first[0].content_digest)
    assert '"forgotten"' in both.command("cache", "lookup", "--text", letters[0], "--json")
    hits = answered_from_memory(both)
    again = judged(both, "forgotten", letters)
    assert (by(again[:1]), by(again[1:])) == ({"model"}, {"cache"})
    assert both.node().completions == before + len(letters) + 1
    assert answered_from_memory(both) == hits + len(letters) - 1


def answered_from_memory(penstock: Penstock) -> int:
    """How many hits `penstock cache stats` tells."""
    told = json.loads(penstock.command("cache", "stats", "--json"))
    assert set(told) == set(WORKERS)
    return sum(one["figures"].get("hits_memory", 0) for one in told.values())


def test_an_older_answer_that_comes_in_late_is_refused(both: Penstock) -> None:
    """As of a worker that was cut off when the order was given, and wrote its memo afterwards."""
    letters, before = texts("latecomer", 1), both.node().completions
    (first,) = judged(both, "early", letters)
    (memo,) = [memo for memo in memos(both) if memo.content_digest == first.content_digest]
    order(both, "purge", "--all")
    for name in WORKERS:
        both.stop(name)
    write(both, replace(memo, action="block"))
    start_both(both)
    (verdict,) = judged(both, "late", letters)
    assert (verdict.decided_by, verdict.action) == ("model", memo.action)
    assert both.node().completions == before + 2


def test_events_wait_until_their_memory_is_restored(kafka: str, topics_prefix: str, tmp_path: Path) -> None:
    """The answer that they wait for stands at the end of a changelog that takes its time to be read."""
    letters = texts("restore", 1)
    with Penstock(tmp_path, kafka, topics_prefix) as penstock:
        _restored_first(penstock, letters)


def _restored_first(penstock: Penstock, letters: list[str]) -> None:
    penstock.start(WORKERS[0])
    penstock.await_ready(WORKERS[0])
    judged(penstock, "first", letters)
    (memo,) = memos(penstock)
    penstock.stop(WORKERS[0])
    shutil.rmtree(penstock.data_dir / "memory")
    write(penstock, memo, before=BEFORE)
    ids = send(penstock, "copies", letters * 20)
    penstock.start(WORKERS[0])
    found = penstock.await_verdicts(ids, within_s=60)
    assert by(found.values()) == {"cache"}
    assert penstock.node().completions == 1
    (status,) = worker_statuses(penstock.data_dir).values()
    assert status is not None
    assert status.memory is not None
    assert status.memory.restored >= BEFORE


def test_a_campaign_is_told_once_per_step(both: Penstock) -> None:
    """Ten copies are a campaign here, by five authors; it is told again at 20 and at 40."""
    letters, before = texts("campaign", 2), both.node().completions
    verdicts = judged(both, "campaign", [letters[0]] * 45 + [letters[1]] * 9, authors=6)
    digests = {verdict.content_digest for verdict in verdicts}

    def told() -> list[Campaign]:
        found = (decode_campaign(record.value) for record in both.read("campaigns"))
        return [one for one in found if one.content_digest in digests]

    until(lambda: len(told()) >= STEPS, within_s=20, what="all steps are told")
    assert [one.step for one in told()] == [1, 2, 3]
    # The first may wait for its fifth author.
    assert [one.copies for one in told()][1:] == [20, 40]
    assert {one.content_digest for one in told()} == {verdicts[0].content_digest}
    assert both.node().completions == before + 2


def test_a_copy_takes_a_tenth_of_the_time_of_what_is_judged(both: Penstock, record_property) -> None:
    """One after the other, at a node that is idle otherwise: from the arrival to the verdict."""
    letters = texts("race", 15)
    first = [judged(both, f"first-{at}", [text])[0] for at, text in enumerate(letters)]
    copies = [judged(both, f"copy-{at}", [text])[0] for at, text in enumerate(letters)]
    assert (by(first), by(copies)) == ({"model"}, {"cache"})
    at_work = statistics.median(map(in_worker_ms, copies)) / statistics.median(map(in_worker_ms, first))
    whole = statistics.median(map(total_ms, copies)) / statistics.median(map(total_ms, first))
    # Two ways through Kafka are the same for both, and most of a copy's time.
    record_property("copy_to_judged_in_worker", at_work)
    record_property("copy_to_judged_in_all", whole)
    assert at_work < COPY_MAX
    assert whole < 1


def in_worker_ms(verdict: Verdict) -> float:
    return verdict.timing.queue_ms + verdict.timing.inference_ms


def total_ms(verdict: Verdict) -> float:
    return verdict.timing.total_ms


def memos(penstock: Penstock) -> list[Memo]:
    """What stands in the changelog."""
    return [decode_memo(found.value) for found in penstock.read("memory") if found.value]


def write(penstock: Penstock, memo: Memo, *, before: int = 0) -> None:
    """Write to the changelog as a worker does, behind so many answers to questions that nobody asks."""
    topic = Topics.of(penstock.settings.topics).memory
    home = partition_of(memo.content_digest.encode(), PARTITIONS)
    producer = Producer(producer_options(penstock.settings.kafka, penstock.settings.kafka.bootstrap))
    strangers = (replace(memo, question_digest=f"{number:032x}") for number in range(before))
    for one in (*strangers, memo):
        producer.produce(topic, key=one.question_digest.encode(), value=encode(one), partition=home)
    assert producer.flush(60) == 0
