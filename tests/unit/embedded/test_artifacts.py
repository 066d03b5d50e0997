"""The lock file: what it may say, and that the one we ship says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.embedded.artifacts import LOCK_FILE, Artifact, BadLock, Lock, parse_lock, read_lock

SHA = "ab" * 32
WORDS = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
ARTIFACTS = st.builds(
    Artifact,
    st.sampled_from(["kafka", "tools"]),
    st.builds("{}.{}:{}:{}".format, WORDS, WORDS, WORDS, st.from_regex(r"[0-9]\.[0-9]{1,3}", fullmatch=True)),
    st.integers(0, 10**9),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
)


def test_the_shipped_lock_names_a_broker_its_logging_and_the_tools() -> None:
    lock = read_lock()
    names = {one.coordinates.split(":")[1] for one in lock.of("kafka")}
    assert {"kafka_2.13", "kafka-clients", "log4j-slf4j-impl", "log4j-core"} <= names
    assert [one.coordinates.split(":")[1] for one in lock.of("tools")] == ["kafka-tools"]
    versions = {one.coordinates.split(":")[2] for one in lock.artifacts if ":kafka" in one.coordinates}
    assert versions == {lock.version}, "all of Kafka's jars are of one version"
    assert 30_000_000 < sum(one.size_bytes for one in lock.artifacts) < 80_000_000


def test_the_shipped_lock_names_no_host() -> None:
    text = LOCK_FILE.read_text()
    assert "://" not in text
    assert "www." not in text


def test_coordinates_say_the_path_in_any_repository() -> None:
    artifact = Artifact("kafka", "org.apache.kafka:kafka_2.13:4.3.1", 1, SHA)
    assert artifact.path == "org/apache/kafka/kafka_2.13/4.3.1/kafka_2.13-4.3.1.jar"


@given(st.lists(ARTIFACTS, max_size=8, unique_by=lambda one: one.path))
def test_what_is_written_is_read_again(artifacts: list[Artifact]) -> None:
    text = "# a comment\n\n" + "".join(f"{one.line}\n" for one in artifacts)
    assert parse_lock(text) == Lock(tuple(artifacts))


@given(st.text(max_size=200))
def test_any_text_is_a_lock_or_a_bad_one(text: str) -> None:
    try:
        lock = parse_lock(text)
    except BadLock:
        return
    assert all(one.line in text for one in lock.artifacts)


@pytest.mark.parametrize(
    "line",
    [
        f"kafka a:b:1 size=1 sha256={SHA[1:]}",
        f"kafka a:b size=1 sha256={SHA}",
        f"kafka a:b:1 size=-1 sha256={SHA}",
        f"other a:b:1 size=1 sha256={SHA}",
        f"kafka a:b:1 size=1 sha256={SHA} more",
        f"kafka ../a:b:1 size=1 sha256={SHA}",
        f"kafka a:..:1 size=1 sha256={SHA}",
        f"kafka a:b:1 size=1 sha256={SHA}\nkafka a:b:1 size=1 sha256={SHA}",
    ],
)
def test_a_line_that_is_no_jar_is_refused(line: str) -> None:
    with pytest.raises(BadLock, match=r"line [12]: "):
        parse_lock(line)


def test_a_lock_without_kafka_has_no_version() -> None:
    with pytest.raises(BadLock, match=r"kafka_2\.13"):
        _ = Lock(()).version
