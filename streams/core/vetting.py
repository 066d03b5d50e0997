"""Everything that is wrong with a policy, told at once, so far as its shape does not tell.

`streams.core.rules` compiles only what has no problems here; `infra.policies` shows them to an author.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, assert_never

from schemas.event import Kind
from schemas.policy import (
    AllowRule,
    FloodRule,
    Label,
    LengthRule,
    LinksRule,
    Policy,
    RegexRule,
    RepetitionRule,
    Rule,
    ShapeRule,
    TermsRule,
)
from streams.core.links import domain_of
from streams.core.matching import BadPattern, check_pattern, needles
from streams.core.spelled import words_without_signs
from streams.core.wariness import is_word

DECIDED_KINDS: tuple[Kind, ...] = ("moderate", "scan")
"""What triage may decide; the other kinds are for a model."""


NO_SUCH_LABEL = "there is no label"
FLOOD_RULES_MAX = 8
"""Each keeps counts of thousands of authors, in every partition."""
TERMS_BYTES_MAX = 1 << 20
"""Of the terms of all rules together, in UTF-8: they are looked for in up to five forms, and a worker needs
room for that beside the policy that judges."""


class PolicyProblem(NamedTuple):
    """One thing that is wrong, and where."""

    path: str
    """As in the document: `$.rules[3].patterns[0]`."""
    reason: str
    rule_id: str = ""
    line: int = 0
    column: int = 0
    """Counted from 1; 0: not known."""

    def __str__(self) -> str:
        """The problem as a line."""
        named = f" (rule {self.rule_id})" if self.rule_id else ""
        return f"{self.path}{named}: {self.reason}"


def problems_of(policy: Policy) -> tuple[PolicyProblem, ...]:
    """All of them, in the order of the document."""
    labels = {label.name for label in policy.labels}
    return (
        *_repeated("$.labels", "name", [label.name for label in policy.labels]),
        *(
            problem
            for at, label in enumerate(policy.labels)
            for problem in _of_label(f"$.labels[{at}]", label)
        ),
        *_repeated("$.prompts", "kind", [prompt.kind for prompt in policy.prompts]),
        *_repeated("$.rules", "id", [rule.id for rule in policy.rules]),
        *(
            problem
            for at, rule in enumerate(policy.rules)
            for problem in _of_rule(f"$.rules[{at}]", rule, labels)
        ),
        *_of_floods(policy),
        *_of_all_terms(policy),
    )


def _repeated(path: str, field: str, names: Iterable[str]) -> Iterator[PolicyProblem]:
    first: dict[str, int] = {}
    for at, name in enumerate(names):
        if name in first:
            yield PolicyProblem(f"{path}[{at}].{field}", f"`{name}` stands at {path}[{first[name]}] already")
        first.setdefault(name, at)


def _of_label(path: str, label: Label) -> Iterator[PolicyProblem]:
    if not label.label_at <= label.review_at <= label.block_at:
        yield PolicyProblem(path, f"`{label.name}` needs label_at <= review_at <= block_at")


def _of_rule(path: str, rule: Rule, labels: set[str]) -> Iterator[PolicyProblem]:
    for place, reason in (*_of_its_place(rule, labels), *_of_its_test(rule)):
        yield PolicyProblem(path + place, reason, rule.id)


def _of_its_place(rule: Rule, labels: set[str]) -> Iterator[tuple[str, str]]:
    if rule.label and rule.label not in labels:
        yield ".label", f"{NO_SUCH_LABEL} `{rule.label}`"
    if not rule.label and rule.action != "allow":
        yield ".label", f"a rule with the action `{rule.action}` needs a label"
    if not rule.kinds:
        yield ".kinds", 'without a kind it never applies; `mode = "off"` says so plainly'
    for at, kind in enumerate(rule.kinds):
        if kind not in DECIDED_KINDS:
            yield f".kinds[{at}]", f"`{kind}` is for a model; rules decide {' and '.join(DECIDED_KINDS)} only"


def _of_floods(policy: Policy) -> Iterator[PolicyProblem]:
    floods = [at for at, rule in enumerate(policy.rules) if isinstance(rule, FloodRule)]
    for at in floods[FLOOD_RULES_MAX:]:
        reason = f"there are {len(floods)} rules of this type, {FLOOD_RULES_MAX} are allowed"
        yield PolicyProblem(f"$.rules[{at}].type", reason, policy.rules[at].id)


def _of_all_terms(policy: Policy) -> Iterator[PolicyProblem]:
    """Told at the first rule that is too much."""
    size = 0
    for at, rule in enumerate(policy.rules):
        if isinstance(rule, TermsRule | LengthRule):
            field, terms = ("terms", rule.terms) if isinstance(rule, TermsRule) else ("unless", rule.unless)
            before, size = size, size + sum(len(term.encode("utf-8", "surrogatepass")) for term in terms)
            if before <= TERMS_BYTES_MAX < size:
                reason = (
                    f"up to here the terms of all rules are {size} bytes, {TERMS_BYTES_MAX} are allowed; "
                    "leave some out, or write a pattern for those that are alike"
                )
                yield PolicyProblem(f"$.rules[{at}].{field}", reason, rule.id)


def _of_its_test(rule: Rule) -> Iterator[tuple[str, str]]:
    match rule:
        case TermsRule():
            yield from _of_terms("terms", rule.terms, anywhere=rule.anywhere)
        case RegexRule():
            yield from _of_patterns(rule.patterns)
        case LengthRule():
            if rule.action != "allow":
                yield ".action", "that a text is short can only be a reason to allow it"
            yield from _of_terms("unless", rule.unless)
            yield from _of_words(rule.words)
        case RepetitionRule():
            yield from _is_no_reason_to_allow(rule, "that a text is repetitive")
        case LinksRule():
            yield from _is_no_reason_to_allow(rule, "that a text has links")
            yield from _of_domains("domains", rule.domains)
            yield from _of_domains("except_domains", rule.except_domains)
        case ShapeRule():
            yield from _is_no_reason_to_allow(rule, "what a text looks like")
            yield from _of_limits(rule)
        case AllowRule() | FloodRule():
            yield from _of_origin(rule)
        case _:
            assert_never(rule)


def _of_limits(rule: ShapeRule) -> Iterator[tuple[str, str]]:
    if rule.capitals_share is None and rule.emoji_share is None and rule.mentions_over is None:
        yield "", "needs `capitals_share`, `emoji_share` or `mentions_over`"


def _of_origin(rule: AllowRule | FloodRule) -> Iterator[tuple[str, str]]:
    if isinstance(rule, FloodRule):
        if rule.action not in {"label", "review"}:
            yield ".action", "that an author writes much is a reason to `label` or `review`, no more"
        return
    if rule.action != "allow":
        yield ".action", "the type `allow` is for the action `allow`"
    if not rule.authors and not rule.digests:
        yield "", "needs `authors` or `digests`"


def _is_no_reason_to_allow(rule: Rule, what: str) -> Iterator[tuple[str, str]]:
    if rule.action == "allow":
        yield ".action", f"{what} is no reason to allow it"


def _of_terms(field: str, terms: tuple[str, ...], *, anywhere: bool = False) -> Iterator[tuple[str, str]]:
    for at, term in enumerate(terms):
        if not needles(term, whole_words=not anywhere):
            yield f".{field}[{at}]", "nothing of it is seen" if anywhere else "nothing of it is a word"
        elif not anywhere and (left := words_without_signs(term)):
            write = "write the word itself"
            if field == "terms":
                write += ", with `evasion = true` for its disguises, or `anywhere = true` for the signs"
            yield f".{field}[{at}]", f"signs are no part of words: only `{left}` is left of it; {write}"


def _of_words(words: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for at, word in enumerate(words):
        if not is_word(word):
            yield f".words[{at}]", "not one word of letters; as in `thanks` or `don't`"


def _of_domains(field: str, domains: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for at, domain in enumerate(domains):
        if not domain_of(domain):
            yield f".{field}[{at}]", "not a domain; as in `example.com`, without a scheme and a path"


def _of_patterns(patterns: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for at, pattern in enumerate(patterns):
        try:
            check_pattern(pattern)
        except BadPattern as problem:
            yield f".patterns[{at}]", f"RE2 does not take it: {problem}"
