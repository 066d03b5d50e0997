"""A mistake names the setting, the value, the bound and where it was written; all are told at once."""

# ruff: noqa: E501  A sentence stands on one line, as a user sees it.

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.errors import ExitCode, Failure
from infra.settings import Sources, read
from infra.settings.sources import Flag
from schemas.settings import Settings

# What is written in the settings file, and the sentence; FILE stands for the file's path.
IN_FILE = [
    ("[kafka]\nlinger_ms = 5000", "kafka.linger_ms = 5000 (FILE:2): must be a whole number from 0 to 1000"),
    ("[kafka]\nlinger_ms = '5'", 'kafka.linger_ms = "5" (FILE:2): must be a whole number from 0 to 1000'),
    ("[kafka]\nlinger_ms = true", "kafka.linger_ms = true (FILE:2): must be a whole number from 0 to 1000"),
    ("[kafka]\nlinger_ms = 5.5", "kafka.linger_ms = 5.5 (FILE:2): must be a whole number from 0 to 1000"),
    ("[kafka]\nlinger_ms = [5]", "kafka.linger_ms = a list (FILE:2): must be a whole number from 0 to 1000"),
    ("kafka.linger_ms = {a=5}", "kafka.linger_ms = a table (FILE:1): must be a whole number from 0 to 1000"),
    (
        "[kafka]\nlinger_ms = 0x" + "f" * 5_000,
        "kafka.linger_ms = a number of more than 64 bits (FILE:2): must be a whole number from 0 to 1000",
    ),
    ("[kafka]\nclient_id = ''", 'kafka.client_id = "" (FILE:2): must be printable text at least 1 characters long and at most 100 characters long'),
    ("[reference_node]\nalpha_ms = nan", "reference_node.alpha_ms = nan (FILE:2): must be a number from 0 to 60000"),
    ("policy = 1979-05-27", "policy = a date (FILE:1): must be printable text"),
    ('data_dir = "a\\u0000b"', 'data_dir = "a\\x00b" (FILE:1): must be printable text at least 1 characters long'),
    ("kafka = 3", "kafka (FILE:1): is a section; give the settings within it"),
    ("[kafak]\nlinger_ms = 5", "kafak (FILE:1): there is no such setting; did you mean kafka?"),
    ("[kafka]\nlinger = 5", "kafka.linger (FILE:2): there is no such setting; did you mean kafka.linger_ms?"),
    ("linger_ms = 5", "linger_ms (FILE:1): there is no such setting; did you mean kafka.linger_ms?"),
    ("zzz = 5", "zzz (FILE:1): there is no such setting"),
    ('"\\u001b[2J" = 5', "\\x1b[2J (FILE): there is no such setting"),
    ("secret = 'hunter2'", "secret = *** (FILE:1): a secret may not stand in the settings file; give secret_file, or the environment"),
    ("secret_file = '/nowhere'", 'secret_file = "/nowhere" (FILE:1): the file cannot be read: No such file or directory'),
    ("secret_file = 3", "secret_file = *** (FILE:1): must be printable text"),
    ("nodes = 3", "nodes (FILE:1): must be a list of at most 256 nodes, as [[nodes]] tables, a JSON list, or comma-separated addresses"),
    ("nodes = [3]", "nodes[0] (FILE:1): must be a table or an address"),
    ("[[nodes]]\nslots = 1", "nodes[0] (FILE:1): has no url"),
    ("[[nodes]]\nurl = 'ftp://x'", 'nodes[0].url = "ftp://x" (FILE:1): must be an address that begins with http:// or https://, without blanks'),
    ("[[nodes]]\nurl = 'http://x'\nslot = 1", "nodes[0].slot (FILE:1): there is no such setting; did you mean slots?"),
    ("[[nodes]]\nurl = 'http://x'\nslots = '1'", 'nodes[0].slots = "1" (FILE:1): must be a whole number from 1 to 4096'),
    ("[[nodes]]\nurl = 'http://x'\ntoken = 'hunter2'", "nodes[0].token = *** (FILE:1): a secret may not stand in the settings file; give token_file, or the environment"),
    ("kafka = ", "the settings file FILE is not TOML: Invalid value (at line 1, column 9)"),
    ("x = " + "9" * 5_000, "the settings file FILE cannot be read as TOML"),
]  # fmt: skip

# What does not fit together.
TOGETHER = [
    (
        "[kafka]\nheartbeat_interval_ms = 6000",
        (
            "kafka.heartbeat_interval_ms = 6000 (FILE:2), kafka.session_timeout_ms = 15000 (default): "
            "the heartbeat must be at most a third of the session's timeout, or one lost heartbeat ends it"
        ),
    ),
    (
        "[engine]\ndrain_timeout_ms = 30000",
        (
            "engine.drain_timeout_ms = 30000 (FILE:2), kafka.rebalance_timeout_ms = 30000 (default): "
            "the drain must end before the rebalance does, or the worker is expelled while it drains"
        ),
    ),
    (
        "[kafka]\nrebalance_timeout_ms = 60000",
        (
            "kafka.rebalance_timeout_ms = 60000 (FILE:2), kafka.request_timeout_ms = 40000 (default): "
            "joining a group is one request that waits for all members: a request must be given longer"
        ),
    ),
    (
        "[kafka]\nsecurity_protocol = 'SASL_SSL'\nsasl_username = 'u'",
        (
            'kafka.sasl_password = "" (default), kafka.security_protocol = "SASL_SSL" (FILE:2): '
            "SASL needs a user name and a password"
        ),
    ),
    (
        "[kafka]\nsasl_username = 'u'",
        (
            'kafka.sasl_username = "u" (FILE:2), kafka.security_protocol = "PLAINTEXT" (default): '
            "would not be used; it needs SASL_SSL or SASL_PLAINTEXT"
        ),
    ),
    (
        "[kafka]\nssl_ca_file = 'ca.pem'",
        (
            'kafka.ssl_ca_file = "ca.pem" (FILE:2), kafka.security_protocol = "PLAINTEXT" (default): '
            "would not be used; it needs SSL or SASL_SSL"
        ),
    ),
    (
        "[kafka]\nsecurity_protocol = 'SSL'\nssl_cert_file = 'c.pem'",
        (
            'kafka.ssl_cert_file = "c.pem" (FILE:3), kafka.ssl_key_file = "" (default): '
            "the one is of no use without the other"
        ),
    ),
    (
        "[kafka]\nbootstrap = 'localhost'",
        'kafka.bootstrap = "localhost" (FILE:2): must be a comma-separated list of host:port',
    ),
    (
        "[kafka]\nbootstrap = 'k:1,u:hunt/er2@k:9092'",
        'kafka.bootstrap = "k:1,***@k:9092" (FILE:2): must be a comma-separated list of host:port',
    ),
    (
        "[kafka]\nbootstrap = 'kafka://k:9092'",
        'kafka.bootstrap = "kafka://k:9092" (FILE:2): must be a comma-separated list of host:port',
    ),
    (
        "[limits]\nrecord_bytes_max = 8000000",
        (
            "limits.record_bytes_max = 8000000 (FILE:2), kafka.message_bytes_max = 4194304 (default): a produced "
            "record must hold a dead letter, which is the original in Base64 and 65536 bytes"
        ),
    ),
    (
        "[limits]\nrecord_bytes_max = 2000",
        (
            "limits.text_bytes_max = 65536 (default), limits.record_bytes_max = 2000 (FILE:2): "
            "a text must fit into the record that carries it"
        ),
    ),
    (
        "[kafka]\nqueue_kbytes_max = 1024",
        (
            "kafka.message_bytes_max = 4194304 (default), kafka.queue_kbytes_max = 1024 (FILE:2): "
            "the producer's queue must hold one record"
        ),
    ),
    (
        "[engine]\nunsettled_records_total_max = 100",
        (
            "engine.unsettled_records_max = 2000 (default), engine.unsettled_records_total_max = 100 (FILE:2): "
            "one partition may not hold more than the whole stage"
        ),
    ),
    (
        "[engine]\nunsettled_bytes_total_max = 2000000",
        (
            "engine.unsettled_bytes_max = 67108864 (default), engine.unsettled_bytes_total_max = 2000000 "
            "(FILE:2): one partition may not hold more than the whole stage"
        ),
    ),
    (
        "[topics]\nreplication = 3",
        (
            "topics.replication = 3 (FILE:2), embedded.brokers = 1 (default): "
            "a record cannot have more copies than there are brokers"
        ),
    ),
    (
        "[topics]\ncontent_retention_hours = 1\n[judge]\npark_after_s = 2000",
        (
            "judge.park_after_s = 2000 (FILE:4), topics.content_retention_hours = 1 (FILE:2): "
            "an event must be parked before half of its topic's retention is over"
        ),
    ),
    (
        "[memory]\nbytes_max = 6000000",
        "memory.bytes_max = 6000000 (FILE:2): must be a whole number from 67108864 to 1099511627776",
    ),
    (
        "[memory]\nttl_hours_max = 200",
        (
            "memory.ttl_hours_max = 200 (FILE:2), topics.memory_retention_hours = 168 (default): "
            "answers must stay in their topic for as long as they may be reused, or a restart forgets them"
        ),
    ),
    (
        "nodes = ['http://h:1', 'http://h:1/x']",
        "nodes (FILE:1): 2 nodes are called h-1; give each a name of its own",
    ),
    (
        "nodes = ['http://u:hunter2@h:1']",
        "nodes (FILE:1): nodes[0].url holds a user or a password; give a token",
    ),
    (
        "nodes = ['http://h:99999']",
        "nodes (FILE:1): nodes[0].url must be http(s)://host:port, with or without a path",
    ),
    (
        "nodes = ['http://h&token=hunter2']",
        "nodes (FILE:1): nodes[0].url must be http(s)://host:port, with or without a path",
    ),
]


def complaint(sources: Sources) -> str:
    with pytest.raises(Failure) as caught:
        read(sources)
    assert caught.value.exit_code == ExitCode.USAGE
    return caught.value.sentence


@pytest.mark.parametrize(("text", "sentence"), [*IN_FILE, *TOGETHER])
def test_a_mistake_in_the_file_is_told_in_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text(text + "\n")
    assert complaint(Sources(directory=tmp_path)) == "settings: " + sentence.replace("FILE", str(file))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("KAFKA__LINGER_MS", "-1", "kafka.linger_ms = -1 (NAME): must be a whole number from 0 to 1000"),
        ("KAFKA__LINGER_MS", "ten", 'kafka.linger_ms = "ten" (NAME): must be a whole number from 0 to 1000'),
        ("KAFKA__LINGER_MS", "", 'kafka.linger_ms = "" (NAME): must be a whole number from 0 to 1000'),
        ("KAFKA__LINGER_MS", "9" * 5_000, None),
        ("KAFKA__SSL_CHECK_HOSTNAME", "2", 'kafka.ssl_check_hostname = "2" (NAME): must be true or false'),
        ("EMBEDDED__BROKERS", "2", "embedded.brokers = 2 (NAME): must be one of 1, 3"),
        ("KAFKA__BOOTSTRAPP", "x", "kafka.bootstrapp (NAME): there is no such setting; did you mean kafka.bootstrap?"),
        ("KAFKA", "x", "kafka (NAME): is a section; give the settings within it"),
        ("SECRET", "a\udcffb", "secret = *** (NAME): must be printable text"),
        ("NODES", "[{", "nodes (NAME): must be a list of at most 256 nodes, as [[nodes]] tables, a JSON list, or comma-separated addresses"),
        ("NODES", "olama+http://h", 'nodes[0].kind = "olama" (NAME): must be one of llamacpp, ollama, ollama-v1, openai, penstock, sglang, tgi, vllm'),
        ("NODES", "http://h?slots=0", "nodes[0].slots = 0 (NAME): must be a whole number from 1 to 4096"),
        ("NODES", "http://h?slots", 'nodes[0].slots = "" (NAME): must be a whole number from 1 to 4096'),
        ("NODES", "ftp://u:hunter2@h", 'nodes[0].url = "ftp://***@h" (NAME): must be an address that begins with http:// or https://, without blanks'),
        ("NODES", "ftp://h&token=hunter2", 'nodes[0].url = "ftp://h&token=***" (NAME): must be an address that begins with http:// or https://, without blanks'),
        ("NODES", ",".join(f"http://h:{port}" for port in range(1, 258)), "nodes (NAME): must be a list of at most 256 nodes"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_environment_names_the_variable(name: str, value: str, sentence: str | None) -> None:
    told = complaint(Sources(environ={f"PENSTOCK__{name}": value}))
    if sentence is not None:
        assert told == "settings: " + sentence.replace("NAME", f"PENSTOCK__{name}")


@pytest.mark.parametrize(
    ("flag", "sentence"),
    [
        (Flag("--set", "kafka.linger_ms", "x"), 'kafka.linger_ms = "x" (--set): must be a whole number from 0 to 1000'),
        (Flag("--set", "", "x"), "--set x: must be path=value, as in kafka.linger_ms=10"),
        (Flag("--bootstrap", "kafka.bootstrap", "x"), 'kafka.bootstrap = "x" (--bootstrap): must be a comma-separated list of host:port'),
        (
            Flag("--set", "kafka.sasl_password", "hunter2"),
            ("kafka.sasl_password = *** (--set): a secret may not stand in the command line; "
            "give sasl_password_file, or the environment"),
        ),
        (
            Flag("--set", "nodes", "http://h?token=hunter2"),
            ("nodes[0].token = *** (--set): a secret may not stand in the command line; "
            "give token_file, or the environment"),
        ),
    ],
)  # fmt: skip
def test_a_mistake_in_a_flag_names_the_flag(flag: Flag, sentence: str) -> None:
    assert complaint(Sources(flags=(flag,))) == f"settings: {sentence}"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PENSTOCK_KAFKA_LINGER_MS", "PENSTOCK__KAFKA__LINGER_MS"),
        ("PENSTOCK_KAFKA__LINGER_MS", "PENSTOCK__KAFKA__LINGER_MS"),
        ("PENSTOCK_KAFKA_LINGERMS", "PENSTOCK__KAFKA__LINGER_MS"),
        ("PENSTOCK_DATA_DIR", "PENSTOCK__DATA_DIR"),
    ],
)
def test_a_variable_that_nearly_names_a_setting_is_told(name: str, meant: str) -> None:
    with pytest.raises(Failure, match=rf"{name}: is no setting; did you mean {meant}\?"):
        read(Sources(environ={name: "1"}))


@pytest.mark.parametrize(
    "name",
    ["PENSTOCK_SERVICE_HOST", "PENSTOCK_PORT", "PENSTOCK_PORT_8080_TCP", "PENSTOCK_MODEL", "PENSTOCK_TEST_X"],
)
def test_a_variable_of_somebody_elses_is_left_alone(name: str) -> None:
    assert read(Sources(environ={name: "tcp://10.0.0.1:80"})).settings == Settings()


def test_all_mistakes_of_all_sources_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text("x = 1\n[kafka]\nlinger_ms = -1\nfetch_wait_ms = 0\n")
    told = complaint(
        Sources(
            directory=tmp_path,
            environ={"PENSTOCK__KAFKA__HEARTBEAT_INTERVAL_MS": "6000", "PENSTOCK__SECRET_FILE": "/nowhere"},
            flags=(Flag("--set", "y", "1"),),
        )
    )
    head, *lines = told.splitlines()
    assert head == "settings: 6 mistakes:"
    assert [line.split()[0] for line in lines] == [
        "x", "kafka.linger_ms", "kafka.fetch_wait_ms", "secret_file", "y", "kafka.heartbeat_interval_ms"
    ]  # fmt: skip


def test_a_mistake_is_told_once_and_not_again_for_what_follows_from_it(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text(
        "[kafka]\nsecurity_protocol = 'SASL_SSL'\nsasl_username = 'u'\nsasl_password_file = '/nowhere'\n"
    )
    assert "mistakes" not in complaint(Sources(directory=tmp_path))


class TestTheFileItself:
    def test_a_named_file_that_is_missing(self, tmp_path: Path) -> None:
        file = tmp_path / "x.toml"
        told = complaint(Sources(config=str(file)))
        assert told == f"settings: the settings file {file} cannot be read: No such file or directory"

    def test_a_directory(self, tmp_path: Path) -> None:
        told = complaint(Sources(config=str(tmp_path)))
        assert told == f"settings: the settings file {tmp_path} cannot be read: Is a directory"

    def test_bytes_that_are_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "x.toml").write_bytes(b"a = '\xff'")
        told = complaint(Sources(config=str(tmp_path / "x.toml")))
        assert told == f"settings: the settings file {tmp_path / 'x.toml'} is not UTF-8 text"

    def test_one_that_is_far_too_large(self, tmp_path: Path) -> None:
        (tmp_path / "x.toml").write_text("#" * (1 << 21))
        told = complaint(Sources(config=str(tmp_path / "x.toml")))
        assert told == f"settings: the settings file {tmp_path / 'x.toml'} is larger than 1048576 bytes"


TOML_SCRAPS = st.sampled_from(
    ["[kafka]\n", "[[nodes]]\n", "linger_ms = ", "url = ", "=", "[", "]", "{", "}", '"', "'", "\n", ".", ",", "#",
     "1e999", "-0", "nan", "true", "1979-05-27", '"""', "\\u0000", "\x1b", "\ud7ff", "secret_file = ", "nodes = "]
)  # fmt: skip


def outcome(sources: Sources) -> Settings | Failure:
    try:
        return read(sources).settings
    except Failure as failure:
        return failure


def is_told_well(failure: Failure) -> bool:
    printable = all(character.isprintable() or character == "\n" for character in failure.sentence)
    return printable and failure.exit_code == ExitCode.USAGE


@given(st.lists(TOML_SCRAPS | st.text(string.printable, max_size=6), max_size=30).map("".join))
@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_stands_in_the_file_it_is_settings_or_a_failure(tmp_path: Path, text: str) -> None:
    (tmp_path / "penstock.toml").write_bytes(text.encode())
    result = outcome(Sources(directory=tmp_path))
    assert isinstance(result, Settings) or is_told_well(result)


NODE_SCRAPS = st.sampled_from(["http://h:1", "?", "&", "=", "slots", "+", ",", "[", "{", '"', "%"])


@given(st.text(max_size=60) | st.lists(NODE_SCRAPS).map("".join))
@settings(max_examples=500, deadline=None)
def test_whatever_is_given_for_nodes_it_is_nodes_or_a_failure(text: str) -> None:
    result = outcome(Sources(environ={"PENSTOCK__NODES": text}))
    if isinstance(result, Failure):
        assert is_told_well(result)
    else:
        assert all(node.url.startswith("http") for node in result.nodes)
