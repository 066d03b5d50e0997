"""Every setting is declared in full, and what is made from the declarations is up to date."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from msgspec import inspect

from infra.settings import Sources, read
from infra.settings.checks import problems
from infra.settings.leaves import Leaf, is_allowed, leaves, node_leaves
from infra.settings.showing import reference, schema
from schemas.settings import Settings

DOCS = Path(__file__).parents[3] / "docs"
ALL = [*leaves().values(), *(leaf for leaf in node_leaves().values())]


@pytest.mark.parametrize("leaf", ALL, ids=lambda leaf: leaf.path)
def test_a_setting_has_a_description_a_moment_of_effect_and_a_bound(leaf: Leaf) -> None:
    assert leaf.description.endswith((".", "page."))
    assert leaf.is_marked, "neither live nor restart"
    if isinstance(leaf.kind, (inspect.IntType, inspect.FloatType)):
        assert leaf.kind.ge is not None, "no lower bound"
        assert leaf.kind.le is not None, "no upper bound"


@pytest.mark.parametrize(
    "leaf", [leaf for leaf in ALL if leaf.default is not None], ids=lambda leaf: leaf.path
)
def test_a_default_is_within_its_own_bound(leaf: Leaf) -> None:
    assert is_allowed(leaf, leaf.default)


def test_the_defaults_fit_together() -> None:
    assert problems(Settings()) == []


def test_the_settings_of_a_node_all_need_a_restart() -> None:
    """The list is one setting to the reloader."""
    assert {leaf.reload for leaf in node_leaves().values()} == {leaves()["nodes"].reload} == {"restart"}


def test_a_name_says_its_unit() -> None:
    """A bare number in a file is read right: every number ends in its unit, or is a count or an address."""
    numbers = [leaf.path for leaf in ALL if isinstance(leaf.kind, (inspect.IntType, inspect.FloatType))]
    units = ("_ms", "_us", "_s", "_bytes", "_mb", "_kbytes", "_hours", "_max", "_min", "_tokens", "_ratio")
    counts = ("port", "slots", "seed", "workers", "partitions", "replication")
    assert [path for path in numbers if not path.endswith(units + counts)] == []


def test_the_reference_page_is_up_to_date() -> None:
    """Make it anew with `penstock config reference > docs/settings.md`."""
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == reference()


def test_the_schema_is_up_to_date() -> None:
    """Make it anew with `penstock config schema > docs/settings.schema.json`."""
    assert json.loads((DOCS / "settings.schema.json").read_text(encoding="utf-8")) == json.loads(
        json.dumps(schema())
    )


def test_the_schema_takes_what_the_reader_takes(tmp_path: Path) -> None:
    content = {
        "policy": "x",
        "secret_file": "s",
        "kafka": {
            "linger_ms": 7,
            "sasl_password_file": "s",
            "security_protocol": "SASL_SSL",
            "sasl_username": "u",
        },
        "nodes": [{"url": "http://h:1", "kind": "vllm", "token_file": "s"}],
    }
    jsonschema.validate(content, schema())
    (tmp_path / "s").write_text("hunter2")
    lines = ["policy = 'x'", "secret_file = 's'", "[kafka]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in content["kafka"].items()]
    lines += ["[[nodes]]", *(f"{name} = {json.dumps(value)}" for name, value in content["nodes"][0].items())]
    (tmp_path / "penstock.toml").write_text("\n".join(lines))
    assert read(Sources(directory=tmp_path)).settings.nodes[0].kind == "vllm"


@pytest.mark.parametrize(
    "content",
    [{"secret": "x"}, {"kafka": {"linger_ms": -1}}, {"kafka": {"linger": 1}}, {"nodes": [{}]}, {"x": 1}],
)
def test_the_schema_refuses_what_the_reader_refuses(content: dict[str, object]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema())
