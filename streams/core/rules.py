"""A policy's rules, made ready once per document: `compile_policy(policy)`, then `.findings(forms, kind)`.

All terms together are one automaton for each form and all patterns another, so a text is read a few times
however many there are.
Rules only find; what a finding means is decided in `streams.core.triage`. Compiling thousands of patterns
takes a second: the caller does it off the event loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from schemas.event import Kind
from schemas.policy import LengthRule, Policy, RegexRule, RepetitionRule, RuleMode, TermsRule
from schemas.verdict import Action, PolicyRef
from streams.core.digest import policy_digest
from streams.core.forms import Forms
from streams.core.matching import Automaton, BadPattern, Needle, Terms, needles
from streams.core.shapes import is_harmless, is_repetitive
from streams.core.vetting import DECIDED_KINDS, PolicyProblem, problems_of


class Finding(NamedTuple):
    """A rule that matched."""

    rule_id: str
    label: str
    action: Action
    mode: RuleMode
    span: tuple[int, int] | None = None
    """Where in the original text; only explanations look for it."""


class BadPolicy(Exception):
    """A policy that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: Sequence[PolicyProblem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class Document:
    """A policy, and how verdicts name it. Never changed, so what was begun under it is ended under it."""

    __slots__ = ("policy", "ref")

    def __init__(self, policy: Policy, ref: PolicyRef) -> None:
        self.policy = policy
        self.ref = ref

    @classmethod
    def of(cls, policy: Policy, digest: str) -> Document:
        """The document that was published under this digest."""
        return Document(policy, PolicyRef(id=policy.id, version=policy.version, digest=digest))


class CompiledPolicy(Document):
    """A document with its rules ready to run."""

    __slots__ = ("_findings", "_lengths", "_patterns", "_repetitions", "_terms")

    def __init__(self, policy: Policy, ref: PolicyRef) -> None:
        super().__init__(policy, ref)
        active = [(at, rule) for at, rule in enumerate(policy.rules) if rule.mode != "off"]
        self._findings = {kind: _findings_for(policy, kind) for kind in DECIDED_KINDS}
        self._lengths = [(at, rule) for at, rule in active if isinstance(rule, LengthRule)]
        self._repetitions = [(at, rule) for at, rule in active if isinstance(rule, RepetitionRule)]
        self._terms = Terms(_needles(active))
        self._patterns = _Owned(
            (pattern, at) for at, rule in active if isinstance(rule, RegexRule) for pattern in rule.patterns
        )

    def __repr__(self) -> str:
        return f"<CompiledPolicy {self.ref.id} version {self.ref.version} | {len(self.policy.rules)} rules>"

    def findings(self, forms: Forms, kind: Kind) -> list[Finding]:
        """What the rules for this kind find in a text, in the order of the policy."""
        applying = self._findings.get(kind)
        if applying is None:
            return []
        matching = self._matching(forms)
        return [applying[at] for at in sorted(matching) if at in applying] if matching else []

    def _matching(self, forms: Forms) -> set[int]:
        """The numbers of the rules that match. Terms of a length rule are its `unless`: they rule it out."""
        folded = forms.folded.text
        matching = self._terms.owners_in(forms)
        for at, length in self._lengths:
            if at in matching:
                matching.remove(at)
            elif is_harmless(folded, length):
                matching.add(at)
        if self._patterns:
            matching |= self._patterns.owners_in(folded)
        for at, repetition in self._repetitions:
            if is_repetitive(folded, repetition):
                matching.add(at)
        return matching


class _Owned:
    """An automaton that knows to which rule each of its patterns belongs."""

    __slots__ = ("_automaton", "_owners")

    def __init__(self, patterns: Iterable[tuple[str, int]]) -> None:
        owned = tuple(patterns)
        self._owners = [owner for _, owner in owned]
        self._automaton = Automaton([pattern for pattern, _ in owned])

    def __bool__(self) -> bool:
        return bool(self._owners)

    def owners_in(self, text: str) -> set[int]:
        owners = self._owners
        return {owners[hit] for hit in self._automaton.hits(text)}


def compile_policy(policy: Policy) -> CompiledPolicy:
    """Make a policy ready that was not published yet, or raise `BadPolicy`."""
    return compile_document(Document.of(policy, policy_digest(policy)))


def compile_document(document: Document) -> CompiledPolicy:
    """Make a published policy ready, or raise `BadPolicy`."""
    problems = problems_of(document.policy)
    if problems:
        raise BadPolicy(problems)
    try:
        return CompiledPolicy(document.policy, document.ref)
    except BadPattern as problem:
        raise BadPolicy([PolicyProblem("$.rules", f"the patterns are too many: {problem}")]) from None


def _findings_for(policy: Policy, kind: Kind) -> dict[int, Finding]:
    return {
        at: Finding(rule.id, rule.label, rule.action, rule.mode)
        for at, rule in enumerate(policy.rules)
        if kind in rule.kinds
    }


def _needles(active: Iterable[tuple[int, object]]) -> Iterator[tuple[Needle, int]]:
    for at, rule in active:
        terms = (
            rule.terms if isinstance(rule, TermsRule) else rule.unless if isinstance(rule, LengthRule) else ()
        )
        for term in terms:
            yield from ((needle, at) for needle in needles(term))
