"""A whole worker whose place in the group another process has taken: it stops, and says so."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient
from deadline import until
from upped import ROOT

from infra.running import ask

ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}


@contextmanager
def taken_place(kafka: str, group: str, topic: str) -> Iterator[None]:
    """Join under the name of the only member: the broker gives it to whoever comes last."""
    options = {"bootstrap.servers": kafka}
    admin = AdminClient(options)
    [member] = admin.describe_consumer_groups([group])[group].result(30).members
    other = ck.Consumer(options | {"group.id": group, "group.instance.id": member.group_instance_id})
    other.subscribe([topic])
    other.poll(1)
    try:
        yield
    finally:
        other.close()


def test_a_worker_that_was_replaced_ends_with_its_reason(
    kafka: str, topics_prefix: str, tmp_path: Path
) -> None:
    command = [
        *(sys.executable, "-P", "-m", "infra.cli", f"--data-dir={tmp_path}", f"--bootstrap={kafka}"),
        *(f"--set=topics.prefix={topics_prefix}", "--set=topics.partitions=2"),
        "--set=nodes=http://127.0.0.1:9",
    ]
    for words in (("topics", "create"), ("policy", "push")):
        subprocess.run([*command, *words], env=ENVIRONMENT, check=True, capture_output=True)
    worker = subprocess.Popen(
        [*command, "worker", "--stages=triage"], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    try:
        told = tmp_path / "run" / "worker-1.json"
        until(told.exists, within_s=30)
        url = json.loads(told.read_bytes())["url"]
        until(lambda: ask(f"{url}/ready")[0] == 200, within_s=60, what="the worker is ready")
        with taken_place(kafka, f"{topics_prefix}penstock.triage", f"{topics_prefix}content.low"):
            _, said = worker.communicate(timeout=60)
    finally:
        worker.kill()

    assert worker.returncode == 16, said
    assert "Traceback" not in said
    assert said.splitlines()[-1].endswith('"Exit code 16: fenced".')
