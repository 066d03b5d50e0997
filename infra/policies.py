"""Policies as files: reading, checking, and where the one that Penstock brings along lies.

A file is TOML (or JSON, by its ending) in the shape of `schemas.policy.Policy`. All that is wrong with it is
told at once, each thing with its place. Publishing is `infra.policy_topic`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import policies
from infra.drafting import MISTAKES_MAX, Told, drafted
from infra.errors import ExitCode, Failure
from infra.places import Places
from infra.policy_text import parsed, policy_text
from infra.terminal import visible
from schemas.wire import POLICY_BYTES_MAX, encode
from streams.core.rules import BadPolicy, CompiledPolicy, compile_policy
from streams.core.vetting import PolicyProblem

# The topic takes records of 4 MiB, in which the key and Kafka's own bytes must find room beside a document.
DOCUMENT_BYTES_MAX = POLICY_BYTES_MAX - (64 << 10)


def default_policy_path() -> Path:
    """The policy that Penstock brings along: in a checkout and in an installed wheel alike."""
    return Path(policies.__file__).parent / "default.toml"


def check(path: Path) -> list[PolicyProblem]:
    """Everything that is wrong with a policy file; empty if it may be published."""
    try:
        read(path)
    except BadPolicy as bad:
        return list(bad.problems)
    return []


def read(path: Path) -> CompiledPolicy:
    """The policy of a file, checked whole and ready to run, or `BadPolicy`, or `Failure` if unreadable."""
    text = policy_text(path)
    draft = drafted(parsed(text, is_json=path.suffix == ".json"), path.parent)
    if draft.problems:
        raise BadPolicy(_placed(draft.problems, text))
    try:
        compiled = compile_policy(draft.policy)
    except BadPolicy as bad:
        raise BadPolicy(_placed([(problem, "") for problem in bad.problems], text)) from None
    size = len(encode(draft.policy))
    if size > DOCUMENT_BYTES_MAX:
        reason = f"{size} bytes as a document, {DOCUMENT_BYTES_MAX} are allowed"
        raise BadPolicy(_placed([(PolicyProblem("$", reason), "")], text))
    return compiled


def bad_policy(source: str, problems: Sequence[PolicyProblem]) -> Failure:
    """A bad policy as the command line tells it: one line for each problem."""
    count = f"{len(problems)} mistakes" if len(problems) != 1 else "1 mistake"
    if len(problems) >= MISTAKES_MAX:
        count = f"{MISTAKES_MAX} mistakes and maybe more"
    # Whatever a mistake quotes, it stays on its line: no label can look like another line of the report.
    lines = "".join(f"\n  {visible(_line(problem))}" for problem in problems)
    return Failure(f"{source} cannot be used, it has {count}:{lines}", exit_code=ExitCode.POLICY)


def _line(problem: PolicyProblem) -> str:
    return f"line {problem.line}, column {problem.column}: {problem}" if problem.line else str(problem)


def _placed(problems: Iterable[Told], text: str) -> list[PolicyProblem]:
    """The problems in the order of the file, each with its place."""
    places = Places(text)
    placed = [
        problem._replace(line=place.line, column=place.column)
        for problem, field in problems
        for place in (places.of(problem.path, field),)
    ]
    return sorted(placed, key=lambda problem: (problem.line, problem.column))
