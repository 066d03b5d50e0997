"""A broker's configuration: what must hold of one broker and of three, and that Java reads what we write."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.embedded.properties import Place, SecureListener, rendered, server_properties

ONE = (Place(1, 21_001, 21_002, 21_003),)
THREE = tuple(Place(number, 21_000 + number, 22_000 + number) for number in (1, 2, 3))
SECURE = SecureListener(keystore="/k.p12", keystore_password="changeit", users={"ann": "pw-1", "bob": "pw-2"})


def test_everything_listens_on_loopback_only() -> None:
    for peers, secure in ((ONE, None), (THREE, None), (ONE, SECURE)):
        made = server_properties(peers[0], peers, secure)
        for name in ("listeners", "advertised.listeners"):
            addresses = made[name].split(",")
            assert addresses
            assert all("://127.0.0.1:" in address for address in addresses)


def test_a_single_broker_asks_for_no_replica() -> None:
    made = server_properties(ONE[0], ONE)
    replicated = {
        name: value for name, value in made.items() if "replication.factor" in name or "isr" in name
    }
    assert len(replicated) == 6
    assert set(replicated.values()) == {"1"}


def test_three_brokers_replicate_and_want_two_in_sync() -> None:
    made = server_properties(THREE[1], THREE)
    assert made["offsets.topic.replication.factor"] == "3"
    assert made["min.insync.replicas"] == made["transaction.state.log.min.isr"] == "2"
    assert made["controller.quorum.voters"] == "1@127.0.0.1:22001,2@127.0.0.1:22002,3@127.0.0.1:22003"
    assert made["node.id"] == "2"


def test_topics_are_never_made_by_accident_and_groups_start_at_once() -> None:
    made = server_properties(ONE[0], ONE)
    assert made["auto.create.topics.enable"] == "false"
    assert made["group.initial.rebalance.delay.ms"] == "0"
    assert int(made["message.max.bytes"]) >= 16 << 20
    assert not any("unstable" in name for name in made)


def test_directories_are_relative_as_a_comma_would_make_two_of_one() -> None:
    assert server_properties(ONE[0], ONE)["log.dirs"] == "broker-1/data"


def test_without_a_secure_listener_nothing_speaks_of_one() -> None:
    made = server_properties(ONE[0], ONE)
    assert not any(name.startswith("listener.name.secure") for name in made)
    assert "SECURE://" not in made["listeners"]


def test_a_secure_listener_knows_its_users_and_stays_apart_from_the_plain_one() -> None:
    made = server_properties(ONE[0], ONE, SECURE)
    assert (
        made["listeners"] == "BROKER://127.0.0.1:21001,SECURE://127.0.0.1:21003,CONTROLLER://127.0.0.1:21002"
    )
    assert 'user_ann="pw-1" user_bob="pw-2";' in made["listener.name.secure.plain.sasl.jaas.config"]


def as_java_reads(text: str) -> dict[str, str]:
    """A properties file by Java's rules, for files without continued lines."""
    read = {}
    for line in text.splitlines():
        key, value = re.fullmatch(r"((?:[^\\=]|\\.)*)=(.*)", line).groups()
        read[_unescaped(key)] = _unescaped(value)
    return read


def _unescaped(text: str) -> str:
    units = re.sub(
        r"\\(u([0-9a-f]{4})|.)",
        lambda match: chr(int(match[2], 16)) if match[2] else match[1],
        text,
    )
    return units.encode("utf-16", "surrogatepass").decode("utf-16")


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), max_size=5))
def test_any_value_is_read_again_as_it_was(values: dict[str, str]) -> None:
    text = rendered(values)
    assert text.isascii()
    assert as_java_reads(text) == values


@pytest.mark.parametrize("value", [" begins with a blank", "tab\there", "line\nbreak", "back\\slash", "ü€😀"])
def test_values_that_java_would_change_are_escaped(value: str) -> None:
    text = rendered({"key": value})
    assert text.count("\n") == 1
    assert as_java_reads(text) == {"key": value}
