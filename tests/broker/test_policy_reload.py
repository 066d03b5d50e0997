"""New policies under traffic: every post is judged by one whole policy that was active, and none is lost.

Version N blocks the word of N and labels the word of N + 1, and knows no other: what a post with all words
gets tells the version that judged it, and a mixture of two versions would say what neither says.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import confluent_kafka as ck
import pytest
from deadline import eventually
from msgspec.structs import replace

from infra.clients import Writer, reach
from infra.errors import Failure
from infra.policies import default_policy_path, read
from infra.policy_topic import push
from infra.settings import Loaded, Sources
from infra.topics import ensure
from infra.worker import Worker
from schemas.event import Moderate
from schemas.policy import ActivePolicy, Policy, RegexRule, TermsRule
from schemas.settings import KafkaSettings, Settings, TopicSettings
from schemas.verdict import Verdict
from schemas.wire import decode_verdict, encode
from streams.core.digest import document_digest
from streams.core.policies import active_key, document_key
from streams.core.rules import CompiledPolicy, compile_policy

VERSIONS = 50
TAKEN_WITHIN_S = 2.0
POSTS_OF_A_BURST = 20
# Posts go on for so long at most; the pushes end them before.
SENDING_S_MAX = 60.0
BAD_VERSION = 1_000


def marker(version: int) -> str:
    """A word that no other version knows: letters only, as digits may be read as letters."""
    return "marker" + "".join(chr(ord("a") + int(digit)) for digit in f"{version:03d}")


def version_of(base: Policy, version: int) -> CompiledPolicy:
    """Version N: blocks its own word, labels that of the next one, and one more rule at its very end."""
    return compile_policy(
        replace(
            base,
            version=version,
            rules=(
                TermsRule(id=f"block-{version}", action="block", label="spam", terms=(marker(version),)),
                TermsRule(id=f"label-{version}", action="label", label="scam", terms=(marker(version + 1),)),
                RegexRule(id=f"last-{version}", action="label", label="hate", patterns=("^all ",)),
            ),
        )
    )


TEXT = f"all {' '.join(marker(version) for version in range(1, VERSIONS + 2))}"
"""Under version N: blocked for the word of N, and labelled by all three of its rules."""


def reasons_under(version: int) -> tuple[str, ...]:
    """What version N alone says of the text."""
    return tuple(f"rule:{rule}-{version}" for rule in ("block", "label", "last"))


@dataclass
class Traffic:
    """Posts that go on, from a thread of their own, until it is told to stop."""

    bootstrap: str
    topic: str
    sent: list[str] = field(default_factory=list)
    is_over: bool = False

    def send(self) -> None:
        producer = ck.Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 1})
        until_s = time.monotonic() + SENDING_S_MAX
        while not self.is_over and time.monotonic() < until_s:
            for _ in range(POSTS_OF_A_BURST):
                self.sent.append(f"post-{len(self.sent)}")
                post = Moderate(v=1, id=self.sent[-1], text=TEXT, author="someone")
                producer.produce(self.topic, encode(post), self.sent[-1])
            # Confirmed before the next burst, so there is traffic all the time and never a backlog.
            assert producer.flush(30) == 0


@pytest.fixture
def loaded(kafka: str, topics_prefix: str, tmp_path: Path) -> Loaded:
    """Give settings under which all topics have been made."""
    settings = Settings(
        data_dir=str(tmp_path / "data"),
        kafka=KafkaSettings(bootstrap=kafka),
        topics=TopicSettings(prefix=topics_prefix, partitions=2),
    )
    ensure(settings, reach(settings))
    return Loaded(settings=settings, origins={}, sources=Sources())


async def test_fifty_policies_under_traffic_judge_whole_and_in_their_time(loaded: Loaded) -> None:
    settings, base = loaded.settings, read(default_policy_path()).policy
    versions = {number: version_of(base, number) for number in range(1, VERSIONS + 1)}
    pushed_at_ms = {1: 0}
    push(versions[1], settings)
    worker = Worker(loaded, "worker-1", ("triage",))
    running = asyncio.ensure_future(worker.run())
    await eventually(lambda: not worker.waits_for, within_s=30, what="the worker is ready")
    traffic = Traffic(settings.kafka.bootstrap, f"{settings.topics.prefix}content.critical")
    sending = asyncio.ensure_future(asyncio.to_thread(traffic.send))
    await eventually(lambda: worker.tally.rules.posts > 0, within_s=30, what="there is traffic")

    for number in range(2, VERSIONS + 1):
        pushed_at_ms[number] = worker.clock.wall_ms()
        await asyncio.to_thread(push, versions[number], settings)
        if number % 10 == 0:
            with pytest.raises(Failure):
                await asyncio.to_thread(push, versions[number - 1], settings)
            await _survives_a_bad_one(worker, settings, versions[number])
    await eventually(
        lambda: _version(worker) == VERSIONS, within_s=TAKEN_WITHIN_S, what="the last version is taken"
    )
    of_last = worker.tally.rules.posts
    await eventually(lambda: worker.tally.rules.posts > of_last, within_s=10, what="it has judged")
    traffic.is_over = True
    await sending
    counts = worker.partitions["triage"].counts
    await eventually(lambda: counts.settled >= len(traffic.sent), within_s=30, what="all is settled")
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0

    verdicts = list(_verdicts(settings))
    assert len(traffic.sent) > VERSIONS
    assert sorted(verdict.id for verdict in verdicts) == sorted(traffic.sent)
    for verdict in verdicts:
        version = verdict.policy.version
        assert verdict.policy == versions[version].ref
        assert verdict.action == "block"
        assert verdict.reasons == reasons_under(version)
        assert [label.name for label in verdict.labels] == ["spam", "scam", "hate"]
        assert verdict.decided_at is not None
        assert verdict.decided_at.timestamp() * 1_000 >= pushed_at_ms[version] - 1
    # Many versions have judged, one after the other in each partition, and the last one is among them.
    for partition in range(settings.topics.partitions):
        own = sorted(
            (one.source.offset, one.policy.version) for one in verdicts if one.source.partition == partition
        )
        assert own
        assert [version for _, version in own] == sorted(version for _, version in own)
    assert VERSIONS in {verdict.policy.version for verdict in verdicts}
    assert len({verdict.policy.version for verdict in verdicts}) > VERSIONS // 2


def _version(worker: Worker) -> int:
    (policy,) = worker.status().policies
    return policy.version


async def _survives_a_bad_one(worker: Worker, settings: Settings, good: CompiledPolicy) -> None:
    """A bad policy is made active, past every check, and is refused: the one before it goes on judging."""
    rule = RegexRule(id="bad", action="block", label="spam", patterns=("(?=never)",))
    bad = replace(good.policy, version=BAD_VERSION + good.ref.version, rules=(rule,))
    refused = worker.tally.errors
    await asyncio.to_thread(_force, settings, bad)
    await eventually(lambda: worker.tally.errors > refused, within_s=10, what="the bad one is refused")
    judged = worker.tally.rules.posts
    await eventually(lambda: worker.tally.rules.posts > judged, within_s=10, what="posts are judged")
    assert _version(worker) == good.ref.version
    await asyncio.to_thread(_force, settings, good.policy)


def _force(settings: Settings, policy: Policy) -> None:
    """Publish a document past every check, and make it active."""
    document = encode(policy)
    pointer = ActivePolicy(v=1, id=policy.id, version=policy.version, digest=document_digest(document))
    writer = Writer(settings, reach(settings))
    topic = f"{settings.topics.prefix}policy"
    writer.write(topic, document_key(pointer.digest), document)
    writer.flush()
    writer.write(topic, active_key(policy.id), encode(pointer))
    writer.flush()


def _verdicts(settings: Settings) -> Iterator[Verdict]:
    consumer = ck.Consumer(
        {"bootstrap.servers": settings.kafka.bootstrap, "group.id": "reads", "enable.partition.eof": True}
    )
    topic, partitions = f"{settings.topics.prefix}verdicts", settings.topics.partitions
    consumer.assign([ck.TopicPartition(topic, at, 0) for at in range(partitions)])
    ended: set[int] = set()
    while len(ended) < partitions:
        message = consumer.poll(10)
        assert message is not None, "the verdicts are there"
        if message.error():
            ended.add(message.partition() or 0)
        else:
            yield decode_verdict(message.value() or b"")
    consumer.close()
