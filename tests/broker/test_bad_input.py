"""What may come in: every record ends in one verdict or one dead letter, and none stops the others.

A whole Penstock runs; records are produced raw, as any app could, good and bad in turn, to one partition.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import confluent_kafka as ck
import pytest
from deadline import until
from upped import ROOT, upped

from schemas.dead_letter import DeadLetter
from schemas.verdict import Verdict
from schemas.wire import decode_dead_letter, decode_verdict

TEN_DAYS_MS = 10 * 24 * 3_600_000


def event(event_id: str, **fields: Any) -> bytes:
    """A good event, with some fields made otherwise."""
    good = {"v": 1, "id": event_id, "kind": "moderate", "text": f"a letter to {event_id}"}
    return json.dumps(good | fields).encode()


class Bad(NamedTuple):
    """A record that nobody can judge: its bytes, its dead letter's code, and the key read from it."""

    payload: bytes | None
    code: str
    key: bytes | None = None


BAD: dict[str, Bad] = {
    "no value at all": Bad(None, "malformed_payload"),
    "not JSON": Bad(b"\x00\x01 hello", "malformed_payload"),
    "JSON of the wrong type": Bad(b"[1, 2, 3]", "malformed_payload"),
    "a field of the wrong type": Bad(event("b1", text=17), "malformed_payload", b"default/b1"),
    "an unknown kind": Bad(event("b2", kind="applaud"), "unknown_kind", b"default/b2"),
    "an unknown version": Bad(event("b3", v=99), "unknown_version", b"default/b3"),
    "an empty text": Bad(event("b4", text=""), "malformed_payload", b"default/b4"),
    "a text over the limit": Bad(event("b5", text="x" * 70_000), "too_large", b"default/b5"),
    "invalid UTF-8": Bad(event("b6").replace(b"letter", b"l\xff\xfe"), "malformed_payload", b"default/b6"),
    "a lone surrogate": Bad(event("b7").replace(b"letter", rb"\ud800"), "malformed_payload", b"default/b7"),
    "nested 10,000 deep": Bad(b'{"v":1,"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "malformed_payload"),
    "a NUL in the id": Bad(event("b8\x00"), "malformed_payload"),
    "a policy that is not there": Bad(event("b9", policy="nowhere"), "unknown_policy", b"default/b9"),
}


class Penstock(NamedTuple):
    """What a test needs of the running whole."""

    bootstrap: str
    prefix: str
    data_dir: Path


@pytest.fixture(scope="module")
def penstock(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Penstock]:
    """Run one Penstock for all tests here."""
    prefix = f"bad{time.time_ns():x}."
    with upped(tmp_path_factory.mktemp("bad"), kafka, prefix) as data_dir:
        yield Penstock(kafka, prefix, data_dir)


def produce(penstock: Penstock, records: list[bytes | None], *, timestamp_ms: int = 0) -> None:
    """Write raw records to one partition of `content.critical`, as an app without any code of ours."""
    producer = ck.Producer({"bootstrap.servers": penstock.bootstrap})
    for record in records:
        producer.produce(
            f"{penstock.prefix}content.critical", record, b"a key of the app", 0, timestamp=timestamp_ms
        )
    assert producer.flush(30) == 0


def everything(penstock: Penstock, topic: str) -> list[ck.Message]:
    """All that stands in a topic now."""
    consumer = ck.Consumer({"bootstrap.servers": penstock.bootstrap, "group.id": "unused"})
    tps = [ck.TopicPartition(f"{penstock.prefix}{topic}", number, 0) for number in range(2)]
    left = {tp.partition: end for tp in tps if (end := consumer.get_watermark_offsets(tp, timeout=10)[1])}
    consumer.assign(tps)
    found = []
    while left:
        for message in consumer.consume(500, 1):
            found.append(message)
            if message.offset() + 1 >= left.get(message.partition(), 0):
                left.pop(message.partition(), None)
    consumer.close()
    return found


def verdicts(penstock: Penstock) -> list[Verdict]:
    return [decode_verdict(message.value()) for message in everything(penstock, "verdicts")]


def dead_letters(penstock: Penstock) -> list[tuple[bytes | None, DeadLetter]]:
    return [
        (message.key(), decode_dead_letter(message.value()))
        for message in everything(penstock, "dead-letters")
    ]


def verdicts_on(penstock: Penstock, ids: set[str]) -> list[Verdict]:
    """Wait until all of these ids have a verdict."""
    return until(
        lambda: (
            found
            if (found := [verdict for verdict in verdicts(penstock) if verdict.id in ids])
            and {verdict.id for verdict in found} == ids
            else []
        ),
        within_s=30,
        every_s=0.3,
        what=f"verdicts on {sorted(ids)}",
    )


def test_each_bad_record_becomes_one_dead_letter_and_the_good_ones_beside_it_get_their_verdicts(
    penstock: Penstock,
) -> None:
    good = {f"good-{number}" for number in range(len(BAD) + 1)}
    mixed: list[bytes | None] = [event("good-0")]
    for number, bad in enumerate(BAD.values(), start=1):
        mixed += [bad.payload, event(f"good-{number}")]
    produce(penstock, mixed)

    verdicts_on(penstock, good)
    letters = until(
        lambda: found if len(found := dead_letters(penstock)) >= len(BAD) else [], within_s=30, every_s=0.3
    )
    told = {letter.payload: (letter.code, key) for key, letter in letters}
    assert told == {bad.payload: (bad.code, bad.key) for bad in BAD.values()}
    assert len(letters) == len(BAD), "one for each, and no other"
    assert all(letter.key == b"a key of the app" and letter.stage == "triage" for _, letter in letters)


def test_a_nul_in_a_text_is_content_like_any_other(penstock: Penstock) -> None:
    produce(penstock, [event("nul", text="a letter\x00 with a hole")])
    assert len(verdicts_on(penstock, {"nul"})) == 1


def test_the_same_id_twice_is_one_judgement_for_each_text(penstock: Penstock) -> None:
    same, other = event("twice"), event("twice", text="a letter of another kind altogether")
    produce(penstock, [same, same, other])
    found = until(
        lambda: found if len(found := verdicts_on(penstock, {"twice"})) == 3 else [], within_s=30, every_s=0.3
    )
    effective = {(verdict.tenant, verdict.id, verdict.content_digest) for verdict in found}
    assert len(effective) == 2, "an edited text is a new judgement"
    assert len({verdict.verdict_id for verdict in found}) == 2, "repeats share their name"


def test_an_event_of_ten_days_ago_is_kept_and_judged(penstock: Penstock) -> None:
    long_ago_ms = time.time_ns() // 1_000_000 - TEN_DAYS_MS
    produce(penstock, [event("old", created_at="2020-01-01T00:00:00Z")], timestamp_ms=long_ago_ms)
    (verdict,) = verdicts_on(penstock, {"old"})
    # The broker set the time, so that retention counts from now, and so do deadlines.
    assert verdict.source.timestamp_ms > long_ago_ms + TEN_DAYS_MS // 2
    assert verdict.timing.total_ms < TEN_DAYS_MS // 2


def test_ten_megabytes_are_refused_by_the_broker_and_by_our_own_command(penstock: Penstock) -> None:
    errors: list[Any] = []
    producer = ck.Producer({"bootstrap.servers": penstock.bootstrap, "message.max.bytes": 20 << 20})
    producer.produce(
        f"{penstock.prefix}content.critical",
        event("huge", text="x" * (10 << 20)),
        on_delivery=lambda error, _: errors.append(error.name()),
    )
    producer.flush(30)
    assert errors == ["MSG_SIZE_TOO_LARGE"]

    said = command(penstock, "send", "--file", "-", stdin=event("huge", text="x" * (10 << 20)))
    assert said.returncode == 2
    assert "Traceback" not in said.stderr
    assert said.stderr.count("\n") == 1, said.stderr


def test_live_settings_are_taken_up_at_a_hangup_signal(kafka: str, tmp_path: Path) -> None:
    prefix = f"live{time.time_ns():x}."
    file = tmp_path / "penstock.toml"
    file.write_text("[limits]\ntext_bytes_max = 4096\n")
    with upped(tmp_path, kafka, prefix, f"--config={file}") as data_dir:
        running = Penstock(kafka, prefix, data_dir)
        produce(running, [event("before", text="x " * 1_000)])
        verdicts_on(running, {"before"})
        file.write_text("[limits]\ntext_bytes_max = 1024\n")
        worker = json.loads((data_dir / "run" / "worker-1.json").read_text())["pid"]
        subprocess.run(["kill", f"-{int(signal.SIGHUP)}", str(worker)], check=True)

        def is_taken_up() -> bool:
            number = time.monotonic_ns()
            produce(running, [event(f"after-{number}", text="x " * 1_000)])
            return any(letter.code == "too_large" for _, letter in dead_letters(running))

        until(is_taken_up, within_s=30, every_s=0.3)


def test_a_worker_without_a_policy_says_so(kafka: str, tmp_path: Path) -> None:
    there = Penstock(kafka, f"nopolicy{time.time_ns():x}.", tmp_path / "data")
    assert command(there, "topics", "create").returncode == 0
    said = command(there, "--set=nodes=http://127.0.0.1:9", "worker")
    assert said.returncode == 5
    assert "penstock policy push" in said.stderr
    assert said.stderr.endswith('What to do: docs/operations.md, "Exit code 5: policy".\n')
    assert said.stderr.count("\n") == 1, said.stderr


def test_a_worker_without_topics_says_so(kafka: str, tmp_path: Path) -> None:
    there = Penstock(kafka, f"notopics{time.time_ns():x}.", tmp_path / "data")
    said = command(there, "--set=nodes=http://127.0.0.1:9", "worker")
    assert said.returncode == 4
    assert "penstock topics create" in said.stderr


def test_a_worker_without_a_broker_says_so(tmp_path: Path) -> None:
    nowhere = Penstock("127.0.0.1:9", "", tmp_path / "data")
    said = command(nowhere, "--set=nodes=http://127.0.0.1:9", "worker")
    assert said.returncode == 3
    assert "127.0.0.1:9" in said.stderr
    assert "Traceback" not in said.stderr


def test_a_worker_without_a_node_waits_for_it_and_loses_nothing(kafka: str, tmp_path: Path) -> None:
    prefix = f"nonode{time.time_ns():x}."
    with upped(tmp_path, kafka, prefix, "--set=nodes=http://127.0.0.1:9") as data_dir:
        running = Penstock(kafka, prefix, data_dir)
        produce(running, [event("patient", text="would you say that this is a letter to a friend, or not?")])

        def status() -> dict[str, Any]:
            return dict(json.loads(command(running, "status", "--json").stdout))

        until(lambda: _state_of_the_node(status()) == "out", within_s=30, every_s=0.3)
        assert not verdicts(running)
        assert not dead_letters(running)


def _state_of_the_node(status: dict[str, Any]) -> str:
    nodes = [node["state"] for worker in status["workers"].values() for node in worker["nodes"]]
    return nodes[0] if nodes else ""


def test_a_stop_during_the_start_is_a_clean_one(kafka: str, tmp_path: Path) -> None:
    prefix = f"early{time.time_ns():x}."
    ended = Counter[int]()
    for delay_s in (0.05, 0.3, 0.5, 0.6, 0.7, 1.0, 1.5):
        process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "infra.cli",
                f"--data-dir={tmp_path}",
                f"--bootstrap={kafka}",
                f"--set=topics.prefix={prefix}",
                "--set=topics.partitions=2",
                "up",
            ],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
        assert b"Traceback" not in said, said.decode()
        ended[process.returncode] += 1
        until(lambda: not processes_about(tmp_path), within_s=5, what="no process is left")
    # Before Python has installed a handler the signal itself ends the process.
    assert set(ended) <= {0, -signal.SIGTERM}, (ended, said)


def processes_about(directory: Path) -> list[str]:
    """The command lines of all processes that name a directory."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            # It ended while we looked.
            continue
        if str(directory) in line:
            found.append(line)
    return found


def command(penstock: Penstock, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run a command as an operator would."""
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "infra.cli"),
            *(f"--data-dir={penstock.data_dir}", f"--bootstrap={penstock.bootstrap}"),
            *(f"--set=topics.prefix={penstock.prefix}", "--set=topics.partitions=2"),
            *words,
        ],
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
