"""Settings as people and tools read them: values with their origins, the reference page, the JSON Schema.

All of it comes from the declarations in `schemas/settings.py`; secrets are masked in each. Prints nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import msgspec

from infra.settings.leaves import Leaf, branches, leaves, mask, node_leaves, shown, value_at
from infra.settings.nodes import PATH as NODES
from infra.settings.reading import Loaded
from infra.settings.settling import SECRET_FILE_SUFFIX
from infra.settings.sources import Origin
from schemas.settings import NodeSettings, Secret, Settings

REFERENCE_HEAD = """\
# Settings

Made from the declarations in `schemas/settings.py` by `penstock config reference`; a test holds the two
together.

A value is looked for in four places, and the last that has it wins: the default, the settings file, the
environment, the flags. A mistake anywhere stops the start with exit code 2; all mistakes are told.

- **Settings file** (TOML): `--config FILE`, else the file that `PENSTOCK_CONFIG` names, else `penstock.toml`
  in the current directory. `kafka.linger_ms` is `linger_ms` in the section `[kafka]`.
- **Environment**: `PENSTOCK__` and the path, in capitals, its dots written as `__`:
  `PENSTOCK__KAFKA__LINGER_MS=10`.
- **Flags**: `--set kafka.linger_ms=10`, as often as needed; `--bootstrap` is `kafka.bootstrap`, and
  `--data-dir` is `data_dir`.

**Secrets** stand neither in the settings file nor among the flags. Name a file that holds the secret by the
setting's name with `_file` behind it, in any of the places (`sasl_password_file = "/run/secrets/kafka"`,
`PENSTOCK__KAFKA__SASL_PASSWORD_FILE=/run/secrets/kafka`), or put the secret itself into the environment. A
file's name is relative to the settings file that names it. Wherever settings are shown, a secret is `***`.

**Live** settings change in a running process, at SIGHUP or a moment after the file has changed. The others
need a restart; a process says which of them have changed. A file with a mistake changes nothing.

`penstock config show` says each value and where it was written, `penstock config check FILE` judges a file,
`penstock config schema` prints a JSON Schema of the file, for editors.
"""

NODES_NOTE = """\
In the settings file a node is a table `[[nodes]]`. In one variable or flag, `PENSTOCK__NODES` holds all of
them, as a JSON list (`[{"url": "http://gpu0:11434", "kind": "ollama", "slots": 4}]`) or in short,
comma-separated: `ollama+http://gpu0:11434?slots=4&model=qwen2.5:7b,vllm+http://gpu1:8000`. There the kind
stands before the address (`openai` where it is left out) and the other settings behind it, percent-encoded.
"""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `config show`."""

    path: str
    value: Any
    text: str
    origin: Origin
    reload: str


def show(loaded: Loaded, path: str = "") -> list[Shown]:
    """The leaves at or under a path, or all."""
    return [one for one in _all_shown(loaded) if _is_under(one.path, path)]


def show_text(lines: list[Shown]) -> str:
    """Columns: the setting, its value, when a change takes effect, where it was written."""
    widths = [max((len(cell) for cell in column), default=0) for column in zip(*_cells(lines), strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in _cells(lines)
    )


def show_json(lines: list[Shown]) -> str:
    """The same for programs: a list of objects."""
    return json.dumps(
        [
            {
                "path": line.path,
                "value": line.value,
                "source": line.origin.source,
                "place": line.origin.place,
                "reload": line.reload,
            }
            for line in lines
        ],
        indent=2,
    )


def reference() -> str:
    """The text of `docs/settings.md`."""
    top = [leaf for leaf in leaves().values() if "." not in leaf.path and not leaf.is_nodes]
    parts = [REFERENCE_HEAD, "\n## At the top\n\n", *_table(top)]
    for branch, description in branches().items():
        inside = [leaf for leaf in leaves().values() if leaf.path.startswith(f"{branch}.")]
        parts += [f"\n## `{branch}`\n\n{description}\n\n", *_table(inside)]
    nodes = leaves()[NODES]
    parts += [f"\n## `{NODES}`\n\n{nodes.description} A list of at most 256.\n\n{NODES_NOTE}\n"]
    return "".join([*parts, *_table(list(node_leaves().values()))])


def schema() -> dict[str, Any]:
    """The JSON Schema of the settings file, in which a secret is the name of a file."""
    made = msgspec.json.schema(Settings, schema_hook=_secret_schema)
    for definition in made["$defs"].values():
        # From Python 3.13 a docstring comes without its indentation; the page must not change with that.
        if "description" in definition:
            definition["description"] = cleandoc(definition["description"])
        definition["properties"] = dict(map(_in_file, definition["properties"].items()))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Penstock's settings file",
        **made,
    }


def _all_shown(loaded: Loaded) -> Iterator[Shown]:
    for path, leaf in leaves().items():
        origin = loaded.origin(path)
        value = value_at(loaded.settings, path)
        if not leaf.is_nodes:
            yield _shown(leaf, path, value, origin)
        elif not value:
            yield Shown(path=path, value=[], text="[]", origin=origin, reload=leaf.reload)
        for at, node in enumerate(value if leaf.is_nodes else ()):
            yield from _node_shown(node, f"{path}[{at}]", origin)


def _node_shown(node: NodeSettings, prefix: str, origin: Origin) -> Iterator[Shown]:
    for name, leaf in node_leaves().items():
        yield _shown(leaf, f"{prefix}.{name}", getattr(node, name), origin)


def _shown(leaf: Leaf, path: str, value: Any, origin: Origin) -> Shown:
    masked = str(value) if leaf.is_secret else mask(value) if isinstance(value, str) else value
    return Shown(path=path, value=masked, text=json.dumps(masked), origin=origin, reload=leaf.reload)


def _is_under(path: str, wanted: str) -> bool:
    return not wanted or path == wanted or path.startswith((f"{wanted}.", f"{wanted}["))


def _cells(lines: list[Shown]) -> list[tuple[str, str, str, str]]:
    return [(line.path, line.text, line.reload, str(line.origin)) for line in lines]


def _table(rows: list[Leaf]) -> Iterator[str]:
    yield "| setting | must be | default | takes effect | what it is |\n|---|---|---|---|---|\n"
    for leaf in rows:
        name = f"`{leaf.path}`" + (f" (`{leaf.path}{SECRET_FILE_SUFFIX}`)" if leaf.is_secret else "")
        default = "required" if leaf.default is None else f"`{shown(leaf, leaf.default)}`"
        effect = "live" if leaf.reload == "live" else "restart"
        bound = leaf.bound.replace("|", "\\|")
        yield f"| {name} | {bound} | {default} | {effect} | {leaf.description} |\n"


def _secret_schema(kind: type) -> dict[str, Any]:
    if kind is Secret:
        return {"type": "string", "format": "penstock-secret"}
    raise NotImplementedError


def _in_file(item: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    name, said = item
    if said.get("format") != "penstock-secret":
        return item
    rest = {key: value for key, value in said.items() if key != "format"}
    return name + SECRET_FILE_SUFFIX, {**rest, "description": f"File that holds it: {said['description']}"}
