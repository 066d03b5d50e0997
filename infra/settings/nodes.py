"""The list of nodes, the one setting that is not a scalar, in the ways it may be written.

As TOML tables (`[[nodes]]`), as a JSON list of objects, or in short, comma-separated or as a list of strings:
`ollama+http://gpu0:11434?slots=4&model=qwen2.5:7b`. Opens no connection; reads the secret files it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from infra.settings.leaves import is_allowed, leaves, node_leaves, printable
from infra.settings.settling import find, settle, twice, unknown
from infra.settings.sources import Given, Mistake
from schemas.settings import NodeSettings

PATH = "nodes"


def settle_nodes(given: Given) -> tuple[NodeSettings, ...] | list[Mistake]:
    """The nodes, or everything that is wrong with any of them."""
    elements = _elements(given.value) if given.is_text else given.value
    if not isinstance(elements, list):
        return [
            Mistake(
                PATH,
                f"{PATH} ({given.origin}): must be {leaves()[PATH].bound}, "
                f"as [[{PATH}]] tables, a JSON list, or comma-separated addresses",
            )
        ]
    judged = [_node(element, replace(given, path=f"{PATH}[{at}]")) for at, element in enumerate(elements)]
    mistakes = [mistake for node in judged if isinstance(node, list) for mistake in node]
    nodes = tuple(node for node in judged if isinstance(node, NodeSettings))
    if not is_allowed(leaves()[PATH], nodes):
        mistakes.append(Mistake(PATH, f"{PATH} ({given.origin}): must be {leaves()[PATH].bound}"))
    return mistakes or nodes


def _elements(text: str) -> Any:
    if text.lstrip().startswith("["):
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return None
    return [part.strip() for part in text.split(",") if part.strip()]


def _node(element: Any, given: Given) -> NodeSettings | list[Mistake]:
    """One node: a table of its settings, or an address with the other settings behind it."""
    if isinstance(element, str):
        return _judge(_in_short(element), replace(given, is_text=True))
    if isinstance(element, Mapping):
        return _judge(element, replace(given, is_text=False))
    return [Mistake(given.path, f"{given.path} ({given.origin}): must be a table or an address")]


def _in_short(text: str) -> dict[str, Any]:
    """`KIND+http://HOST:PORT/PATH?slots=4&model=x` as a table. What makes no sense fails as a url."""
    address, _, rest = text.partition("?")
    kind, plus, url = address.partition("+")
    table: dict[str, Any] = {"url": url, "kind": kind} if plus and "://" not in kind else {"url": address}
    for part in rest.split("&") if rest else ():
        name, _, value = part.partition("=")
        # Plain unquoting: in a form `+` means a blank, but in a model's name it means itself.
        table[unquote(name)] = unquote(value)
    return table


def _judge(table: Mapping[str, Any], given: Given) -> NodeSettings | list[Mistake]:
    known = node_leaves()
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    for name, value in table.items():
        one = replace(given, path=f"{given.path}.{printable(str(name))}", value=value)
        found = find(str(name), known)
        if found is None:
            mistakes.append(unknown(one, str(name), known))
            continue
        leaf, is_file = found
        settled = settle(leaf, one, is_file=is_file)
        if isinstance(settled, Mistake):
            mistakes.append(settled)
        elif leaf.path in values:
            mistakes.append(twice(one, leaf))
        else:
            values[leaf.path] = settled
    if "url" not in table:
        mistakes.append(Mistake(given.path, f"{given.path} ({given.origin}): has no url"))
    return mistakes or NodeSettings(**values)
