"""A secret never shows itself: not printed, not formatted, not encoded, not in an error, not by `config`."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.errors import Failure
from infra.settings import Loaded, Sources, read
from infra.settings.leaves import leaves, node_leaves
from infra.settings.reloading import decide
from infra.settings.showing import show, show_json, show_text
from infra.settings.sources import Flag
from schemas.settings import KafkaSettings, NodeSettings, Secret, Settings

SECRETS = [leaf.path for leaf in leaves().values() if leaf.is_secret]
# Long enough, and of letters that no name, path or sentence has: found in an output, it is the secret.
A_SECRET = st.text(alphabet="QZXJ7493%&=?#'\"\\$@:/+, ", min_size=8, max_size=40).filter(
    lambda text: any(character in "QZXJ" for character in text)
)


def variable(path: str) -> str:
    return "PENSTOCK__" + path.upper().replace(".", "__")


def all_that_is_shown(loaded: Loaded) -> str:
    lines = show(loaded)
    return "\n".join(
        [
            repr(loaded.settings),
            str(loaded.settings),
            f"{loaded.settings}",
            show_text(lines),
            show_json(lines),
        ]
    )


class TestTheType:
    def test_it_is_masked_however_it_is_printed(self) -> None:
        secret = Secret("hunter2")
        shown = [str(secret), repr(secret), f"{secret}", f"{secret}", f"{secret}"]
        assert all("hunter2" not in text and "***" in text for text in shown)
        assert "hunter2" not in repr(KafkaSettings(sasl_password=secret))

    def test_an_empty_one_is_seen_to_be_empty(self) -> None:
        assert (str(Secret("")), repr(Secret()), bool(Secret())) == ("", "Secret('')", False)

    def test_no_encoder_takes_it(self) -> None:
        branch = KafkaSettings(sasl_password=Secret("hunter2"))
        for encode in (msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins):
            with pytest.raises(TypeError, match="Secret"):
                encode(branch)
        with pytest.raises(TypeError, match="Secret"):
            pickle.dumps(branch)
        with pytest.raises(TypeError, match="Secret"):
            json.dumps({"password": Secret("hunter2")})

    def test_it_is_revealed_to_who_asks(self) -> None:
        assert Secret("hunter2").reveal() == "hunter2"

    def test_it_is_a_value(self) -> None:
        assert Secret("a") == Secret("a") != Secret("b")
        assert Secret("a") != "a"
        assert len({Secret("a"), Secret("a"), Secret("b")}) == 2

    def test_it_cannot_be_changed(self) -> None:
        secret = Secret("a")
        with pytest.raises(AttributeError, match="immutable"):
            secret._value = "b"  # noqa: SLF001  What must not be possible.
        assert secret.reveal() == "a"

    def test_a_copy_of_it_is_itself(self) -> None:
        secret = Secret("a")
        assert copy.deepcopy(KafkaSettings(sasl_password=secret)) == KafkaSettings(sasl_password=secret)


@given(secret=A_SECRET, path=st.sampled_from(SECRETS))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_secret_is_shown_wherever_it_was_given(tmp_path: Path, secret: str, path: str) -> None:
    """The same secret from the environment and from a file; with a mistake beside it and without."""
    (tmp_path / "secret").write_text(secret + "\n")
    environ = {
        "PENSTOCK__KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
        "PENSTOCK__KAFKA__SASL_USERNAME": "u",
        "PENSTOCK__KAFKA__SASL_PASSWORD": "p",
        "PENSTOCK__KAFKA__SSL_CERT_FILE": "c",
        "PENSTOCK__KAFKA__SSL_KEY_FILE": "k",
    }
    given_directly = environ | {variable(path): secret}
    given_as_file = {name: value for name, value in environ.items() if name != variable(path)}
    given_as_file[variable(path) + "_FILE"] = "secret"
    revealed = 0
    for env in (given_directly, given_as_file):
        loaded = read(Sources(environ=env, directory=tmp_path))
        assert secret not in all_that_is_shown(loaded)
        assert secret not in decide(Settings(), loaded.settings).sentence
        branch = loaded.settings
        for name in path.split("."):
            branch = getattr(branch, name)
        revealed += branch.reveal() == secret
        with pytest.raises(Failure) as caught:
            read(Sources(environ=env | {"PENSTOCK__X": secret}, directory=tmp_path))
        assert secret not in str(caught.value)
    assert revealed == 2


@given(
    secret=A_SECRET, path=st.sampled_from([*SECRETS, "nodes", "nodez", "kafka.sasl_pasword", "kafka.sasl"])
)
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_secret_is_shown_that_was_given_where_none_may_stand(
    tmp_path: Path, secret: str, path: str
) -> None:
    """In the settings file, as a flag, under a mistyped name: refused, and not repeated."""
    section, _, name = path.rpartition(".")
    head = f"[{section}]\n" if section else ""
    (tmp_path / "penstock.toml").write_text(f"{head}{name} = {json.dumps(secret)}\n")
    as_node = f"[[nodes]]\nurl = 'http://h:1'\ntoken = {json.dumps(secret)}\n"
    (tmp_path / "node.toml").write_text(as_node)
    sources = [Sources(directory=tmp_path), Sources(config="node.toml", directory=tmp_path)]
    if path != "nodes":
        sources.append(Sources(flags=(Flag("--set", path, secret),)))
    for one in sources:
        if path == "nodes" and one.config is None:
            # An address is no secret; what is one within it is masked by its name.
            continue
        with pytest.raises(Failure) as caught:
            read(one)
        assert secret not in str(caught.value)


@given(secret=A_SECRET)
@settings(max_examples=100, deadline=None)
def test_no_token_of_a_node_is_shown(secret: str) -> None:
    node = {"url": "http://h:1", "token": secret}
    loaded = read(Sources(environ={"PENSTOCK__NODES": json.dumps([node])}))
    assert loaded.settings.nodes[0].token.reveal() == secret
    assert secret not in all_that_is_shown(loaded)
    with pytest.raises(Failure) as caught:
        read(Sources(environ={"PENSTOCK__NODES": json.dumps([node | {"slots": 0, "tokn": secret}])}))
    assert secret not in str(caught.value)


def test_a_secret_is_given_once() -> None:
    environ = {"PENSTOCK__SECRET": "hunter2", "PENSTOCK__SECRET_FILE": "/dev/null"}
    with pytest.raises(Failure, match="give secret or secret_file, not both") as caught:
        read(Sources(environ=environ))
    assert "hunter2" not in str(caught.value)


class TestSecretFiles:
    def test_a_name_is_relative_to_the_settings_file(self, tmp_path: Path) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc" / "s").write_text("hunter2\n")
        (tmp_path / "etc" / "x.toml").write_text(
            "secret_file = 's'\n[[nodes]]\nurl='http://h'\ntoken_file='s'\n"
        )
        loaded = read(Sources(config="etc/x.toml", directory=tmp_path))
        assert loaded.settings.secret.reveal() == "hunter2"
        assert loaded.settings.nodes[0].token.reveal() == "hunter2"
        assert str(loaded.origin("secret")) == f"{tmp_path / 'etc' / 'x.toml'}:1"

    @pytest.mark.parametrize(
        ("content", "value"),
        [
            (b"a", "a"),
            (b"a\n", "a"),
            (b"a\r\n", "a"),
            (b" a ", " a "),
            (b"", ""),
            ("\u00fc\n".encode(), "\u00fc"),
        ],
    )
    def test_the_last_line_break_is_no_part_of_it(self, content: bytes, value: str, tmp_path: Path) -> None:
        (tmp_path / "s").write_bytes(content)
        loaded = read(Sources(environ={"PENSTOCK__SECRET_FILE": str(tmp_path / "s")}))
        assert loaded.settings.secret.reveal() == value

    @pytest.mark.parametrize("content", [b"a\nb\n", b"\xff", b"a\x00b", b"a" * 70_000])
    def test_what_cannot_be_a_secret_is_refused_and_not_repeated(
        self, content: bytes, tmp_path: Path
    ) -> None:
        (tmp_path / "s").write_bytes(content)
        with pytest.raises(Failure, match="the file must hold") as caught:
            read(Sources(environ={"PENSTOCK__SECRET_FILE": str(tmp_path / "s")}))
        assert "aa" not in str(caught.value)


def test_there_are_secrets_to_speak_of() -> None:
    assert {"secret", "kafka.sasl_password", "kafka.ssl_key_password"} <= set(SECRETS)
    assert node_leaves()["token"].is_secret
    assert NodeSettings(url="http://h").token == Secret()
