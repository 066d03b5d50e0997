"""The rules of a policy by how they look at a post: one family for each type, made once per document.

A family adds the numbers of its rules that match. What a match means is decided elsewhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from schemas.policy import (
    AllowRule,
    FloodRule,
    LengthRule,
    LinksRule,
    RegexRule,
    RepetitionRule,
    Rule,
    ShapeRule,
    TermsRule,
)
from streams.core import matching as matched
from streams.core.flooding import Window
from streams.core.links import Link, domains_of, is_of
from streams.core.matching import Automaton, Needle, needles
from streams.core.shapes import has_shape, is_harmless, is_repetitive
from streams.core.subjects import Subject
from streams.core.wariness import Beware, known, words_in

Numbered = Sequence[tuple[int, Rule]]
"""Rules with their places in the policy."""


Look = Callable[[Subject], bool]
"""Whether one rule matches a post."""


class Family(Protocol):
    """Rules of one type."""

    name: str

    def look(self, subject: Subject, matching: set[int]) -> None:
        """Add the rules that match."""

    def each(self) -> Sequence[tuple[int, Look]]:
        """Each rule by itself; none where all are looked for at once, so that none has a cost of its own."""


def families_of(rules: Numbered) -> tuple[Family, ...]:
    """The families that have rules, in the order in which they look."""
    families: list[Family] = [
        *(Terms(own) for own in _own(rules, TermsRule)),
        *(Lengths(own) for own in _own(rules, LengthRule)),
        *(Patterns(own) for own in _own(rules, RegexRule)),
        *(Repetitions(own) for own in _own(rules, RepetitionRule)),
        *(Links(own) for own in _own(rules, LinksRule)),
        *(Shapes(own) for own in _own(rules, ShapeRule)),
        *(Allows(own) for own in _own(rules, AllowRule)),
        *(Floods(own) for own in _own(rules, FloodRule)),
    ]
    return tuple(families)


class Terms:
    """Words and phrases."""

    name = "terms"

    def __init__(self, rules: Sequence[tuple[int, TermsRule]]) -> None:
        self._terms = matched.Terms((needle, at) for at, rule in rules for needle in needles_of(rule))

    def look(self, subject: Subject, matching: set[int]) -> None:
        """One look at each form in which there are terms."""
        matching |= self._terms.owners_in(subject.forms)

    def each(self) -> Sequence[tuple[int, Look]]:
        """One automaton holds them all."""
        return ()


class Lengths:
    """Short and harmless, without any word to beware of, and of none but the words that are known.

    These words are among the most frequent of all (`you`), and no long text is searched for them.
    """

    name = "length"

    def __init__(self, rules: Sequence[tuple[int, LengthRule]]) -> None:
        self._matches: Sequence[tuple[int, Look]] = [(at, _harmless_by(rule)) for at, rule in rules]

    def look(self, subject: Subject, matching: set[int]) -> None:
        """Rule by rule."""
        for at, one in self._matches:
            if one(subject):
                matching.add(at)

    def each(self) -> Sequence[tuple[int, Look]]:
        """Rule by rule, too."""
        return self._matches


def _harmless_by(rule: LengthRule) -> Look:
    """What one rule says of a text."""
    words, beware = known(rule.words), Beware(rule.unless)

    def look(subject: Subject) -> bool:
        folded = subject.forms.folded.text
        return (
            is_harmless(folded, rule)
            and (not words or words.issuperset(words_in(folded)))
            and not beware.are_in(subject.forms)
        )

    return look


class Patterns:
    """Everything in RE2 syntax, as one automaton."""

    name = "regex"

    def __init__(self, rules: Sequence[tuple[int, RegexRule]]) -> None:
        self._owners = [at for at, rule in rules for _ in rule.patterns]
        self._automaton = Automaton([pattern for _, rule in rules for pattern in rule.patterns])

    def look(self, subject: Subject, matching: set[int]) -> None:
        """One look, however many there are."""
        for hit in self._automaton.hits(subject.forms.folded.data):
            matching.add(self._owners[hit])

    def each(self) -> Sequence[tuple[int, Look]]:
        """One automaton holds them all."""
        return ()


class Repetitions:
    """The same over and over."""

    name = "repetition"

    def __init__(self, rules: Sequence[tuple[int, RepetitionRule]]) -> None:
        self._rules = rules

    def look(self, subject: Subject, matching: set[int]) -> None:
        """Rule by rule."""
        for at, rule in self._rules:
            if self._matches(rule, subject):
                matching.add(at)

    def each(self) -> Sequence[tuple[int, Look]]:
        """Rule by rule, too."""
        return [(at, partial(self._matches, rule)) for at, rule in self._rules]

    @staticmethod
    def _matches(rule: RepetitionRule, subject: Subject) -> bool:
        return is_repetitive(subject.forms.folded.text, rule)


class Links:
    """Too many links, or links to the wrong places."""

    name = "links"

    def __init__(self, rules: Sequence[tuple[int, LinksRule]]) -> None:
        self._rules = [
            (at, rule, domains_of(rule.domains), domains_of(rule.except_domains)) for at, rule in rules
        ]

    def look(self, subject: Subject, matching: set[int]) -> None:
        """Rule by rule; the links are taken from the text once."""
        if not subject.links:
            return
        for at, rule, domains, exceptions in self._rules:
            if self._matches(rule, domains, exceptions, subject):
                matching.add(at)

    def each(self) -> Sequence[tuple[int, Look]]:
        """Rule by rule, too; the links are there."""
        return [
            (at, partial(self._matches, rule, domains, exceptions))
            for at, rule, domains, exceptions in self._rules
        ]

    @staticmethod
    def _matches(
        rule: LinksRule, domains: frozenset[str], exceptions: frozenset[str], subject: Subject
    ) -> bool:
        return sum(counts(link, rule, domains, exceptions) for link in subject.links) > rule.links_over


def counts(link: Link, rule: LinksRule, domains: frozenset[str], exceptions: frozenset[str]) -> bool:
    """Whether a link is one that a rule counts."""
    return (is_of(link.host, domains, subdomains=rule.subdomains) if domains else link.is_plain) and not (
        exceptions and is_of(link.host, exceptions, subdomains=rule.subdomains)
    )


class Shapes:
    """What a text looks like."""

    name = "shape"

    def __init__(self, rules: Sequence[tuple[int, ShapeRule]]) -> None:
        self._rules = rules

    def look(self, subject: Subject, matching: set[int]) -> None:
        """Rule by rule."""
        for at, rule in self._rules:
            if self._matches(rule, subject):
                matching.add(at)

    def each(self) -> Sequence[tuple[int, Look]]:
        """Rule by rule, too."""
        return [(at, partial(self._matches, rule)) for at, rule in self._rules]

    @staticmethod
    def _matches(rule: ShapeRule, subject: Subject) -> bool:
        return has_shape(subject.forms.text, subject.forms.folded.text, rule)


class Allows:
    """Trusted authors, and contents that are known to be good."""

    name = "allow"

    def __init__(self, rules: Sequence[tuple[int, AllowRule]]) -> None:
        self._authors: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        self._digests: defaultdict[str, set[int]] = defaultdict(set)
        for at, rule in rules:
            for author in rule.authors:
                self._authors[rule.tenant, author].add(at)
            for digest in rule.digests:
                self._digests[digest].add(at)

    def look(self, subject: Subject, matching: set[int]) -> None:
        """Two look-ups."""
        if trusting := self._authors.get((subject.tenant, subject.author)):
            matching |= trusting
        matching |= self.knowing(subject.digest)

    def each(self) -> Sequence[tuple[int, Look]]:
        """One table holds them all."""
        return ()

    def knowing(self, digest: str) -> set[int]:
        """The rules that know this very content."""
        return self._digests.get(digest, set())


class Floods:
    """Authors who write too much."""

    name = "flood"

    def __init__(self, rules: Sequence[tuple[int, FloodRule]]) -> None:
        self._rules = [(at, rule, Window(rule.id, rule.window_s * 1_000)) for at, rule in rules]

    def look(self, subject: Subject, matching: set[int]) -> None:
        """Count the post for its author, once for each rule of its kind."""
        if subject.meter is None or not subject.author:
            return
        for at, rule, window in self._rules:
            if self._matches(rule, window, subject):
                matching.add(at)

    def each(self) -> Sequence[tuple[int, Look]]:
        """Rule by rule, too."""
        return [(at, partial(self._matches, rule, window)) for at, rule, window in self._rules]

    @staticmethod
    def _matches(rule: FloodRule, window: Window, subject: Subject) -> bool:
        if subject.meter is None or not subject.author or subject.kind not in rule.kinds:
            return False
        return subject.meter.count(window, subject.tenant, subject.author, subject.at_ms) > rule.posts_over


_R = TypeVar("_R", bound=Rule)


def _own(rules: Numbered, shape: type[_R]) -> Iterator[Sequence[tuple[int, _R]]]:
    """The rules of one type, if there are any."""
    if own := [(at, rule) for at, rule in rules if isinstance(rule, shape)]:
        yield own


def needles_of(rule: Rule) -> Iterator[Needle]:
    """What the words of a rule are in the forms where they are looked for."""
    match rule:
        case TermsRule():
            for term in rule.terms:
                yield from needles(term, whole_words=not rule.anywhere, evasion=rule.evasion)
        case _:
            return
