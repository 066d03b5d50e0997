"""Whole workers that remember, on a real Kafka, beside a node that counts: orders, restores, campaigns, time."""

from __future__ import annotations

import json
import shutil
import statistics
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
from streams.topics import Topics

WORKERS = ("worker-1", "worker-2")
TEXTS = [f"a long and winding letter about {number} things" for number in range(40)]
COPY_MAX = 0.1
# Some seconds of reading, on a machine that has other things to do.
BEFORE = 20_000
STEPS = 3


@pytest.fixture
def penstock(kafka: str, topics_prefix: str, tmp_path: Path) -> Iterator[Penstock]:
    """Give a node, which takes the time that a small model takes, and no worker yet."""
    with Penstock(tmp_path, kafka, topics_prefix, "campaigns.copies_min=10") as made:
        yield made


@pytest.fixture
def both(penstock: Penstock) -> Penstock:
    """Give two workers at work."""
    for name in WORKERS:
        penstock.start(name)
    for name in WORKERS:
        penstock.await_ready(name)
    return penstock


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


def await_obeyed(penstock: Penstock, subject: str) -> None:
    """Wait until every worker says that it has a cut-off of this subject."""

    def all_do() -> bool:
        statuses = worker_statuses(penstock.data_dir)
        return set(statuses) == set(WORKERS) and all(
            status is not None and any(subject in one for one in status.purged)
            for status in statuses.values()
        )

    until(all_do, within_s=20, what=f"all workers have heard of {subject}")


def test_what_is_purged_is_asked_about_again_by_every_worker(both: Penstock) -> None:
    assert by(judged(both, "first", TEXTS)) == {"model"}
    assert by(judged(both, "copies", TEXTS)) == {"cache"}
    owning = [status.memory for status in worker_statuses(both.data_dir).values() if status]
    assert [memory.partitions for memory in owning if memory] == [PARTITIONS // 2] * 2
    asked = both.node().completions
    assert asked == len(TEXTS)
    both.command("cache", "purge", "--all")
    await_obeyed(both, "all")
    assert by(judged(both, "again", TEXTS)) == {"model"}
    assert both.node().completions == 2 * asked
    assert by(judged(both, "known", TEXTS)) == {"cache"}
    assert both.node().completions == 2 * asked


def test_a_text_that_is_forgotten_is_asked_about_again_and_no_other(both: Penstock) -> None:
    first = judged(both, "first", TEXTS)
    digest = first[0].content_digest
    assert '"answers"' in both.command("cache", "lookup", "--text", TEXTS[0], "--json")
    both.command("cache", "forget", "--digest", digest)
    await_obeyed(both, digest)
    assert '"forgotten"' in both.command("cache", "lookup", "--text", TEXTS[0], "--json")
    again = judged(both, "again", TEXTS)
    assert (by(again[:1]), by(again[1:])) == ({"model"}, {"cache"})
    assert both.node().completions == len(TEXTS) + 1
    assert f"remembered {len(TEXTS)}" in both.command("cache", "stats")


def test_an_older_answer_that_comes_in_late_is_refused(both: Penstock) -> None:
    """As of a worker that was cut off when the order was given, and wrote its memo afterwards."""
    judged(both, "first", TEXTS[:1])
    (memo,) = memos(both)
    both.command("cache", "purge", "--all")
    await_obeyed(both, "all")
    for name in WORKERS:
        both.stop(name)
    write(both, replace(memo, action="block"))
    for name in WORKERS:
        both.start(name)
    for name in WORKERS:
        both.await_ready(name)
    (verdict,) = judged(both, "late", TEXTS[:1])
    assert (verdict.decided_by, verdict.action) == ("model", memo.action)
    assert both.node().completions == 2


def test_events_wait_until_their_memory_is_restored(penstock: Penstock) -> None:
    """The answer that they wait for stands at the end of a changelog that takes its time to be read."""
    penstock.start(WORKERS[0])
    penstock.await_ready(WORKERS[0])
    judged(penstock, "first", TEXTS[:1])
    (memo,) = memos(penstock)
    penstock.stop(WORKERS[0])
    shutil.rmtree(penstock.data_dir / "memory")
    write(penstock, memo, before=BEFORE)
    ids = send(penstock, "copies", TEXTS[:1] * 20)
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
    verdicts = judged(both, "campaign", [TEXTS[0]] * 45 + [TEXTS[1]] * 9, authors=6)

    def told() -> list[Campaign]:
        return [decode_campaign(found.value) for found in both.read("campaigns")]

    until(lambda: len(told()) >= STEPS, within_s=20, what="all steps are told")
    assert [(one.step, one.copies) for one in told()] == [(1, 10), (2, 20), (3, 40)]
    assert {one.content_digest for one in told()} == {verdicts[0].content_digest}
    assert both.node().completions == 2


def test_a_copy_takes_a_tenth_of_the_time_of_what_is_judged(both: Penstock, record_property) -> None:
    """One after the other, at a node that is idle otherwise: from the arrival to the verdict."""
    first = [judged(both, f"first-{at}", [text])[0] for at, text in enumerate(TEXTS[:15])]
    copies = [judged(both, f"copy-{at}", [text])[0] for at, text in enumerate(TEXTS[:15])]
    assert (by(first), by(copies)) == ({"model"}, {"cache"})
    at_work = statistics.median(map(in_worker_ms, copies)) / statistics.median(map(in_worker_ms, first))
    whole = statistics.median(map(total_ms, copies)) / statistics.median(map(total_ms, first))
    record_property("copy_to_judged_in_worker", at_work)
    record_property("copy_to_judged_in_all", whole)
    assert at_work < COPY_MAX


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
