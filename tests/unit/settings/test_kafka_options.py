"""The Kafka settings mean the same to aiokafka and librdkafka; what cannot be used is told in a sentence."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from confluent_kafka import Consumer, Producer

from infra.errors import ExitCode, Failure
from infra.kafka import (
    admin_client,
    aiokafka_group_options,
    aiokafka_options,
    await_broker,
    bootstrap_of,
    consumer_options,
    librdkafka_options,
    producer_options,
    ssl_context,
)
from schemas.settings import KafkaSettings, Secret, Settings

pytestmark = pytest.mark.slow

SASL = KafkaSettings(
    security_protocol="SASL_PLAINTEXT",
    sasl_mechanism="PLAIN",
    sasl_username="u",
    sasl_password=Secret("hunter2"),
)


def test_both_libraries_are_told_the_same() -> None:
    aio, rd = aiokafka_options(SASL, "k:1"), librdkafka_options(SASL, "k:1")
    same = {
        "bootstrap_servers": "bootstrap.servers",
        "client_id": "client.id",
        "security_protocol": "security.protocol",
        "sasl_mechanism": "sasl.mechanism",
        "sasl_plain_username": "sasl.username",
        "sasl_plain_password": "sasl.password",
        "request_timeout_ms": "socket.timeout.ms",
    }
    assert {name: aio[name] for name in same} == {name: rd[dotted] for name, dotted in same.items()}
    assert aio["sasl_plain_password"] == "hunter2"
    assert aio["ssl_context"] is None


async def test_the_libraries_take_every_option() -> None:
    kafka = KafkaSettings(compression="zstd")
    consumer = AIOKafkaConsumer(
        **aiokafka_options(kafka, "127.0.0.1:1"), **aiokafka_group_options(kafka), group_id="g"
    )
    producer = AIOKafkaProducer(**aiokafka_options(kafka, "127.0.0.1:1"))
    assert consumer._group_id == "g"  # noqa: SLF001  It has no public sign of having been made.
    await consumer.stop()
    await producer.stop()
    assert Producer(producer_options(kafka, "127.0.0.1:1")) is not None
    Consumer(consumer_options(kafka, "127.0.0.1:1", "g")).close()
    assert admin_client(SASL, "127.0.0.1:1") is not None


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_we_produce_with_any_compression_our_consumer_can_read(compression: str) -> None:
    """Aiokafka reads lz4, snappy and zstd only where their codecs are installed."""
    from aiokafka.codec import has_gzip, has_lz4, has_snappy, has_zstd  # noqa: PLC0415  Private to this test.

    has = {"none": lambda: True, "gzip": has_gzip, "snappy": has_snappy, "lz4": has_lz4, "zstd": has_zstd}
    assert has[compression]()
    assert producer_options(KafkaSettings(compression=compression), "k:1")["compression.type"] == compression


def test_without_tls_there_is_no_context() -> None:
    assert ssl_context(KafkaSettings()) is None


@pytest.mark.parametrize("check", [True, False])
def test_the_host_name_is_checked_by_both_or_by_none(check: bool) -> None:
    kafka = KafkaSettings(security_protocol="SSL", ssl_check_hostname=check)
    context = ssl_context(kafka)
    assert context is not None
    assert context.check_hostname is check
    rendered = librdkafka_options(kafka, "k:1")["ssl.endpoint.identification.algorithm"]
    assert rendered == ("https" if check else "none")


class TestBadFiles:
    def complaint(self, kafka: KafkaSettings) -> str:
        told = set()
        for render in (aiokafka_options, librdkafka_options):
            with pytest.raises(Failure) as caught:
                render(kafka, "k:1")
            assert caught.value.exit_code == ExitCode.USAGE
            told.add(caught.value.sentence)
        assert len(told) == 1, "the libraries are judged differently"
        return told.pop()

    @pytest.mark.parametrize("name", ["ssl_ca_file", "ssl_cert_file", "ssl_key_file"])
    def test_a_missing_file(self, name: str, tmp_path: Path) -> None:
        there = tmp_path / "there"
        there.write_text("")
        names = {"ssl_cert_file": str(there), "ssl_key_file": str(there)} | {name: "nowhere.pem"}
        told = self.complaint(KafkaSettings(security_protocol="SSL", **names))
        assert (
            told
            == f"settings: kafka.{name} = nowhere.pem: the file cannot be read: No such file or directory"
        )

    def test_an_authority_that_is_none(self, tmp_path: Path) -> None:
        file = tmp_path / "ca.pem"
        file.write_text("not PEM")
        told = self.complaint(KafkaSettings(security_protocol="SSL", ssl_ca_file=str(file)))
        assert told == f"settings: kafka.ssl_ca_file = {file}: holds no certificate in PEM form"

    def test_a_certificate_that_is_none(self, tmp_path: Path) -> None:
        file = tmp_path / "c.pem"
        file.write_text("not PEM")
        told = self.complaint(
            KafkaSettings(
                security_protocol="SSL",
                ssl_cert_file=str(file),
                ssl_key_file=str(file),
                ssl_key_password=Secret("hunter2"),
            )
        )
        assert told == (
            f"settings: kafka.ssl_cert_file = {file}, kafka.ssl_key_file = {file}: are no "
            "certificate and its key in PEM form, or kafka.ssl_key_password is not the key's"
        )


class TestReaching:
    def test_a_broker_that_is_not_there_is_told_with_the_remedy(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            bootstrap = f"127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(Failure) as caught:
                await_broker(KafkaSettings(), bootstrap, within_s=0.6)
        assert caught.value.exit_code == ExitCode.KAFKA_UNREACHABLE
        assert caught.value.sentence == (
            f"Kafka at {bootstrap} did not answer within 0.6 s. The embedded one: see with `penstock kafka "
            "status` whether it runs. Another: see that --bootstrap leads to it, and that "
            "kafka.security_protocol is what its listener speaks."
        )

    def test_a_library_writes_nothing_between_a_command_s_lines(self) -> None:
        """In a process of its own, because pytest's logging would catch what a terminal would show."""
        program = (
            "from infra.errors import Failure\n"
            "from infra.kafka import await_broker\n"
            "from schemas.settings import KafkaSettings\n"
            "try:\n    await_broker(KafkaSettings(), '127.0.0.1:1', within_s=0.6)\n"
            "except Failure:\n    print('told')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.stdout, done.stderr) == ("told\n", "")

    def test_what_the_libraries_log_goes_where_the_process_logs(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING), pytest.raises(Failure):
            await_broker(KafkaSettings(), "127.0.0.1:1", within_s=0.6)
        assert {record.name for record in caplog.records} == {"librdkafka"}

    def test_the_address_of_the_settings_comes_first(self) -> None:
        assert bootstrap_of(Settings(kafka=KafkaSettings(bootstrap="k:1"))) == "k:1"

    def test_without_an_address_and_without_an_embedded_kafka_the_remedy_is_told(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(Failure) as caught:
            bootstrap_of(Settings(data_dir=str(tmp_path / "none")))
        assert caught.value.exit_code == ExitCode.KAFKA_UNREACHABLE
        assert caught.value.sentence == (
            f"No embedded Kafka runs for the data directory {tmp_path / 'none'}: start it with "
            "`penstock kafka start`, or name another Kafka with --bootstrap."
        )
