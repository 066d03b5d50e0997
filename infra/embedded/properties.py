"""A broker's configuration, decided from where it listens and who its peers are. Pure: writes nothing.

Paths are relative to the instance's directory, where the JVM runs: `log.dirs` is a list separated by commas,
and a user's directory may have one in its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.embedded.ports import HOST

# A dead letter carries its original in Base64; clients bound their own records well below.
_MESSAGE_BYTES_MAX = 16 << 20
# Positions outlive every record that they may point to: the longest retention by default is 30 days.
_OFFSETS_MINUTES = 60 * 24 * 31


@dataclass(frozen=True, slots=True)
class Place:
    """Where one broker listens, and as whom."""

    node_id: int
    port: int
    controller_port: int
    secure_port: int = 0

    @property
    def home(self) -> str:
        """Its directory, relative to the instance's."""
        return f"broker-{self.node_id}"

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"


@dataclass(frozen=True, slots=True)
class SecureListener:
    """A second listener, with TLS and SASL, as a guarded cluster has; the first stays as it is."""

    keystore: str
    """PKCS12 file with the server's key and certificate; an absolute path."""
    keystore_password: str
    users: Mapping[str, str]
    """User: password; each may use SCRAM-SHA-512, SCRAM-SHA-256 and PLAIN."""
    is_strict: bool = False
    """Whether they may do only what they were given the right to. Who comes by the first listener may all."""


def server_properties(
    place: Place, peers: Sequence[Place], secure: SecureListener | None = None
) -> dict[str, str]:
    """All settings of one broker that is also a controller; `peers` are all brokers, itself included."""
    return _identity(place, peers, secure) | _topics(len(peers)) | _footprint() | _secure(secure)


def rendered(properties: Mapping[str, str]) -> str:
    """The text of a Java properties file, which is read as ISO 8859-1 and knows escapes."""
    return "".join(f"{_escaped(key)}={_escaped(value)}\n" for key, value in properties.items())


def _identity(place: Place, peers: Sequence[Place], secure: SecureListener | None) -> dict[str, str]:
    listeners = {"BROKER": place.port} | ({"SECURE": place.secure_port} if secure else {})
    advertised = ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items())
    return {
        "process.roles": "broker,controller",
        "node.id": str(place.node_id),
        "controller.quorum.voters": ",".join(f"{one.node_id}@{HOST}:{one.controller_port}" for one in peers),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "BROKER",
        "listeners": f"{advertised},CONTROLLER://{HOST}:{place.controller_port}",
        "advertised.listeners": advertised,
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
        "log.dirs": f"{place.home}/data",
    }


def _topics(brokers: int) -> dict[str, str]:
    replicas = str(min(3, brokers))
    in_sync = str(min(2, brokers))
    return {
        # Topics come from the one table; a misspelled name is an error and no new topic.
        "auto.create.topics.enable": "false",
        "num.partitions": "1",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "8",
        "offsets.retention.minutes": str(_OFFSETS_MINUTES),
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
        "share.coordinator.state.topic.num.partitions": "1",
        "message.max.bytes": str(_MESSAGE_BYTES_MAX),
        "replica.fetch.max.bytes": str(_MESSAGE_BYTES_MAX),
        "replica.fetch.response.max.bytes": str(_MESSAGE_BYTES_MAX),
        # Every 30 s instead of five minutes: retention then holds a small disk to its bound.
        "log.retention.check.interval.ms": "30000",
        # After a kill the controller believes in the old broker until its session ends, and only then lets
        # the new one in: 9 s by default. A single broker has nobody to hand over to, so it costs little to be
        # thought dead too soon: it is back at its next heartbeat. Three would elect leaders for nothing.
        "broker.session.timeout.ms": "2000" if brokers == 1 else "4000",
        "broker.heartbeat.interval.ms": "400",
        # The pause is for many members that start one after another; here it only makes the first wait.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
    }


def _footprint() -> dict[str, str]:
    """One user's machine, not a data centre: threads and buffers for a few clients."""
    return {
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.replica.fetchers": "1",
        "num.recovery.threads.per.data.dir": "2",
        "background.threads": "2",
        "log.cleaner.threads": "1",
        # 128 MB by default; 4 MB hold the keys of 250,000 records, more are cleaned in several rounds.
        "log.cleaner.dedupe.buffer.size": str(4 << 20),
        "queued.max.requests": "100",
        "socket.request.max.bytes": str(2 * _MESSAGE_BYTES_MAX),
        # A broker that stops hands its partitions over; with its peers gone, too, it must not insist.
        "controlled.shutdown.enable": "true",
    }


def _secure(secure: SecureListener | None) -> dict[str, str]:
    if secure is None:
        return {}
    plain = " ".join(f'user_{name}="{password}"' for name, password in secure.users.items())
    prefix = "listener.name.secure"
    rights = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }
    return {
        **(rights if secure.is_strict else {}),
        f"{prefix}.ssl.keystore.location": secure.keystore,
        f"{prefix}.ssl.keystore.password": secure.keystore_password,
        f"{prefix}.ssl.keystore.type": "PKCS12",
        f"{prefix}.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        f"{prefix}.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {plain};"
        ),
        f"{prefix}.scram-sha-256.sasl.jaas.config": _SCRAM,
        f"{prefix}.scram-sha-512.sasl.jaas.config": _SCRAM,
    }


_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


def _escaped(text: str) -> str:
    units = text.encode("utf-16-be")
    return "".join(_escaped_unit(int.from_bytes(units[at : at + 2])) for at in range(0, len(units), 2))


def _escaped_unit(unit: int) -> str:
    char = chr(unit)
    if char in "\\:=#! ":
        return f"\\{char}"
    return char if 0x20 < unit < 0x7F else f"\\u{unit:04x}"
