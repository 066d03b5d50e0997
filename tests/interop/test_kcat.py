"""kcat, a foreign program on librdkafka, produces raw JSON and reads the verdict."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from upped import upped

from streams.core.partitioning import partition_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "kcat.sh"
WITHIN_S = 90


@pytest.fixture
def kcat(kafka):
    """Run kcat against the broker; gives what it printed."""
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed (Debian package kcat)")

    def run(*arguments: str, fed: str = "") -> str:
        done = subprocess.run(
            ["kcat", "-q", "-b", kafka, *arguments],
            input=fed,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_kcat_produces_events_and_reads_their_verdicts(kcat, kafka, topics_prefix, tmp_path):
    events = {
        f"kcat-{number}": {"v": 1, "id": f"kcat-{number}", "kind": "moderate", "text": f"Post no. {number}."}
        for number in range(5)
    }
    with upped(tmp_path, kafka, topics_prefix):
        for event in events.values():
            kcat("-P", "-t", f"{topics_prefix}content.critical", "-k", "author-1", fed=json.dumps(event))
        printed = kcat(
            *("-C", "-t", f"{topics_prefix}verdicts", "-o", "beginning", "-c", str(len(events))),
            *("-f", "%k %p %s\n"),
        )

    verdicts = {}
    for line in printed.splitlines():
        key, partition, value = line.split(" ", 2)
        verdict = json.loads(value)
        assert key == f"default/{verdict['id']}"
        assert int(partition) == partition_of(key.encode(), 2), "as Java's partitioner would"
        verdicts[verdict["id"]] = verdict
    assert verdicts.keys() == events.keys()
    assert {verdict["v"] for verdict in verdicts.values()} == {1}


def test_kcat_sends_a_trace_header_and_the_worker_carries_it_on(kcat, kafka, topics_prefix, tmp_path):
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    event = {"v": 1, "id": "traced-1", "kind": "moderate", "text": "Have a nice day, everybody here."}
    with upped(tmp_path, kafka, topics_prefix):
        kcat(
            *("-P", "-t", f"{topics_prefix}content.critical"),
            *("-H", f"traceparent=00-{trace_id}-00f067aa0ba902b7-01"),
            fed=json.dumps(event),
        )
        printed = kcat("-C", "-t", f"{topics_prefix}verdicts", "-o", "beginning", "-c", "1", "-f", "%h\n")

    assert printed.startswith(f"traceparent=00-{trace_id}-")


def test_the_example_awaits_the_verdict_on_its_event(kcat, kafka, topics_prefix, tmp_path):
    with upped(tmp_path, kafka, topics_prefix):
        done = subprocess.run(
            [EXAMPLE, kafka, 'Have a "nice" day \\o/ everybody here.'],
            env={**os.environ, "PREFIX": topics_prefix},
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )

    assert (done.returncode, done.stderr) == (0, "")
    verdict = json.loads(done.stdout)
    assert verdict["id"].startswith("kcat-")
    assert verdict["source"]["partition"] == partition_of(b"author-1", 2), "keyed as Java would"
