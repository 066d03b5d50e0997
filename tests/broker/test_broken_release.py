"""A release whose rules raise at every event: the whole worker stops with code 14, and nothing is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import confluent_kafka as ck
from upped import ROOT

EVENTS = 50
SECRET = "what somebody wrote"
BROKEN = """
import sys
import agents.triage

def broken(event, *_, **__):
    raise ZeroDivisionError(event.text)

agents.triage.triage = broken
from infra.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_broken_release_stops_with_its_reason_and_condemns_nobody(
    kafka: str, topics_prefix: str, tmp_path: Path
) -> None:
    flags = (
        *(f"--data-dir={tmp_path / 'data'}", f"--bootstrap={kafka}", "--set=nodes=http://127.0.0.1:9"),
        *(f"--set=topics.prefix={topics_prefix}", "--set=topics.partitions=2"),
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", *words],
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    for words in (("topics", "create"), ("policy", "push")):
        assert run("-m", "infra.cli", *flags, *words).returncode == 0
    producer = ck.Producer({"bootstrap.servers": kafka})
    for number in range(EVENTS):
        event = {"v": 1, "kind": "moderate", "id": f"post-{number}", "text": SECRET}
        producer.produce(f"{topics_prefix}content.low", json.dumps(event).encode())
    assert producer.flush(30) == 0

    ended = run("-c", BROKEN, *flags, "worker", "--stages=triage")

    assert ended.returncode == 14, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("penstock: triage failed at all of ")
    assert ": ZeroDivisionError. What to do: docs/operations.md, " in last
    assert last.endswith('"Exit code 14: crash loop".')
    assert SECRET not in ended.stderr
    assert _written(kafka, topics_prefix) == {"verdicts": 0, "dead-letters": 0, "pending.low": 0}
    assert _committed(kafka, topics_prefix) == 0


def _written(kafka: str, prefix: str) -> dict[str, int]:
    consumer = ck.Consumer({"bootstrap.servers": kafka, "group.id": "unused"})
    written = {
        name: sum(
            consumer.get_watermark_offsets(ck.TopicPartition(f"{prefix}{name}", number), timeout=10)[1]
            for number in range(2)
        )
        for name in ("verdicts", "dead-letters", "pending.low")
    }
    consumer.close()
    return written


def _committed(kafka: str, prefix: str) -> int:
    consumer = ck.Consumer({"bootstrap.servers": kafka, "group.id": f"{prefix}penstock.triage"})
    places = [ck.TopicPartition(f"{prefix}content.low", number) for number in range(2)]
    known = consumer.committed(places, timeout=10)
    consumer.close()
    return sum(max(place.offset, 0) for place in known)
