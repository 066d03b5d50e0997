"""Word lists of a policy file: a `terms` rule may name files, whose terms become the rule's own.

One term a line; blank lines and lines that begin with `#` are left out. What is published is whole: it names
no files, and says the same wherever it is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from infra.policy_text import regular_file
from schemas.policy import Term, TermsRule
from schemas.wire import POLICY_BYTES_MAX

FILES_MAX = 100
LISTS_BYTES_MAX = 2 * POLICY_BYTES_MAX
"""Of all lists of a policy, each as often as it is named: what is longer is no document, comments aside."""


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


class WordLists:
    """The word lists below one folder."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._bytes_left = LISTS_BYTES_MAX

    def __repr__(self) -> str:
        return f"<WordLists in {self._directory}, {self._bytes_left} bytes left>"

    def inlined(self, rule: Any) -> Inlined:
        """A rule of a policy file as it is published; what is not a rule with files stays as it is."""
        if not isinstance(rule, Mapping) or rule.get("type") != "terms" or not _has_files(rule):
            return Inlined(rule, {})
        own = rule.get("terms", [])
        terms: dict[str, Origin] = {}
        known = {term for term in own if isinstance(term, str)} if isinstance(own, list) else set()
        problems: list[tuple[str, str]] = []
        for at, name in enumerate(rule["files"]):
            try:
                for line, term in self._terms_of(name):
                    if term not in known:
                        terms.setdefault(term, Origin(name, line))
            except BadList as bad:
                problems.append((f".files[{at}]", str(bad)))
        made = {key: value for key, value in rule.items() if key != "files"}
        if not isinstance(own, list):
            # What is wrong with the rule's own terms is told of them as they stand.
            return Inlined(made, {}, tuple(problems))
        # The rule's own terms keep their numbers, also where one of them stands twice or is none.
        origins = dict(enumerate(terms.values(), start=len(own)))
        return Inlined(made | {"terms": [*own, *terms]}, origins, tuple(problems))

    def _terms_of(self, name: Any) -> Iterator[tuple[int, str]]:
        """Each term of a file, with its line."""
        if not isinstance(name, str):
            raise BadList("must be text")
        data = self._data_of(name)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise BadList(f"not UTF-8 at byte {error.start}, in line {line}") from None
        for number, line_of_it in enumerate(text.split("\n"), start=1):
            term = line_of_it.strip()
            if term and not term.startswith("#"):
                yield number, term

    def _data_of(self, name: str) -> bytes:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
            raise BadList("must be a path below the policy file's own folder")
        try:
            data = regular_file(self._directory / path, POLICY_BYTES_MAX)
        except OSError as error:
            raise BadList(f"cannot be read: {error.strerror}") from None
        if len(data) > POLICY_BYTES_MAX:
            raise BadList(f"the file is larger than {POLICY_BYTES_MAX} bytes")
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            raise BadList(f"the word lists of all rules are together larger than {LISTS_BYTES_MAX} bytes")
        return data


def _has_files(rule: Mapping[str, Any]) -> bool:
    files = rule.get("files")
    return isinstance(files, list) and len(files) <= FILES_MAX
