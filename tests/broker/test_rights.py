"""The rights that the runbook lists are what a worker's user needs: with them it works, without one it ends.

Against a real broker that lets a user do only what it was given the right to do.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from deadline import until
from tls import make_server
from upped import ROOT

from infra.embedded import EmbeddedKafka, SecureListener
from infra.running import ask
from schemas.settings import EmbeddedSettings

USER, PASSWORD = "worker", "correct-horse-battery-staple"
PREFIX = "mine."
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}

READ_GROUPS = [
    (ResourceType.GROUP, f"{PREFIX}penstock.{stage}", AclOperation.READ) for stage in ("triage", "judge")
]
ON_TOPICS = [
    (ResourceType.TOPIC, PREFIX, right)
    for right in (
        AclOperation.READ,
        AclOperation.WRITE,
        AclOperation.DESCRIBE,
        AclOperation.DESCRIBE_CONFIGS,
    )
]


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddedKafka, Path]]:
    """Give a broker on which nobody may do anything unasked, all topics made, and its authority."""
    server = make_server(tmp_path_factory.mktemp("tls"), host="127.0.0.1")
    listener = SecureListener(
        keystore=str(server.keystore),
        keystore_password=server.keystore_password,
        users={USER: PASSWORD},
        is_strict=True,
    )
    broker = EmbeddedKafka(tmp_path_factory.mktemp("strict"), EmbeddedSettings(), secure=listener)
    broker.start()
    try:
        for words in (("topics", "create"), ("policy", "push")):
            flags = (f"--bootstrap={broker.bootstrap}", f"--data-dir={tmp_path_factory.mktemp('admin')}")
            subprocess.run(
                [sys.executable, "-P", "-m", "infra.cli", *flags, f"--set=topics.prefix={PREFIX}", *words],
                env=ENVIRONMENT,
                check=True,
                capture_output=True,
            )
        yield broker, server.certificate
    finally:
        broker.stop()


@pytest.fixture
def command(strict: tuple[EmbeddedKafka, Path], tmp_path: Path) -> list[str]:
    """How a worker is started as the user whose rights are asked about."""
    broker, authority = strict
    (tmp_path / "password").write_text(PASSWORD)
    kafka = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": USER,
        "sasl_password_file": tmp_path / "password",
        "ssl_ca_file": authority,
    }
    return [
        *(sys.executable, "-P", "-m", "infra.cli"),
        *(f"--data-dir={tmp_path / 'data'}", f"--bootstrap={broker.secure_bootstrap}"),
        *(f"--set=topics.prefix={PREFIX}", "--set=nodes=http://127.0.0.1:9"),
        *(f"--set=kafka.{name}={value}" for name, value in kafka.items()),
        "worker",
    ]


@contextmanager
def granted(broker: EmbeddedKafka, rights: list[tuple[ResourceType, str, AclOperation]]) -> Iterator[None]:
    """Give the user these rights on all names that begin so, and take them away again."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    patterns = [
        (kind, name, ResourcePatternType.PREFIXED, f"User:{USER}", "*", right, AclPermissionType.ALLOW)
        for kind, name, right in rights
    ]
    for made in admin.create_acls([AclBinding(*pattern) for pattern in patterns]).values():
        made.result(30)
    try:
        yield
    finally:
        for gone in admin.delete_acls([AclBindingFilter(*pattern) for pattern in patterns]).values():
            gone.result(30)


def last_words(command: list[str]) -> tuple[int, str]:
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr.splitlines()[-1]


def test_with_the_rights_that_the_runbook_lists_a_worker_decides(
    strict: tuple[EmbeddedKafka, Path], command: list[str], tmp_path: Path
) -> None:
    broker, _ = strict
    with granted(broker, READ_GROUPS + ON_TOPICS), (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(command, env=ENVIRONMENT, stderr=log)
        try:
            told = tmp_path / "data" / "run" / "worker-1.json"
            until(told.exists, within_s=30)
            url = json.loads(told.read_bytes())["url"]
            until(lambda: ask(f"{url}/ready")[0] == 200, within_s=60, what="the worker is ready")
            producer = ck.Producer({"bootstrap.servers": broker.bootstrap})
            event = {"v": 1, "kind": "moderate", "id": "post-1", "text": "ok"}
            producer.produce(f"{PREFIX}content.critical", json.dumps(event).encode())
            assert producer.flush(30) == 0
            reader = ck.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "none"})
            reader.assign([ck.TopicPartition(f"{PREFIX}verdicts", at, 0) for at in range(8)])
            [verdict] = reader.consume(1, 30)
            reader.close()
            assert json.loads(verdict.value() or b"")["id"] == "post-1"
        finally:
            worker.terminate()
            assert worker.wait(30) == 0


def test_without_the_right_to_its_group_a_worker_says_which_and_ends(
    strict: tuple[EmbeddedKafka, Path], command: list[str]
) -> None:
    broker, _ = strict
    with granted(broker, ON_TOPICS):
        code, last = last_words(command)
    assert code == 17, last
    assert f"the group {PREFIX}penstock." in last
    assert last.endswith('"Exit code 17: forbidden".')


def test_without_the_right_to_read_a_topic_a_worker_says_which_and_ends(
    strict: tuple[EmbeddedKafka, Path], command: list[str]
) -> None:
    broker, _ = strict
    readable = [
        (ResourceType.TOPIC, f"{PREFIX}{name}", AclOperation.READ)
        for name in ("policy", "control", "pending.", "content.critical", "content.high", "content.low")
    ]
    with granted(broker, READ_GROUPS + ON_TOPICS[1:] + readable):
        code, last = last_words(command)
    assert code == 17, last
    assert f"the topic {PREFIX}content.medium" in last


@pytest.mark.parametrize(
    ("writable", "missing"),
    [((), "to any topic"), (("pending.", "dead-letters"), f"to the topic {PREFIX}verdicts")],
    ids=["no topic", "all but one"],
)
def test_without_the_right_to_write_a_topic_a_worker_says_which_and_ends(
    strict: tuple[EmbeddedKafka, Path], command: list[str], writable: tuple[str, ...], missing: str
) -> None:
    broker, _ = strict
    producer = ck.Producer({"bootstrap.servers": broker.bootstrap})
    event = {"v": 1, "kind": "moderate", "id": "post-2", "text": "ok"}
    producer.produce(f"{PREFIX}content.critical", json.dumps(event).encode())
    assert producer.flush(30) == 0
    rights = [right for right in ON_TOPICS if right[2] != AclOperation.WRITE]
    rights += [(ResourceType.TOPIC, f"{PREFIX}{name}", AclOperation.WRITE) for name in writable]
    with granted(broker, READ_GROUPS + rights):
        code, last = last_words(command)
    assert code == 17, last
    assert f"does not let our user write {missing}" in last
    assert last.endswith('"Exit code 17: forbidden".')
