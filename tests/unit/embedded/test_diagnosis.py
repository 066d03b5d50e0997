"""What a user is told when a broker has ended: from what Kafka and Java write in such cases."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.embedded.diagnosis import explained, tail
from infra.errors import ExitCode

HERE = Path("/data/kafka")
GIGABYTE = 1 << 30


@pytest.mark.parametrize(
    ("log", "said", "words", "code"),
    [
        (
            (
                "2026-01-01T00:00:00Z ERROR Error while writing to checkpoint file (LogDirFailureChannel)\n"
                "java.io.IOException: No space left on device\n"
            ),
            "",
            "The disk of /data/kafka is full",
            ExitCode.TAKEN,
        ),
        (
            (
                "2026-01-01T00:00:00Z ERROR Exiting Kafka due to fatal exception (Kafka$)\n"
                "org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:9092: "
                "Address already in use.\n"
            ),
            "",
            "A port of the embedded Kafka in /data/kafka was taken while it started",
            ExitCode.TAKEN,
        ),
        ("", "java.nio.file.AccessDeniedException: data/x", "cannot write in /data/kafka", ExitCode.TAKEN),
        (
            "",
            "Terminating due to java.lang.OutOfMemoryError: Java heap space",
            "heap_mb",
            ExitCode.EMBEDDED_KAFKA,
        ),
        (
            "",
            "Error: Could not find or load main class kafka.Kafka",
            "(Could not find or load main class kafka.Kafka)",
            ExitCode.EMBEDDED_KAFKA,
        ),
        (
            "2026-01-01T00:00:00Z ERROR first (A)\n2026-01-01T00:00:00Z ERROR what was last (B)\n",
            "",
            "(what was last (B))",
            ExitCode.EMBEDDED_KAFKA,
        ),
        ("", "", "(it said nothing)", ExitCode.EMBEDDED_KAFKA),
    ],
)
def test_the_end_of_a_broker_is_told_in_a_sentence(log: str, said: str, words: str, code: ExitCode) -> None:
    failure = explained(HERE, log, said, GIGABYTE)
    assert words in failure.sentence
    assert failure.exit_code == code
    assert "\n" not in failure.sentence


@pytest.mark.parametrize(
    ("log", "is_own"),
    [
        ("", True),
        ("2026-01-01T00:00:00Z ERROR of an earlier life (A)\n", False),
        (
            "x ERROR trouble (A)\nKafka Server started (B)\nx INFO Terminating process due to signal (C)\n",
            True,
        ),
    ],
    ids=["killed", "started by somebody else", "told to end"],
)
def test_for_a_broker_that_somebody_ended_no_data_need_be_deleted(log: str, is_own: bool) -> None:
    sentence = explained(HERE, log, "", GIGABYTE, is_own=is_own).sentence
    assert "delete" not in sentence
    assert "start it again" in sentence


def test_where_a_broker_complains_its_directory_may_be_deleted() -> None:
    log = (
        "Kafka Server started (KafkaRaftServer)\nTerminating process due to signal SIGTERM\n"
        "Kafka Server started (KafkaRaftServer)\n2026-01-01T00:00:00Z ERROR bad data (A)\n"
    )
    assert "delete that directory" in explained(HERE, log, "", GIGABYTE).sentence


def test_a_full_disk_is_told_even_where_nothing_could_be_logged() -> None:
    assert "is full (0 MB left)" in explained(HERE, "", "", 0).sentence


def test_a_tail_is_the_end_of_a_file_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert tail(path) == ""
    path.write_bytes(b"x" * 100 + "ä and the end".encode())
    assert tail(path, 13) == "\N{REPLACEMENT CHARACTER} and the end"
    assert len(tail(path)) == 113
