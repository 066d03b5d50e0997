"""Makes the settings from all sources: defaults < TOML file < environment < flags. The reader's second step.

All mistakes are found before any is told, and told together. Nothing is kept here: who needs settings is
handed them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from infra.errors import ExitCode, Failure
from infra.settings.checks import problems
from infra.settings.leaves import branches, leaves, printable, shown, value_at
from infra.settings.nodes import PATH as NODES
from infra.settings.nodes import settle_nodes
from infra.settings.settling import SECRET_FILE_SUFFIX, find, settle, twice, unknown
from infra.settings.sources import DEFAULT, Given, Mistake, Origin, Sources
from schemas.settings import Settings


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """The settings, where each was written, and what was read for them."""

    settings: Settings
    origins: Mapping[str, Origin]
    sources: Sources
    secret_files: tuple[Path, ...] = ()

    def origin(self, path: str) -> Origin:
        """Where the value of this leaf comes from."""
        return self.origins.get(path, DEFAULT)

    def watched(self) -> list[Path]:
        """The files whose change may change the settings."""
        file = self.sources.file()
        return [*([file] if file is not None else []), *self.secret_files]

    def reload(self) -> Loaded:
        """The same sources, read again."""
        return read(self.sources)


def load(args: argparse.Namespace) -> Loaded:
    """The settings of this process, for a command's `run`."""
    return read(Sources.of(args))


def read(sources: Sources) -> Loaded:
    """The settings that the sources give; a `Failure` that tells all mistakes where there are any."""
    given, mistakes = sources.read()
    settled, wrong = _settle_all(given)
    mistakes += wrong
    settings = with_values(Settings(), {path: value for path, (value, _) in settled.items()})
    origins = {path: origin for path, (_, origin) in settled.items()}
    mistaken = {mistake.path.partition("[")[0].removesuffix(SECRET_FILE_SUFFIX) for mistake in mistakes}
    mistakes += [
        Mistake(problem.paths[0], f"{_written(settings, origins, problem.paths)}: {problem.sentence}")
        for problem in problems(settings)
        if mistaken.isdisjoint(problem.paths)
    ]
    if mistakes:
        raise Failure(_told(mistakes), exit_code=ExitCode.USAGE)
    files = tuple(one.base / one.value for one in given if _is_secret_file(one))
    return Loaded(settings=settings, origins=origins, sources=sources, secret_files=files)


def with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """The tree with some of its leaves replaced."""
    changes: dict[str, Any] = {}
    for branch in branches():
        inner = {
            path.partition(".")[2]: value for path, value in values.items() if path.startswith(f"{branch}.")
        }
        if inner:
            changes[branch] = replace(getattr(settings, branch), **inner)
    changes |= {path: value for path, value in values.items() if "." not in path}
    return replace(settings, **changes)


def _settle_all(given: Iterable[Given]) -> tuple[dict[str, tuple[Any, Origin]], list[Mistake]]:
    known = leaves()
    settled: dict[str, tuple[Any, Origin]] = {}
    mistakes: list[Mistake] = []
    for one in given:
        found = find(one.path, known)
        if found is None:
            mistakes.append(_no_leaf(one))
            continue
        leaf, is_file = found
        value = settle_nodes(one) if leaf.path == NODES else settle(leaf, one, is_file=is_file)
        earlier = settled.get(leaf.path)
        if isinstance(value, list):
            mistakes += value
        elif isinstance(value, Mistake):
            mistakes.append(value)
        elif leaf.is_secret and earlier is not None and earlier[1].source == one.origin.source:
            mistakes.append(twice(one, leaf))
        else:
            settled[leaf.path] = (value, one.origin)
    return settled, mistakes


def _no_leaf(given: Given) -> Mistake:
    if given.path in branches():
        return Mistake(
            given.path, f"{given.path} ({given.origin}): is a section; give the settings within it"
        )
    return unknown(replace(given, path=printable(given.path)), given.path, leaves(), branches())


def _is_secret_file(given: Given) -> bool:
    found = find(given.path, leaves())
    return found is not None and found[1]


def _written(settings: Settings, origins: Mapping[str, Origin], paths: Iterable[str]) -> str:
    """`a = 1 (here), b = 2 (default)`: what a problem that lies between several settings is about."""
    return ", ".join(
        f"{path} = {shown(leaves()[path], value_at(settings, path))} ({origins.get(path, DEFAULT)})"
        if path != NODES
        else f"{path} ({origins.get(path, DEFAULT)})"
        for path in paths
    )


def _told(mistakes: list[Mistake]) -> str:
    if len(mistakes) == 1:
        return f"settings: {mistakes[0].sentence}"
    lines = "".join(f"\n  {mistake.sentence}" for mistake in mistakes)
    return f"settings: {len(mistakes)} mistakes:{lines}"
