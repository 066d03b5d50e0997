"""`penstock cache` on a real Kafka: what stands in the changelog is found, and orders to forget are kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer
from msgspec.structs import replace
from samples import MEMO

from infra.cli import main
from infra.clients import Writer, reach
from infra.errors import ExitCode
from infra.kafka import producer_options
from infra.memos import find
from infra.orders import standing_orders
from infra.topics import ensure
from schemas.event import Moderate
from schemas.memory import Memo
from schemas.settings import KafkaSettings, Settings, TopicSettings
from schemas.wire import encode
from streams.core.cuts import Cuts
from streams.core.digest import content_digest
from streams.core.partitioning import partition_of
from streams.topics import Topics

PARTITIONS = 4
TEXT = "I will find you"
CONTENT = content_digest(Moderate(v=1, id="1", text=TEXT), secret=b"", scope="tenant")
NOW_MS = int(time.time() * 1_000)
HOUR_MS = 3_600_000
ONE = replace(
    MEMO,
    content_digest=CONTENT,
    judged_at_ms=NOW_MS - HOUR_MS,
    expires_at_ms=NOW_MS + HOUR_MS,
    action="block",
)


@pytest.fixture
def settings(kafka: str, topics_prefix: str) -> Settings:
    """Give settings under which all topics have been made."""
    made = Settings(
        kafka=KafkaSettings(bootstrap=kafka),
        topics=TopicSettings(prefix=topics_prefix, partitions=PARTITIONS),
    )
    ensure(made, reach(made))
    return made


@pytest.fixture
def remember(settings: Settings) -> Callable[[Memo], None]:
    """Write as a worker does: under the question's digest, to the content's partition."""
    producer = Producer(producer_options(settings.kafka, settings.kafka.bootstrap))

    def write(memo: Memo) -> None:
        producer.produce(
            Topics.of(settings.topics).memory,
            key=memo.question_digest.encode(),
            value=encode(memo),
            partition=partition_of(memo.content_digest.encode(), PARTITIONS),
        )
        assert producer.flush(10) == 0

    return write


@pytest.fixture
def cache(settings: Settings, tmp_path, capsys):
    """`penstock cache …`, as an operator runs it where no worker runs."""
    flags = [
        f"--bootstrap={settings.kafka.bootstrap}",
        f"--data-dir={tmp_path}",
        f"--set=topics.prefix={settings.topics.prefix}",
        f"--set=topics.partitions={PARTITIONS}",
    ]

    def run(*words: str) -> tuple[int, str, str]:
        code = main([*flags, "cache", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def states(out: str) -> list[str]:
    return [json.loads(line)["state"] for line in out.splitlines()]


def test_what_is_remembered_about_a_text_is_found_and_once_it_is_forgotten_told_as_such(cache, remember):
    remember(ONE)
    remember(replace(ONE, content_digest="e" * 32, question_digest="e" * 32))
    code, out, _ = cache("lookup", "--text", TEXT)
    assert code == ExitCode.OK
    assert out.startswith("block   answers    model:none\n")
    assert f"content {CONTENT}" in out
    assert cache("lookup", "--text", TEXT, "--tenant", "other") == (
        ExitCode.OK,
        "",
        f"Nothing is remembered about {_digest(TEXT, 'other')}.\n",
    )
    code, out, _ = cache("forget", "--digest", CONTENT)
    assert (code, out) == (
        ExitCode.OK,
        "forgotten: the order is written; no worker runs for this data directory to be asked\n",
    )
    assert states(cache("lookup", "--digest", CONTENT, "--json")[1]) == ["forgotten"]
    assert states(cache("lookup", "--digest", "e" * 32, "--json")[1]) == ["answers"]


def _digest(text: str, tenant: str) -> str:
    return content_digest(Moderate(v=1, id="1", text=text, tenant=tenant), secret=b"", scope="tenant")


def test_a_question_is_found_in_whatever_partition_its_content_lies(cache, remember):
    memos = [
        replace(ONE, content_digest=digit * 32, question_digest=f"{digit}" * 31 + "f")
        for digit in "0123456789"
    ]
    for memo in memos:
        remember(memo)
    found = [cache("lookup", "--digest", memo.question_digest, "--json")[1] for memo in memos]
    assert [json.loads(line)["memo"]["content_digest"] for line in found] == [
        memo.content_digest for memo in memos
    ]


def test_an_answer_that_has_expired_is_told_as_such(settings, remember):
    remember(replace(ONE, expires_at_ms=NOW_MS - 1))
    (one,) = find(settings, reach(settings), CONTENT, Cuts(), NOW_MS)
    assert one.state == "expired"


@pytest.mark.parametrize(
    ("flags", "is_forgotten"),
    [
        (("--all",), True),
        (("--older-than", "30m"), True),
        (("--older-than", "2h"), False),
        (("--policy", "default"), True),
        (("--policy", "default", "--older-than", "2h"), False),
        (("--policy", "other"), False),
        (("--model", "m-7b"), True),
        (("--model", "m-70b"), False),
    ],
)
def test_a_purge_forgets_what_it_says_and_nothing_else(cache, remember, flags, is_forgotten):
    remember(ONE)
    assert cache("purge", *flags)[0] == ExitCode.OK
    assert states(cache("lookup", "--digest", CONTENT, "--json")[1]) == [
        "forgotten" if is_forgotten else "answers"
    ]


def test_a_later_purge_of_older_answers_lets_none_in_again(cache, settings):
    """Also for who reads the topic after its compaction, and so finds the later order only."""
    cache("purge", "--all")
    first = standing_orders(settings, reach(settings)).cuts.before_ms("all")
    cache("purge", "--older-than", "2h")
    assert standing_orders(settings, reach(settings)).cuts.before_ms("all") == first


def test_what_is_no_order_keeps_nobody_from_giving_one(cache, settings):
    writer = Writer(settings, reach(settings))
    for value in (b"nope", b'{"v":1,"order":"dance","issued_at":"2026-01-01T00:00:00Z"}'):
        writer.write(Topics.of(settings.topics).control, b"x", value)
    writer.flush()
    assert cache("purge", "--all")[0] == ExitCode.OK
    assert len(standing_orders(settings, reach(settings)).cuts) == 1


def test_without_a_worker_that_remembers_there_are_no_figures(cache):
    code, _, err = cache("stats")
    assert code == ExitCode.NOT_RUNNING
    assert "No worker that remembers runs" in err


@pytest.mark.parametrize(
    "words",
    [("lookup", "--digest", "xyz"), ("lookup", "--text", ""), ("forget", "--digest", "A" * 32), ("purge",)],
)
def test_a_mistake_is_one_sentence(cache, words):
    code, out, err = cache(*words)
    assert (code, out, err.count("\n")) == (ExitCode.USAGE, "", 1)
