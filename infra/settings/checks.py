"""What one setting demands of another. Pure: judges a tree whose leaves are each within their own bounds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from schemas.settings import Settings

# A dead letter carries the original record in Base64 (4 bytes for 3) beside its headers and the reason.
DEAD_LETTER_OVERHEAD_BYTES = 65_536
_HOST_PORT = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[^\s\[\]:,/@]+):(\d{1,5})")
_NETLOC = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::\d{1,5})?")


class Problem(msgspec.Struct, frozen=True):
    """A demand that is not met: the settings it lies between, the blamed one first, and what must hold."""

    paths: tuple[str, ...]
    sentence: str


def problems(settings: Settings) -> list[Problem]:
    """Everything that does not fit together."""
    return [
        *_kafka_address(settings),
        *_kafka_security(settings),
        *_kafka_times(settings),
        *_sizes(settings),
        *_topics(settings),
        *_nodes(settings),
    ]


def _kafka_address(settings: Settings) -> Iterator[Problem]:
    for part in settings.kafka.bootstrap.split(",") if settings.kafka.bootstrap else ():
        match = _HOST_PORT.fullmatch(part.strip())
        if match is None or not 0 < int(match[1]) <= 65_535:
            yield Problem(("kafka.bootstrap",), "must be a comma-separated list of host:port")
            return


def _kafka_security(settings: Settings) -> Iterator[Problem]:
    kafka = settings.kafka
    protocol = "kafka.security_protocol"
    has_sasl = kafka.security_protocol.startswith("SASL_")
    for name in ("sasl_username", "sasl_password"):
        if has_sasl and not getattr(kafka, name):
            yield Problem((f"kafka.{name}", protocol), "SASL needs a user name and a password")
        elif getattr(kafka, name) and not has_sasl:
            yield Problem(
                (f"kafka.{name}", protocol), "would not be used; it needs SASL_SSL or SASL_PLAINTEXT"
            )
    for name in ("ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_key_password"):
        if getattr(kafka, name) and not kafka.security_protocol.endswith("SSL"):
            yield Problem((f"kafka.{name}", protocol), "would not be used; it needs SSL or SASL_SSL")
    for name, needed in (
        ("ssl_cert_file", "ssl_key_file"),
        ("ssl_key_file", "ssl_cert_file"),
        ("ssl_key_password", "ssl_key_file"),
    ):
        if getattr(kafka, name) and not getattr(kafka, needed):
            yield Problem((f"kafka.{name}", f"kafka.{needed}"), "the one is of no use without the other")


def _kafka_times(settings: Settings) -> Iterator[Problem]:
    kafka = settings.kafka
    if kafka.heartbeat_interval_ms * 3 > kafka.session_timeout_ms:
        yield Problem(
            ("kafka.heartbeat_interval_ms", "kafka.session_timeout_ms"),
            "the heartbeat must be at most a third of the session's timeout, or one lost heartbeat ends it",
        )
    for name in ("session_timeout_ms", "rebalance_timeout_ms"):
        if getattr(kafka, name) >= kafka.request_timeout_ms:
            yield Problem(
                (f"kafka.{name}", "kafka.request_timeout_ms"),
                "joining a group is one request that waits for all members: a request must be given longer",
            )
    if settings.engine.drain_timeout_ms >= kafka.rebalance_timeout_ms:
        yield Problem(
            ("engine.drain_timeout_ms", "kafka.rebalance_timeout_ms"),
            "the drain must end before the rebalance does, or the worker is expelled while it drains",
        )


def _sizes(settings: Settings) -> Iterator[Problem]:
    limits, kafka, engine = settings.limits, settings.kafka, settings.engine
    if limits.text_bytes_max > limits.record_bytes_max:
        yield Problem(
            ("limits.text_bytes_max", "limits.record_bytes_max"),
            "a text must fit into the record that carries it",
        )
    if limits.record_bytes_max * 4 // 3 + DEAD_LETTER_OVERHEAD_BYTES > kafka.message_bytes_max:
        yield Problem(
            ("limits.record_bytes_max", "kafka.message_bytes_max"),
            "a produced record must hold a dead letter, which is the original in Base64 "
            f"and {DEAD_LETTER_OVERHEAD_BYTES} bytes",
        )
    if kafka.message_bytes_max > kafka.queue_kbytes_max * 1024:
        yield Problem(
            ("kafka.message_bytes_max", "kafka.queue_kbytes_max"), "the producer's queue must hold one record"
        )
    if engine.unsettled_records_max > engine.unsettled_records_total_max:
        yield Problem(
            ("engine.unsettled_records_max", "engine.unsettled_records_total_max"),
            "one partition may not hold more than the whole stage",
        )
    if engine.unsettled_bytes_max > engine.unsettled_bytes_total_max:
        yield Problem(
            ("engine.unsettled_bytes_max", "engine.unsettled_bytes_total_max"),
            "one partition may not hold more than the whole stage",
        )


def _topics(settings: Settings) -> Iterator[Problem]:
    if not settings.kafka.bootstrap and settings.topics.replication > settings.embedded.brokers:
        yield Problem(
            ("topics.replication", "embedded.brokers"),
            "a record cannot have more copies than there are brokers",
        )
    if settings.judge.park_after_s * 2 > settings.topics.content_retention_hours * 3_600:
        yield Problem(
            ("judge.park_after_s", "topics.content_retention_hours"),
            "an event must be parked before half of its topic's retention is over",
        )
    if settings.memory.ttl_hours_max > settings.topics.memory_retention_hours:
        yield Problem(
            ("memory.ttl_hours_max", "topics.memory_retention_hours"),
            "answers must stay in their topic for as long as they may be reused, or a restart forgets them",
        )


def _nodes(settings: Settings) -> Iterator[Problem]:
    for at, node in enumerate(settings.nodes):
        try:
            url = urlsplit(node.url)
            has_credentials = "@" in url.netloc
            is_address = _NETLOC.fullmatch(url.netloc) is not None and url.port != 0
            is_bare = not (url.query or url.fragment)
        except ValueError:
            is_address = has_credentials = is_bare = False
        if has_credentials:
            yield Problem(("nodes",), f"nodes[{at}].url holds a user or a password; give a token")
        elif not is_address or not is_bare:
            yield Problem(("nodes",), f"nodes[{at}].url must be http(s)://host:port, with or without a path")
    names = Counter(node.known_as for node in settings.nodes)
    for name, count in names.items():
        if count > 1:
            yield Problem(("nodes",), f"{count} nodes are called {name}; give each a name of its own")
