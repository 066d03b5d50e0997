"""Word lists of a policy file: a `terms` rule may name files, whose terms become the rule's own.

One term a line; blank lines and lines that begin with `#` are left out. What is published is whole: it names
no files, and says the same wherever it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from schemas.policy import Term, TermsRule
from schemas.wire import POLICY_BYTES_MAX

FILES_MAX = 100


class TermsInFile(TermsRule, frozen=True, kw_only=True, tag="terms"):
    """A `terms` rule as it may stand in a file."""

    terms: Annotated[tuple[Term, ...], Meta(max_length=20_000)] = ()
    files: Annotated[tuple[str, ...], Meta(max_length=FILES_MAX)] = ()
    """Paths from the policy file on, with `/` between their parts."""


class BadList(Exception):
    """A word list that cannot be used, and why."""


class Origin(NamedTuple):
    """Where a term stands that is not in the policy file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


class Inlined(NamedTuple):
    """A rule's table with the terms of its files, and what went wrong with these."""

    rule: Any
    origins: Mapping[int, Origin]
    """Of the terms from files, by their numbers."""
    problems: tuple[tuple[str, str], ...] = ()
    """Place below the rule, and reason."""


def inlined(rule: Any, directory: Path) -> Inlined:
    """A rule of a policy file as it is published; what is not a rule with files stays as it is."""
    if not isinstance(rule, Mapping) or rule.get("type") != "terms" or not _has_files(rule):
        return Inlined(rule, {})
    own = rule.get("terms", [])
    if not isinstance(own, list) or not all(isinstance(term, str) for term in own):
        return Inlined(rule, {})
    terms: dict[str, Origin | None] = dict.fromkeys(own)
    problems: list[tuple[str, str]] = []
    for at, name in enumerate(rule["files"]):
        try:
            for line, term in _terms_of(name, directory):
                terms.setdefault(term, Origin(name, line))
        except BadList as bad:
            problems.append((f".files[{at}]", str(bad)))
    made = {key: value for key, value in rule.items() if key != "files"} | {"terms": list(terms)}
    origins = {at: origin for at, origin in enumerate(terms.values()) if origin is not None}
    return Inlined(made, origins, tuple(problems))


def _has_files(rule: Mapping[str, Any]) -> bool:
    files = rule.get("files")
    return (
        isinstance(files, list) and all(isinstance(name, str) for name in files) and len(files) <= FILES_MAX
    )


def _terms_of(name: str, directory: Path) -> Iterator[tuple[int, str]]:
    """Each term of a file, with its line."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise BadList("must be a path below the policy file's own folder")
    try:
        file = directory / path
        if file.stat().st_size > POLICY_BYTES_MAX:
            raise BadList(f"the file is larger than {POLICY_BYTES_MAX} bytes")
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BadList(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadList(f"not UTF-8 at byte {error.start}") from None
    for number, line in enumerate(text.split("\n"), start=1):
        term = line.strip()
        if term and not term.startswith("#"):
            yield number, term
