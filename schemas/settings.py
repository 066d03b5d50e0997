"""Every setting of Penstock, declared once: name, bounds, default, description, and when it takes effect.

The reader (`infra/settings`) fills this tree from defaults, a TOML file, the environment and flags; the
reference page, the JSON Schema and `penstock config show` are made from it. Components receive their own
branch, never the tree. Nothing here reads a file or the environment.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, NoReturn

import msgspec
from msgspec import Meta, field

LIVE = {"reload": "live"}
RESTART = {"reload": "restart"}


class Secret:
    """A string that never shows itself: printed, formatted, logged or encoded it is `***`.

    It is deliberately not a `str`: an f-string, a JSON encoder or a library's debug line cannot reveal it by
    accident. Whoever needs the value says so, with `reveal()`, and that word is easy to search for.
    """

    __slots__ = ("_value",)

    _value: str

    def __init__(self, value: str = "") -> None:
        object.__setattr__(self, "_value", value)

    def reveal(self) -> str:
        """The secret itself, for the library that needs it."""
        return self._value

    def __setattr__(self, name: str, value: object) -> None:
        message = f"a Secret is immutable: {name} cannot be set"
        raise AttributeError(message)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        message = "a Secret cannot be pickled: its value would stand in the bytes"
        raise TypeError(message)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __str__(self) -> str:
        return "***" if self._value else ""

    def __repr__(self) -> str:
        return "Secret('***')" if self._value else "Secret('')"


class _Branch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all branches share: immutable, named fields, and a typing mistake in a file is an error."""


Port = Annotated[int, Meta(ge=0, le=65535)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]


class KafkaSettings(_Branch, frozen=True, kw_only=True):
    """How to reach Kafka, and how our clients behave; rendered for aiokafka and for librdkafka alike."""

    bootstrap: Annotated[
        str,
        Meta(
            description="Comma-separated host:port list. Empty: the embedded Kafka of this data directory.",
            extra=RESTART,
        ),
    ] = ""
    client_id: Annotated[
        str,
        Meta(
            min_length=1, max_length=100, description="Client id shown in the broker's logs.", extra=RESTART
        ),
    ] = "penstock"
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Meta(description="Transport and authentication of the broker's listener.", extra=RESTART),
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        Meta(description="SASL mechanism, where the protocol is SASL_*.", extra=RESTART),
    ] = "SCRAM-SHA-512"
    sasl_username: Annotated[str, Meta(description="SASL user name.", extra=RESTART)] = ""
    sasl_password: Annotated[Secret, Meta(description="SASL password.", extra=RESTART)] = field(
        default_factory=Secret
    )
    ssl_ca_file: Annotated[
        str,
        Meta(
            description="PEM file of the authority behind the brokers' certificates. Empty: the system's.",
            extra=RESTART,
        ),
    ] = ""
    ssl_cert_file: Annotated[str, Meta(description="PEM file of our client certificate.", extra=RESTART)] = ""
    ssl_key_file: Annotated[str, Meta(description="PEM file of our client key.", extra=RESTART)] = ""
    ssl_key_password: Annotated[Secret, Meta(description="Password of the client key.", extra=RESTART)] = (
        field(default_factory=Secret)
    )
    ssl_check_hostname: Annotated[
        bool, Meta(description="Hold the broker's certificate to its host name.", extra=RESTART)
    ] = True
    request_timeout_ms: Annotated[
        int, Meta(ge=1_000, le=300_000, description="Bound of one request to a broker.", extra=RESTART)
    ] = 40_000
    session_timeout_ms: Annotated[
        int,
        Meta(
            ge=6_000,
            le=300_000,
            description="A worker silent for so long loses its partitions.",
            extra=RESTART,
        ),
    ] = 15_000
    heartbeat_interval_ms: Annotated[
        int,
        Meta(
            ge=500,
            le=60_000,
            description="Heartbeat to the group's coordinator; under a third of the session.",
            extra=RESTART,
        ),
    ] = 3_000
    rebalance_timeout_ms: Annotated[
        int,
        Meta(
            ge=5_000,
            le=600_000,
            description="How long a rebalance waits for a member; longer than the drain.",
            extra=RESTART,
        ),
    ] = 30_000
    fetch_wait_ms: Annotated[
        int, Meta(ge=1, le=5_000, description="How long a broker may hold an empty fetch.", extra=RESTART)
    ] = 100
    fetch_bytes_max: Annotated[
        int,
        Meta(ge=65_536, le=64 << 20, description="Most bytes of one partition in one fetch.", extra=RESTART),
    ] = 1 << 20
    linger_ms: Annotated[
        int,
        Meta(ge=0, le=1_000, description="How long the producer collects before it sends.", extra=RESTART),
    ] = 5
    batch_bytes_max: Annotated[
        int, Meta(ge=16_384, le=16 << 20, description="Most bytes of one produce batch.", extra=RESTART)
    ] = 1 << 20
    compression: Annotated[
        Literal["none", "gzip", "snappy", "lz4", "zstd"],
        Meta(description="Compression of what we produce.", extra=RESTART),
    ] = "lz4"
    queue_records_max: Annotated[
        int,
        Meta(
            ge=1_000,
            le=1_000_000,
            description="Most records in the producer's local queue; beyond it callers wait.",
            extra=RESTART,
        ),
    ] = 100_000
    queue_kbytes_max: Annotated[
        int, Meta(ge=1_024, le=4 << 20, description="Most KiB in the producer's local queue.", extra=RESTART)
    ] = 256 << 10
    message_bytes_max: Annotated[
        int,
        Meta(
            ge=100_000,
            le=64 << 20,
            description="Most bytes of one produced record; dead letters carry the original, in Base64.",
            extra=RESTART,
        ),
    ] = 4 << 20
    delivery_timeout_ms: Annotated[
        int,
        Meta(
            ge=5_000,
            le=3_600_000,
            description="How long the producer tries one record before the try counts as failed.",
            extra=RESTART,
        ),
    ] = 120_000


class TopicSettings(_Branch, frozen=True, kw_only=True):
    """What the topic table is made with. A change is drift: reported, never applied to what exists."""

    prefix: Annotated[
        str,
        Meta(
            pattern=r"^([a-zA-Z0-9][a-zA-Z0-9_-]{0,62}\.)?$",
            description="Put before every topic and group; ends with a dot.",
            extra=RESTART,
        ),
    ] = ""
    partitions: Annotated[
        int,
        Meta(ge=1, le=1_024, description="Partitions of every keyed topic; fixed for life.", extra=RESTART),
    ] = 8
    replication: Annotated[
        int,
        Meta(
            ge=0,
            le=7,
            description="Replication factor. 0: 1 on a single broker, 3 on three or more.",
            extra=RESTART,
        ),
    ] = 0
    content_retention_hours: Annotated[
        int, Meta(ge=1, le=8_760, description="Retention of content.* and pending.*.", extra=RESTART)
    ] = 168
    verdict_retention_hours: Annotated[
        int, Meta(ge=1, le=87_600, description="Retention of verdicts and dead-letters.", extra=RESTART)
    ] = 720
    memory_retention_hours: Annotated[
        int,
        Meta(
            ge=1,
            le=8_760,
            description="Retention of memory, where remembered answers stand; at least memory.ttl_hours_max.",
            extra=RESTART,
        ),
    ] = 168


class EmbeddedSettings(_Branch, frozen=True, kw_only=True):
    """The Kafka that Penstock brings along."""

    port: Annotated[
        Port,
        Meta(
            description="Client port on 127.0.0.1. 0: any free one, kept for this data directory.",
            extra=RESTART,
        ),
    ] = 0
    brokers: Annotated[
        Literal[1, 3], Meta(description="One broker, or a cluster of three on this machine.", extra=RESTART)
    ] = 1
    heap_mb: Annotated[
        int, Meta(ge=128, le=16_384, description="Java heap of each broker.", extra=RESTART)
    ] = 320
    cache_dir: Annotated[
        str,
        Meta(
            description="Where the jars are kept, for all instances. Empty: the user's cache directory.",
            extra=RESTART,
        ),
    ] = ""
    mirror: Annotated[
        str,
        Meta(
            description="Base address of a Maven repository to use instead of the public one.", extra=RESTART
        ),
    ] = ""
    start_timeout_s: Annotated[
        int,
        Meta(
            ge=5,
            le=600,
            description="How long a broker may take to answer and to take a write.",
            extra=RESTART,
        ),
    ] = 60


class EngineSettings(_Branch, frozen=True, kw_only=True):
    """The engine under the agents: batches, bounds, commits, drains."""

    batch_records_max: Annotated[
        int, Meta(ge=1, le=5_000, description="Most records that an agent is handed at once.", extra=RESTART)
    ] = 500
    unsettled_records_max: Annotated[
        int,
        Meta(
            ge=10,
            le=1_000_000,
            description="Most unsettled records of one partition; it is held at the bound.",
            extra=LIVE,
        ),
    ] = 2_000
    unsettled_records_total_max: Annotated[
        int,
        Meta(
            ge=10,
            le=10_000_000,
            description="Most unsettled records of one stage, the critical ones not counted.",
            extra=LIVE,
        ),
    ] = 16_000
    unsettled_bytes_max: Annotated[
        int,
        Meta(
            ge=1 << 20,
            le=64 << 30,
            description="Most unsettled bytes of one partition: values, keys, headers, and 256 for each "
            "record; it is held at the bound.",
            extra=LIVE,
        ),
    ] = 64 << 20
    unsettled_bytes_total_max: Annotated[
        int, Meta(ge=1 << 20, le=64 << 30, description="Most unsettled bytes of one stage.", extra=LIVE)
    ] = 256 << 20
    commit_interval_ms: Annotated[
        int, Meta(ge=50, le=60_000, description="How often the watermark is committed.", extra=RESTART)
    ] = 500
    commit_records_max: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000_000,
            description="Most settled records that wait for the next commit; at the bound it comes at once.",
            extra=RESTART,
        ),
    ] = 20_000
    drain_timeout_ms: Annotated[
        int,
        Meta(
            ge=100,
            le=300_000,
            description="What a rebalance or a stop gives to unfinished work before it is abandoned.",
            extra=RESTART,
        ),
    ] = 5_000
    stuck_after_s: Annotated[
        int,
        Meta(
            ge=5,
            le=86_400,
            description="A partition where records wait and nothing moves for so long is reported.",
            extra=LIVE,
        ),
    ] = 120


class LimitSettings(_Branch, frozen=True, kw_only=True):
    """Bounds of what may enter."""

    record_bytes_max: Annotated[
        int,
        Meta(
            ge=1_024,
            le=8 << 20,
            description="Most bytes of one event on the wire; more is a dead letter.",
            extra=LIVE,
        ),
    ] = 1_000_000
    text_bytes_max: Annotated[
        int, Meta(ge=256, le=4 << 20, description="Most bytes (UTF-8) of an event's text.", extra=LIVE)
    ] = 65_536


class JudgeSettings(_Branch, frozen=True, kw_only=True):
    """How undecided events are put to the nodes."""

    attempts_max: Annotated[
        int,
        Meta(
            ge=1,
            le=20,
            description="Failed attempts on one event before it becomes a dead letter.",
            extra=LIVE,
        ),
    ] = 4
    park_after_s: Annotated[
        int,
        Meta(
            ge=10,
            le=86_400,
            description="An event unsettled for so long while nodes are up goes to the tail of its topic.",
            extra=LIVE,
        ),
    ] = 900
    copies_waiting_max: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description=(
                "Once more copies than this wait in a partition for the answer to their text, nothing is "
                "taken in any more that is as urgent as they are, or less."
            ),
            extra=LIVE,
        ),
    ] = 1_000
    probe_interval_ms: Annotated[
        int, Meta(ge=100, le=60_000, description="How often a node that is out is probed.", extra=LIVE)
    ] = 1_000
    waiting_max: Annotated[
        int,
        Meta(
            ge=256,
            le=1_000_000,
            description="Most events below critical that wait in the lanes; fetching pauses at 80 % of it.",
            extra=LIVE,
        ),
    ] = 20_000
    guard_high_s: Annotated[
        float,
        Meta(ge=0.1, le=86_400, description="High gets a dispatch at least once in so long.", extra=LIVE),
    ] = 5.0
    guard_medium_s: Annotated[
        float,
        Meta(ge=0.1, le=86_400, description="Medium gets a dispatch at least once in so long.", extra=LIVE),
    ] = 60.0
    guard_low_s: Annotated[
        float,
        Meta(ge=0.1, le=86_400, description="Low gets a dispatch at least once in so long.", extra=LIVE),
    ] = 600.0
    share_high_ratio: Annotated[
        float,
        Meta(
            ge=0.01,
            le=1_000,
            description="High's share of what critical leaves, beside the others', in tokens.",
            extra=LIVE,
        ),
    ] = 8.0
    share_medium_ratio: Annotated[
        float,
        Meta(ge=0.01, le=1_000, description="Medium's share of what critical leaves, in tokens.", extra=LIVE),
    ] = 3.0
    share_low_ratio: Annotated[
        float,
        Meta(ge=0.01, le=1_000, description="Low's share of what critical leaves, in tokens.", extra=LIVE),
    ] = 1.0
    fair_by_tenant: Annotated[
        bool,
        Meta(description="Whether tenants take turns within a lane, by tokens.", extra=LIVE),
    ] = False
    pack_size_max: Annotated[
        int,
        Meta(
            ge=1,
            le=32,
            description="Most posts in one request, on nodes that are sequential or priced per request. "
            "1: none are packed.",
            extra=RESTART,
        ),
    ] = 8
    pack_wait_ratio: Annotated[
        Fraction,
        Meta(
            description="A pack that is not full waits for more, where that pays, for so much of the time it "
            "will take. 0: never.",
            extra=LIVE,
        ),
    ] = 0.1
    pack_wait_ms_max: Annotated[
        int, Meta(ge=0, le=60_000, description="… and for no longer than this.", extra=LIVE)
    ] = 2_000
    pack_post_tokens_max: Annotated[
        int,
        Meta(ge=16, le=8_192, description="Longer posts (estimated) are judged alone.", extra=LIVE),
    ] = 256
    pack_recheck_ratio: Annotated[
        Fraction, Meta(description="Share of packed posts that are judged again, alone.", extra=LIVE)
    ] = 0.01
    pack_disagreement_max: Annotated[
        Fraction,
        Meta(
            description="Where more of those judged again get another action, packs become smaller.",
            extra=RESTART,
        ),
    ] = 0.02


class MemorySettings(_Branch, frozen=True, kw_only=True):
    """What workers remember, so that a text that comes again is answered without a model."""

    enabled: Annotated[bool, Meta(description="Whether answers are remembered at all.", extra=RESTART)] = True
    mode: Annotated[
        Literal["strict", "warm"],
        Meta(
            description="A partition that was just assigned: its events wait until its memory is restored "
            "(strict), or are judged meanwhile with what is there (warm).",
            extra=RESTART,
        ),
    ] = "strict"
    entries_max: Annotated[
        int, Meta(ge=0, le=10_000_000, description="Answers kept in process, for each partition.", extra=LIVE)
    ] = 1_000
    bytes_max: Annotated[
        int,
        Meta(
            # Whole files go, of 23 MiB once they are merged: with less, most or all of what there is.
            ge=64 << 20,
            le=1 << 40,
            description="Most bytes on disk, for each partition; the oldest answers go first.",
            extra=LIVE,
        ),
    ] = 256 << 20
    cache_bytes_max: Annotated[
        int,
        Meta(
            ge=1 << 20,
            le=1 << 36,
            description="Most bytes of what is read from disk that all partitions keep at hand; the system "
            "keeps the files at hand as well.",
            extra=RESTART,
        ),
    ] = 8 << 20
    ttl_hours_max: Annotated[
        int,
        Meta(
            ge=1,
            le=8_760,
            description="No answer is reused for longer, whatever a policy says; at most "
            "topics.memory_retention_hours.",
            extra=LIVE,
        ),
    ] = 168


class CampaignSettings(_Branch, frozen=True, kw_only=True):
    """When many copies of one text are told as a campaign, in the topic `campaigns`."""

    enabled: Annotated[bool, Meta(description="Whether campaigns are told.", extra=LIVE)] = True
    copies_min: Annotated[
        int,
        Meta(
            ge=2,
            le=1_000_000,
            description="Copies within the window that make a campaign; it is told again with each doubling.",
            extra=LIVE,
        ),
    ] = 20
    authors_min: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Authors that it takes; events without one are all of the same.",
            extra=LIVE,
        ),
    ] = 5
    window_s: Annotated[
        int,
        Meta(ge=10, le=604_800, description="The window, by the records' Kafka timestamps.", extra=LIVE),
    ] = 3_600
    texts_max: Annotated[
        int,
        Meta(
            ge=16,
            le=1_000_000,
            description="Texts counted at a time in a partition; up to 2.5 KiB each.",
            extra=LIVE,
        ),
    ] = 4_096


NodeKind = Literal["openai", "vllm", "sglang", "llamacpp", "ollama", "ollama-v1", "tgi", "penstock"]
FormatName = Literal["general", "llama_guard", "shield_gemma", "qwen3_guard", "gpt_oss_safeguard"]


class NodeSettings(_Branch, frozen=True, kw_only=True):
    """One inference endpoint."""

    url: Annotated[
        str, Meta(pattern=r"^https?://[^\s]+$", description="Base address, without /v1.", extra=RESTART)
    ]
    name: Annotated[
        str,
        Meta(
            pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$|^$",
            description="Name in verdicts, logs and metrics. Empty: host-port.",
            extra=RESTART,
        ),
    ] = ""
    kind: Annotated[NodeKind, Meta(description="Which engine answers there.", extra=RESTART)] = "openai"
    model: Annotated[
        str,
        Meta(
            max_length=200,
            description="Model name to ask for. Empty: the first that the node lists.",
            extra=RESTART,
        ),
    ] = ""
    slots: Annotated[
        int, Meta(ge=1, le=4_096, description="Requests that the node runs at a time.", extra=RESTART)
    ] = 8
    format: Annotated[
        FormatName,
        Meta(
            description="How the model is asked and read: general instruct models by JSON Schema, guard "
            "models in their own form.",
            extra=RESTART,
        ),
    ] = "general"
    confidence: Annotated[
        Literal["logprobs", "decisions", "words"],
        Meta(
            description="Where scores come from: the log-probabilities of the answer's tokens; the endpoint "
            "/v1/decisions of vLLM and SGLang; or what the model says of itself. What an engine lacks "
            "is replaced by the next.",
            extra=RESTART,
        ),
    ] = "logprobs"
    context_tokens: Annotated[
        int,
        Meta(
            ge=512,
            le=4_194_304,
            description="Tokens of prompt and answer that a slot holds. Longer content is judged in windows, "
            "and the verdict says its coverage.",
            extra=RESTART,
        ),
    ] = 8_192
    engine_priority: Annotated[
        bool,
        Meta(
            description="Whether the engine was started with priority scheduling, so that requests may tell "
            "theirs (vLLM, SGLang).",
            extra=RESTART,
        ),
    ] = False
    weight_ratio: Annotated[
        float,
        Meta(ge=0.01, le=100, description="How much it gets beside the others, a slot.", extra=RESTART),
    ] = 1.0
    backup: Annotated[
        bool, Meta(description="Asked only while all nodes that are no backup are out.", extra=RESTART)
    ] = False
    goal_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=3_600_000,
            description="What an answer may take before the node gets fewer at once. "
            "0: six times what it takes unhurried, a second at least.",
            extra=RESTART,
        ),
    ] = 0
    requests_per_minute_max: Annotated[
        int, Meta(ge=0, le=10_000_000, description="Most requests a minute. 0: no limit.", extra=RESTART)
    ] = 0
    tokens_per_minute_max: Annotated[
        int, Meta(ge=0, le=1_000_000_000, description="Most tokens a minute. 0: no limit.", extra=RESTART)
    ] = 0
    sequential: Annotated[
        bool,
        Meta(
            description="It runs requests one after the other, rather than as one growing batch (Ollama with "
            "OLLAMA_NUM_PARALLEL=1): posts are packed where that pays, and the format is the general one.",
            extra=RESTART,
        ),
    ] = False
    priced_per_request: Annotated[
        bool,
        Meta(
            description="Requests cost, or are limited in number, whatever they hold: posts are packed.",
            extra=RESTART,
        ),
    ] = False
    timeout_ms: Annotated[
        int, Meta(ge=100, le=3_600_000, description="Bound of one request.", extra=RESTART)
    ] = 30_000
    token: Annotated[Secret, Meta(description="Bearer token.", extra=RESTART)] = field(default_factory=Secret)
    ssl_ca_file: Annotated[
        str,
        Meta(
            description="PEM file of the authority that signed the node's certificate. Empty: the system's.",
            extra=RESTART,
        ),
    ] = ""

    @property
    def gains_by_packs(self) -> bool:
        """Whether several posts in one request would be cheaper there than one in each."""
        return self.sequential or self.priced_per_request

    @property
    def takes_packs(self) -> bool:
        """Whether posts are packed for it: only the general format has a form for several.

        A guard model answers with one word about one conversation; and what decides without writing has
        nothing to save.
        """
        return self.gains_by_packs and self.format == "general" and self.confidence != "decisions"

    @property
    def known_as(self) -> str:
        """The node's name in verdicts, logs and metrics; without one, its host and port."""
        return self.name or re.sub(r"^https?://(.*@)?|[/?#].*$", "", self.url).replace(":", "-")


class TelemetrySettings(_Branch, frozen=True, kw_only=True):
    """Traces and logs."""

    traces: Annotated[
        Literal["off", "console", "otlp"], Meta(description="Where spans go.", extra=RESTART)
    ] = "off"
    otlp_endpoint: Annotated[
        str,
        Meta(
            pattern=r"^https?://[^\s]+$",
            description="OTLP over HTTP: base address of the collector, without /v1/traces.",
            extra=RESTART,
        ),
    ] = "http://127.0.0.1:4318"
    sample_ratio: Annotated[
        Fraction,
        Meta(
            description="Share of events for which our own producers begin a trace; workers obey the header.",
            extra=RESTART,
        ),
    ] = 1.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="Least severe line that is logged.", extra=LIVE),
    ] = "info"


class HttpSettings(_Branch, frozen=True, kw_only=True):
    """The worker's own small HTTP server: /metrics, /live, /ready."""

    host: Annotated[
        str, Meta(description="Address to bind; loopback unless told otherwise.", extra=RESTART)
    ] = "127.0.0.1"
    port: Annotated[
        Port, Meta(description="Port. 0: any free one, told by `penstock status`.", extra=RESTART)
    ] = 0


class ReferenceNodeSettings(_Branch, frozen=True, kw_only=True):
    """The reference node that `penstock node` runs and `penstock up` starts.

    Its service time is alpha + beta x busy slots + prompt token x uncached tokens + output token x written
    ones.
    """

    host: Annotated[str, Meta(min_length=1, description="Address to bind.", extra=RESTART)] = "127.0.0.1"
    port: Annotated[Port, Meta(description="Port. 0: any free one.", extra=RESTART)] = 0
    slots: Annotated[int, Meta(ge=1, le=4_096, description="Requests served at a time.", extra=RESTART)] = 8
    queue_max: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Requests that may wait for a slot; more are answered with 503.",
            extra=RESTART,
        ),
    ] = 64
    body_bytes_max: Annotated[
        int, Meta(ge=1_024, le=1 << 30, description="Most bytes of a request.", extra=RESTART)
    ] = 8 << 20
    alpha_ms: Annotated[
        float, Meta(ge=0, le=60_000, description="Service time: fixed part of a request.", extra=RESTART)
    ] = 30.0
    beta_ms: Annotated[
        float, Meta(ge=0, le=60_000, description="Service time: part for each busy slot.", extra=RESTART)
    ] = 1.1
    prompt_token_us: Annotated[
        float,
        Meta(
            ge=0,
            le=1_000_000,
            description="Service time: part for each prompt token that is not cached.",
            extra=RESTART,
        ),
    ] = 320.0
    output_token_us: Annotated[
        float,
        Meta(ge=0, le=1_000_000, description="Service time: part for each output token.", extra=RESTART),
    ] = 6_000.0
    cached_prefixes_max: Annotated[
        int,
        Meta(ge=0, le=100_000, description="System prompts whose tokens are cached. 0: none.", extra=RESTART),
    ] = 64
    loading_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=3_600_000,
            description="How long after its start the node answers 503, as if loading a model.",
            extra=RESTART,
        ),
    ] = 0
    seed: Annotated[
        int, Meta(ge=0, le=(1 << 63) - 1, description="Seed of the faults drawn by rate.", extra=RESTART)
    ] = 0
    faults: Annotated[
        str,
        Meta(
            description="Faults by rate, as `status_503=0.01,hang=0.001`; see the node's page.", extra=RESTART
        ),
    ] = ""
    fault_header: Annotated[
        bool,
        Meta(description="Whether a request may ask for a fault with `x-penstock-fault`.", extra=RESTART),
    ] = False
    token: Annotated[
        Secret, Meta(description="Bearer token that requests must carry. Empty: none.", extra=RESTART)
    ] = field(default_factory=Secret)
    ssl_cert_file: Annotated[
        str, Meta(description="PEM file of the node's certificate. Empty: plain HTTP.", extra=RESTART)
    ] = ""
    ssl_key_file: Annotated[str, Meta(description="PEM file of its key.", extra=RESTART)] = ""


class SuperviseSettings(_Branch, frozen=True, kw_only=True):
    """How `penstock up` keeps its children."""

    workers: Annotated[int, Meta(ge=1, le=64, description="Worker processes.", extra=RESTART)] = 1
    restarts_max: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000,
            description="Restarts of one child within the window before `up` gives up.",
            extra=RESTART,
        ),
    ] = 5
    restart_window_s: Annotated[int, Meta(ge=1, le=86_400, description="The window.", extra=RESTART)] = 60
    stop_timeout_s: Annotated[
        int, Meta(ge=1, le=300, description="What a child gets to stop before it is killed.", extra=RESTART)
    ] = 8
    log_bytes_max: Annotated[
        int, Meta(ge=4_096, le=1 << 30, description="Most bytes of one log file of a child.", extra=RESTART)
    ] = 20_000_000
    log_files_max: Annotated[
        int, Meta(ge=1, le=100, description="Log files kept of a child.", extra=RESTART)
    ] = 5


class Settings(_Branch, frozen=True, kw_only=True):
    """The whole tree."""

    data_dir: Annotated[
        str,
        Meta(
            min_length=1,
            description="Directory of all local state; safe to delete when nothing runs.",
            extra=RESTART,
        ),
    ] = ".penstock"
    policy: Annotated[str, Meta(description="Id of the policy for events that name none.", extra=RESTART)] = (
        "default"
    )
    secret: Annotated[
        Secret, Meta(description="Deployment secret that keys the digests. Empty: unkeyed.", extra=RESTART)
    ] = field(default_factory=Secret)
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    topics: TopicSettings = field(default_factory=TopicSettings)
    embedded: EmbeddedSettings = field(default_factory=EmbeddedSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    memory: MemorySettings = field(default_factory=MemorySettings)
    campaigns: CampaignSettings = field(default_factory=CampaignSettings)
    nodes: Annotated[
        tuple[NodeSettings, ...],
        Meta(
            max_length=256,
            description="The inference nodes. Empty: the reference node of this data directory.",
            extra=RESTART,
        ),
    ] = ()
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    http: HttpSettings = field(default_factory=HttpSettings)
    reference_node: ReferenceNodeSettings = field(default_factory=ReferenceNodeSettings)
    supervise: SuperviseSettings = field(default_factory=SuperviseSettings)
