"""Kafka as our clients see it: one set of settings, rendered for aiokafka and for librdkafka alike.

Every client of Penstock is made from the options below, so that security, timeouts and bounds cannot differ
between the consumer under Faust, the producers and the command line. Foreign errors of connecting end here.
"""

from __future__ import annotations

import logging
import ssl
import time
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException

# The stubs export it by accident of style only; it is documented as public.
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]

from infra.errors import ExitCode, Failure
from schemas.settings import KafkaSettings, Settings

# How long a command waits for a broker that should be there; one that is starting takes 2 to 4 s.
REACH_WITHIN_S = 10.0
# One try within that time: short, so that a refused password is told at once and not at the end.
_TRY_S = 0.25
# librdkafka's own pause between two tries grows to 10 s, and so long could a worker write nothing after a
# broker is back. One try a second costs nothing.
_RECONNECT_MS, _RECONNECT_MAX_MS = 50, 1_000
_LIBRARIES = ("aiokafka", "librdkafka")


def bootstrap_of(settings: Settings) -> str:
    """The address to connect to: the settings', else that of this data directory's embedded Kafka."""
    if settings.kafka.bootstrap:
        return settings.kafka.bootstrap
    # Imported where it is needed: who brings a Kafka along never loads the embedded one.
    from infra.embedded import bootstrap_of as embedded_bootstrap_of  # noqa: PLC0415

    found = embedded_bootstrap_of(Path(settings.data_dir))
    if found is None:
        raise Failure(
            f"No embedded Kafka runs for the data directory {settings.data_dir}: start it with "
            "`penstock kafka start`, or name another Kafka with --bootstrap.",
            exit_code=ExitCode.KAFKA_UNREACHABLE,
        )
    return found


def ssl_context(kafka: KafkaSettings) -> ssl.SSLContext | None:
    """The TLS context that the settings describe, None where the protocol has no TLS."""
    if not kafka.security_protocol.endswith("SSL"):
        return None
    for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file"):
        _check_readable(name, getattr(kafka, name))
    try:
        context = ssl.create_default_context(cafile=kafka.ssl_ca_file or None)
    except ssl.SSLError:
        raise _bad_file(
            f"kafka.ssl_ca_file = {kafka.ssl_ca_file}: holds no certificate in PEM form"
        ) from None
    context.check_hostname = kafka.ssl_check_hostname
    if kafka.ssl_cert_file:
        try:
            # The password is always given, if empty: OpenSSL would ask for a missing one on the terminal.
            context.load_cert_chain(kafka.ssl_cert_file, kafka.ssl_key_file, kafka.ssl_key_password.reveal)
        except ssl.SSLError:
            raise _bad_file(
                f"kafka.ssl_cert_file = {kafka.ssl_cert_file}, kafka.ssl_key_file = {kafka.ssl_key_file}: "
                "are no certificate and its key in PEM form, or kafka.ssl_key_password is not the key's"
            ) from None
    return context


def aiokafka_options(kafka: KafkaSettings, bootstrap: str) -> dict[str, Any]:
    """The connection options that aiokafka's consumers, producers and admin clients share."""
    _quiet_libraries()
    options: dict[str, Any] = {
        "bootstrap_servers": bootstrap,
        "client_id": kafka.client_id,
        "request_timeout_ms": kafka.request_timeout_ms,
        "security_protocol": kafka.security_protocol,
        "ssl_context": ssl_context(kafka),
    }
    if kafka.security_protocol.startswith("SASL_"):
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password.reveal(),
        }
    return options


def aiokafka_group_options(kafka: KafkaSettings) -> dict[str, Any]:
    """What a consumer in a group is given beside the connection options."""
    return {
        "session_timeout_ms": kafka.session_timeout_ms,
        "heartbeat_interval_ms": kafka.heartbeat_interval_ms,
        "rebalance_timeout_ms": kafka.rebalance_timeout_ms,
        "fetch_max_wait_ms": kafka.fetch_wait_ms,
        "max_partition_fetch_bytes": kafka.fetch_bytes_max,
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
    }


def librdkafka_options(kafka: KafkaSettings, bootstrap: str) -> dict[str, Any]:
    """The connection options that librdkafka's clients share; an admin client needs no others."""
    _quiet_libraries()
    options: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "client.id": kafka.client_id,
        "socket.timeout.ms": kafka.request_timeout_ms,
        "reconnect.backoff.ms": _RECONNECT_MS,
        "reconnect.backoff.max.ms": _RECONNECT_MAX_MS,
        "security.protocol": kafka.security_protocol,
        # A connection that the broker closes because it was idle is not worth a line.
        "log.connection.close": False,
        "logger": logging.getLogger("librdkafka"),
    }
    # aiokafka's context is made here, too: it finds a bad file before librdkafka fails in words of its own.
    if ssl_context(kafka) is not None:
        options |= _librdkafka_tls(kafka)
    if kafka.security_protocol.startswith("SASL_"):
        options |= {
            "sasl.mechanism": kafka.sasl_mechanism,
            "sasl.username": kafka.sasl_username,
            "sasl.password": kafka.sasl_password.reveal(),
        }
    return options


def producer_options(kafka: KafkaSettings, bootstrap: str) -> dict[str, Any]:
    """A producer that loses, doubles and reorders nothing.

    It has no partitioner: partitions are named, or left to the one that `KafkaPublisher` chooses.
    """
    return librdkafka_options(kafka, bootstrap) | {
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": kafka.linger_ms,
        "batch.size": kafka.batch_bytes_max,
        "compression.type": kafka.compression,
        "queue.buffering.max.messages": kafka.queue_records_max,
        "queue.buffering.max.kbytes": kafka.queue_kbytes_max,
        "message.max.bytes": kafka.message_bytes_max,
        "request.timeout.ms": kafka.request_timeout_ms,
        "delivery.timeout.ms": kafka.delivery_timeout_ms,
    }


def consumer_options(kafka: KafkaSettings, bootstrap: str, group: str) -> dict[str, Any]:
    """A consumer that commits nothing by itself; a missing position is an error, never a silent jump."""
    return librdkafka_options(kafka, bootstrap) | {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        "session.timeout.ms": kafka.session_timeout_ms,
        "heartbeat.interval.ms": kafka.heartbeat_interval_ms,
        "fetch.wait.max.ms": kafka.fetch_wait_ms,
        "fetch.message.max.bytes": kafka.fetch_bytes_max,
    }


def admin_client(kafka: KafkaSettings, bootstrap: str) -> AdminClient:
    """A client for topics, groups and configurations; it connects when it is first asked."""
    return AdminClient(librdkafka_options(kafka, bootstrap))


def await_broker(
    kafka: KafkaSettings, bootstrap: str, *, within_s: float = REACH_WITHIN_S
) -> ClusterMetadata:
    """What the cluster says of itself, as soon as it answers; a `Failure` with the remedy if it does not."""
    complaints: list[KafkaError] = []
    options = librdkafka_options(kafka, bootstrap)
    client = AdminClient(options | {"error_cb": complaints.append})
    deadline = time.monotonic() + within_s
    while True:
        try:
            return client.list_topics(timeout=_TRY_S)
        except KafkaException:
            # The reason comes through the callback, which is served here.
            client.poll(0)
        failure = _decisive(complaints, kafka, bootstrap)
        if failure is None and time.monotonic() >= deadline:
            failure = unreachable(bootstrap, within_s)
        if failure is not None:
            raise failure


def unreachable(bootstrap: str, within_s: float) -> Failure:
    """Nobody answered at all."""
    return Failure(
        f"Kafka at {bootstrap} did not answer within {within_s:g} s. The embedded one: see with "
        "`penstock kafka status` whether it runs. Another: see that --bootstrap leads to it, and that "
        "kafka.security_protocol is what its listener speaks.",
        exit_code=ExitCode.KAFKA_UNREACHABLE,
    )


def _decisive(complaints: list[KafkaError], kafka: KafkaSettings, bootstrap: str) -> Failure | None:
    """The failure that waiting longer cannot mend, if one was told."""
    codes = {complaint.code() for complaint in complaints}
    if KafkaError._AUTHENTICATION in codes:  # noqa: SLF001  The public name of a code begins so.
        return Failure(
            f"Kafka at {bootstrap} refused the user {kafka.sasl_username}: check kafka.sasl_username, "
            f"kafka.sasl_password and kafka.sasl_mechanism ({kafka.sasl_mechanism}).",
            exit_code=ExitCode.KAFKA_UNREACHABLE,
        )
    if KafkaError._SSL in codes:  # noqa: SLF001
        authority = kafka.ssl_ca_file or "the system's authorities"
        return Failure(
            f"The TLS handshake with Kafka at {bootstrap} failed: its certificate must be signed by "
            f"{authority} (kafka.ssl_ca_file) and name that host (kafka.ssl_check_hostname), "
            "and the listener must speak TLS.",
            exit_code=ExitCode.KAFKA_UNREACHABLE,
        )
    return None


def _librdkafka_tls(kafka: KafkaSettings) -> dict[str, Any]:
    options: dict[str, Any] = {
        "ssl.endpoint.identification.algorithm": "https" if kafka.ssl_check_hostname else "none"
    }
    if kafka.ssl_ca_file:
        options["ssl.ca.location"] = kafka.ssl_ca_file
    if kafka.ssl_cert_file:
        options["ssl.certificate.location"] = kafka.ssl_cert_file
        options["ssl.key.location"] = kafka.ssl_key_file
    if kafka.ssl_key_password:
        options["ssl.key.password"] = kafka.ssl_key_password.reveal()
    return options


def _check_readable(name: str, file: str) -> None:
    if not file:
        return
    try:
        with Path(file).open("rb"):
            pass
    except OSError as error:
        raise _bad_file(f"kafka.{name} = {file}: the file cannot be read: {error.strerror}") from None


def _bad_file(sentence: str) -> Failure:
    return Failure(f"settings: {sentence}", exit_code=ExitCode.USAGE)


def _quiet_libraries() -> None:
    """What the libraries log goes where the process's logging sends it, and nowhere where none is set up.

    Without a handler of its own, a logger that nobody configured writes its warnings to stderr, between the
    lines of a command's output.
    """
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
