"""TLS and SASL as settings, against a real broker's SASL_SSL listener, with both client libraries.

What is wrong (password, user, authority, host name, protocol) is told in a sentence that names the setting.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import NewTopic
from tls import Server, make_authority, make_server

from infra.embedded import EmbeddedKafka, SecureListener
from infra.errors import ExitCode, Failure
from infra.kafka import (
    admin_client,
    aiokafka_group_options,
    aiokafka_options,
    await_broker,
    consumer_options,
    producer_options,
)
from infra.settings import Sources, read
from schemas.settings import EmbeddedSettings, KafkaSettings

USER, PASSWORD = "penstock", "correct-horse-battery-staple"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Server:
    return make_server(tmp_path_factory.mktemp("tls"), host="127.0.0.1")


@pytest.fixture(scope="module")
def authority(server: Server) -> Path:
    """The certificate of the authority that signed the broker's."""
    return server.certificate


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of an authority that signed nothing here."""
    return make_authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Iterator[EmbeddedKafka]:
    """A broker that has, beside its plain listener, one that wants TLS and a password."""
    listener = SecureListener(
        keystore=str(server.keystore),
        keystore_password=server.keystore_password,
        users={USER: PASSWORD},
    )
    broker = EmbeddedKafka(tmp_path_factory.mktemp("guarded"), EmbeddedSettings(), secure=listener)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()


def settings_of(directory: Path, authority: Path, **changes: str) -> KafkaSettings:
    """The settings as an operator gives them: some in the file, the password in a file of its own."""
    (directory / "password").write_text(changes.pop("sasl_password", PASSWORD) + "\n")
    values = {
        "bootstrap": "127.0.0.1:1",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_username": USER,
        "sasl_password_file": "password",
        "ssl_ca_file": str(authority),
    } | changes
    lines = "".join(f'{name} = "{value}"\n' for name, value in values.items())
    (directory / "penstock.toml").write_text(f"[kafka]\n{lines}")
    return read(Sources(directory=directory)).settings.kafka


def make_topic(kafka: KafkaSettings, bootstrap: str, topic: str) -> None:
    admin = admin_client(kafka, bootstrap)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(timeout=30)


def complaint(kafka: KafkaSettings, bootstrap: str, *, within_s: float = 10) -> str:
    with pytest.raises(Failure) as caught:
        await_broker(kafka, bootstrap, within_s=within_s)
    assert caught.value.exit_code == ExitCode.KAFKA_UNREACHABLE
    return caught.value.sentence


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_both_libraries_pass_the_same_guard(
    mechanism: str, guarded: EmbeddedKafka, authority: Path, tmp_path: Path, topics_prefix: str
) -> None:
    kafka = settings_of(tmp_path, authority, sasl_mechanism=mechanism)
    bootstrap = guarded.secure_bootstrap
    topic = topics_prefix + "guarded"
    assert await_broker(kafka, bootstrap).brokers
    make_topic(kafka, bootstrap, topic)

    producer = Producer(producer_options(kafka, bootstrap))
    for number in range(10):
        producer.produce(topic, str(number).encode(), partition=0)
    assert producer.flush(30) == 0

    async with AIOKafkaConsumer(
        topic,
        **aiokafka_options(kafka, bootstrap),
        **aiokafka_group_options(kafka),
        group_id=topics_prefix + "g",
    ) as consumer:
        by_aiokafka = [int((await consumer.getone()).value) for _ in range(10)]
    assert by_aiokafka == list(range(10))

    reader = Consumer(consumer_options(kafka, bootstrap, topics_prefix + "r"))
    reader.assign([TopicPartition(topic, 0, 0)])
    by_librdkafka = [int(message.value()) for message in reader.consume(10, timeout=30)]
    reader.close()
    assert by_librdkafka == by_aiokafka


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), ("nobody", PASSWORD)])
def test_a_refused_user_is_named_at_once_and_the_password_is_not(
    mechanism: str, user: str, password: str, guarded: EmbeddedKafka, authority: Path, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    kafka = settings_of(
        tmp_path, authority, sasl_mechanism=mechanism, sasl_username=user, sasl_password=password
    )
    with caplog.at_level(logging.DEBUG):
        # Far within the time for which an answer would be awaited.
        told = complaint(kafka, guarded.secure_bootstrap, within_s=60)
    assert told == (
        f"Kafka at {guarded.secure_bootstrap} refused the user {user}: check kafka.sasl_username, "
        f"kafka.sasl_password and kafka.sasl_mechanism ({mechanism})."
    )
    assert password not in told + caplog.text


def test_a_certificate_of_another_authority_is_refused(
    guarded: EmbeddedKafka, stranger: Path, tmp_path: Path
) -> None:
    told = complaint(settings_of(tmp_path, stranger), guarded.secure_bootstrap, within_s=60)
    assert told == (
        f"The TLS handshake with Kafka at {guarded.secure_bootstrap} failed: its certificate must be "
        f"signed by {stranger} (kafka.ssl_ca_file) and name that host "
        "(kafka.ssl_check_hostname), and the listener must speak TLS."
    )


async def test_the_other_library_refuses_it_too(
    guarded: EmbeddedKafka, stranger: Path, tmp_path: Path
) -> None:
    consumer = AIOKafkaConsumer(**aiokafka_options(settings_of(tmp_path, stranger), guarded.secure_bootstrap))
    with pytest.raises(Exception, match="Unable to bootstrap"):
        await consumer.start()
    await consumer.stop()


def test_a_certificate_of_another_host_is_refused_unless_the_check_is_off(
    guarded: EmbeddedKafka, authority: Path, tmp_path: Path
) -> None:
    """The certificate names 127.0.0.1, and is asked for as localhost."""
    by_name = guarded.secure_bootstrap.replace("127.0.0.1", "localhost")
    kafka = settings_of(tmp_path, authority)
    assert complaint(kafka, by_name, within_s=60).startswith(
        f"The TLS handshake with Kafka at {by_name} failed"
    )

    loose = read(
        Sources(directory=tmp_path, environ={"PENSTOCK__KAFKA__SSL_CHECK_HOSTNAME": "false"})
    ).settings.kafka
    assert await_broker(loose, by_name).brokers


def test_tls_towards_a_plain_listener_is_told_of_the_protocol(
    guarded: EmbeddedKafka, authority: Path, tmp_path: Path
) -> None:
    """Neither side understands the other, and neither library can say more than that nobody answers."""
    told = complaint(settings_of(tmp_path, authority), guarded.bootstrap, within_s=2)
    assert "that kafka.security_protocol is what its listener speaks" in told


def test_a_plain_client_at_a_guarded_listener_is_told_of_the_protocol(guarded: EmbeddedKafka) -> None:
    told = complaint(KafkaSettings(), guarded.secure_bootstrap, within_s=2)
    assert "that kafka.security_protocol is what its listener speaks" in told


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression_of_a_producer_is_read_by_the_worker_s_library(
    compression: str, guarded: EmbeddedKafka, topics_prefix: str
) -> None:
    kafka = KafkaSettings(compression=compression)
    topic = topics_prefix + compression
    make_topic(kafka, guarded.bootstrap, topic)
    producer = Producer(producer_options(kafka, guarded.bootstrap))
    producer.produce(topic, b"a" * 10_000, partition=0)
    assert producer.flush(30) == 0
    async with AIOKafkaConsumer(
        topic, **aiokafka_options(kafka, guarded.bootstrap), auto_offset_reset="earliest"
    ) as consumer:
        assert (await consumer.getone()).value == b"a" * 10_000
