"""Defaults < settings file < environment < flags, for every setting, whatever its type."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from infra.settings import Sources, load, read
from infra.settings.checks import problems
from infra.settings.leaves import Leaf, leaves, value_at
from infra.settings.reading import with_values
from infra.settings.sources import Flag
from schemas.settings import NodeSettings, Settings

PLAIN = [leaf for leaf in leaves().values() if not leaf.is_secret and not leaf.is_nodes]
SOURCES = ("file", "environment", "flag")


def values_of(leaf: Leaf) -> st.SearchStrategy[Any]:
    match leaf.kind:
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType(ge=low, le=high):
            return st.integers(low, high)
        case inspect.FloatType(ge=low, le=high):
            return st.floats(low, high, allow_nan=False)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.StrType(pattern=str(pattern)):
            return st.from_regex(pattern, fullmatch=True).filter(str.isprintable)
        case inspect.StrType(min_length=low, max_length=high):
            return st.text(min_size=low or 0, max_size=min(high or 40, 40)).filter(str.isprintable)
    raise AssertionError(leaf)


@st.composite
def spoken(draw: st.DrawFn) -> tuple[Leaf, dict[str, Any]]:
    """One setting, and what some of the sources say of it."""
    leaf = draw(st.sampled_from(PLAIN))
    saying = draw(st.sets(st.sampled_from(SOURCES)))
    return leaf, {source: draw(values_of(leaf)) for source in SOURCES if source in saying}


def written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def sources_of(leaf: Leaf, said: dict[str, Any], directory: Path) -> Sources:
    section, _, name = leaf.path.rpartition(".")
    head = f"[{section}]\n" if section else ""
    line = f"{name} = {json.dumps(said['file'], ensure_ascii=False)}\n" if "file" in said else ""
    (directory / "penstock.toml").write_text(head + line, encoding="utf-8")
    variable = "PENSTOCK__" + leaf.path.upper().replace(".", "__")
    return Sources(
        environ={variable: written(said["environment"])} if "environment" in said else {},
        flags=(Flag("--set", leaf.path, written(said["flag"])),) if "flag" in said else (),
        directory=directory,
    )


@given(spoken())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_the_strongest_source_that_speaks_wins_and_is_named(
    tmp_path: Path, case: tuple[Leaf, dict[str, Any]]
) -> None:
    leaf, said = case
    strongest = max(said, key=SOURCES.index, default="default")
    wanted = said.get(strongest, leaf.default)
    assume(not problems(with_values(Settings(), {leaf.path: wanted})))

    loaded = read(sources_of(leaf, said, tmp_path))

    assert loaded.origin(leaf.path).source == strongest
    assert value_at(loaded.settings, leaf.path) == wanted
    others = with_values(loaded.settings, {leaf.path: leaf.default})
    assert others == Settings(), "a setting that nobody spoke of has changed"


def test_a_whole_number_is_taken_for_a_fraction() -> None:
    loaded = read(Sources(flags=(Flag("--set", "reference_node.alpha_ms", "3"),)))
    assert math.isclose(loaded.settings.reference_node.alpha_ms, 3.0)
    assert isinstance(loaded.settings.reference_node.alpha_ms, float)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("Yes", True), ("on", True), ("1", True), ("off", False), ("0", False)],
)
def test_a_switch_is_written_as_people_write_it(text: str, value: bool) -> None:
    loaded = read(Sources(environ={"PENSTOCK__KAFKA__SSL_CHECK_HOSTNAME": text}))
    assert loaded.settings.kafka.ssl_check_hostname is value


def test_the_flags_with_names_of_their_own_are_settings() -> None:
    args = argparse.Namespace(
        config=None,
        data_dir="elsewhere",
        bootstrap="k:9092",
        set=["kafka.linger_ms=7", "kafka.bootstrap=x:1"],
    )
    loaded = load(args)
    assert (loaded.settings.data_dir, loaded.settings.kafka.bootstrap) == ("elsewhere", "k:9092")
    assert str(loaded.origin("kafka.bootstrap")) == "--bootstrap"
    assert loaded.settings.kafka.linger_ms == 7


def test_a_child_process_is_handed_the_same_settings(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("[kafka]\nlinger_ms = 9\n")
    flags = (Flag("--set", "topics.prefix", "t."), Flag("--data-dir", "data_dir", "a b"))
    parent = read(Sources(config=str(tmp_path / "x.toml"), flags=flags))

    parser = argparse.ArgumentParser()
    parser.add_argument("--config")
    parser.add_argument("--set", action="append")
    child = load(parser.parse_args(parent.sources.arguments()))

    assert child.settings == parent.settings
    assert child.settings.topics.prefix == "t."


class TestWhichFile:
    def test_the_named_one_before_the_environment_s_before_the_directory_s(self, tmp_path: Path) -> None:
        for name, linger in (("penstock.toml", 1), ("env.toml", 2), ("flag.toml", 3)):
            (tmp_path / name).write_text(f"[kafka]\nlinger_ms = {linger}\n")
        environ = {"PENSTOCK_CONFIG": "env.toml"}
        lingers = [
            read(Sources(config=config, environ=env, directory=tmp_path)).settings.kafka.linger_ms
            for config, env in ((None, {}), (None, environ), ("flag.toml", environ))
        ]
        assert lingers == [1, 2, 3]

    def test_none_is_needed(self, tmp_path: Path) -> None:
        assert read(Sources(directory=tmp_path)).settings == Settings()

    def test_the_line_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "penstock.toml").write_text("# mine\npolicy = 'x'\n\n[kafka]\n\nlinger_ms = 3\n")
        loaded = read(Sources(directory=tmp_path))
        assert str(loaded.origin("kafka.linger_ms")) == f"{tmp_path / 'penstock.toml'}:6"
        assert str(loaded.origin("policy")) == f"{tmp_path / 'penstock.toml'}:2"


class TestNodes:
    WANTED = (
        NodeSettings(url="http://gpu0:11434", kind="ollama", slots=4, model="qwen2.5:7b"),
        NodeSettings(url="https://gpu1:8000/base", name="big"),
    )

    @pytest.mark.parametrize(
        "text",
        [
            "ollama+http://gpu0:11434?slots=4&model=qwen2.5:7b, https://gpu1:8000/base?name=big",
            "ollama+http://gpu0:11434?slots=4&model=qwen2.5%3A7b,openai+https://gpu1:8000/base?name=big",
            (
                '[{"url": "http://gpu0:11434", "kind": "ollama", "slots": 4, "model": "qwen2.5:7b"},'
                ' {"url": "https://gpu1:8000/base", "name": "big"}]'
            ),
            (
                '["ollama+http://gpu0:11434?slots=4&model=qwen2.5:7b",'
                ' {"url": "https://gpu1:8000/base", "name": "big"}]'
            ),
        ],
    )
    def test_one_variable_holds_them_all(self, text: str) -> None:
        loaded = read(Sources(environ={"PENSTOCK__NODES": text}))
        assert loaded.settings.nodes == self.WANTED
        assert str(loaded.origin("nodes")) == "PENSTOCK__NODES"

    @pytest.mark.parametrize(
        "text",
        [
            (
                '[[nodes]]\nurl = "http://gpu0:11434"\nkind = "ollama"\nslots = 4\nmodel = "qwen2.5:7b"\n'
                '[[nodes]]\nurl = "https://gpu1:8000/base"\nname = "big"\n'
            ),
            'nodes = ["ollama+http://gpu0:11434?slots=4&model=qwen2.5:7b", "https://gpu1:8000/base?name=big"]',
        ],
    )
    def test_the_file_holds_tables_or_addresses(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "penstock.toml").write_text(text)
        assert read(Sources(directory=tmp_path)).settings.nodes == self.WANTED

    def test_a_plus_sign_in_a_model_s_name_means_itself(self) -> None:
        loaded = read(Sources(environ={"PENSTOCK__NODES": "vllm+http://h:1?model=a+b"}))
        assert loaded.settings.nodes[0].model == "a+b"

    def test_an_empty_variable_is_an_empty_list(self) -> None:
        assert read(Sources(environ={"PENSTOCK__NODES": ""})).settings.nodes == ()

    @pytest.mark.parametrize(
        ("url", "name", "known_as"),
        [
            ("http://gpu0:11434", "", "gpu0-11434"),
            ("https://gpu0/v/x", "", "gpu0"),
            ("http://[::1]:80", "", "[--1]-80"),
            ("http://gpu0:1", "a", "a"),
        ],
    )
    def test_a_node_without_a_name_is_known_by_its_address(self, url: str, name: str, known_as: str) -> None:
        assert NodeSettings(url=url, name=name).known_as == known_as
