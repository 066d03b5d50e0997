"""Whether a policy's rules keep what their examples promise.

Each rule carries examples that it must match and that it must let pass: texts; of `allow` authors and content
digests; of `flood` a rate, as `30 posts in 60 s`. A rule is tried alone, and also when it is in shadow, on
canary or off: what is not in force may be tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

from msgspec.structs import replace

from schemas.policy import AllowRule, FloodRule, Policy, Rule
from schemas.verdict import PolicyRef
from streams.core.flooding import FloodMeter
from streams.core.matching import BadPattern
from streams.core.rules import CompiledPolicy
from streams.core.subjects import Subject
from streams.core.vetting import PolicyProblem

_RATE = re.compile(r"(?P<posts>\d{1,5}) posts? in (?P<seconds>\d{1,6}) s\Z")
_ANYBODY = "anybody"


def example_problems(policy: Policy, *, but: Container[int] = ()) -> tuple[PolicyProblem, ...]:
    """Rules without examples, and examples that are not borne out.

    The examples of these rules are not tried `but` only missed: the rules have mistakes.
    """
    return tuple(
        PolicyProblem(f"$.rules[{at}]{place}", reason, rule.id)
        for at, rule in enumerate(policy.rules)
        for place, reason in (*_missing(rule), *(_of_rule(rule, policy) if at not in but else ()))
    )


def alone(rule: Rule, policy: Policy) -> CompiledPolicy:
    """One rule by itself, in force."""
    in_force = replace(rule, mode="live", canary_percent=100.0)
    # It may belong to a policy that has mistakes elsewhere, so the policy is not judged here.
    return CompiledPolicy(replace(policy, rules=(in_force,)), PolicyRef(id=policy.id, version=1, digest=""))


def _missing(rule: Rule) -> Iterator[tuple[str, str]]:
    if not rule.matches:
        yield ".matches", "a rule needs at least one example that it matches"
    if not rule.passes:
        yield ".passes", "a rule needs at least one example that it lets pass"


def _of_rule(rule: Rule, policy: Policy) -> Iterator[tuple[str, str]]:
    try:
        tried = alone(rule, policy)
    except BadPattern as problem:
        yield "", f"its patterns are too many: {problem}"
        return
    for field, examples, should in (("matches", rule.matches, True), ("passes", rule.passes, False)):
        for at, example in enumerate(examples):
            if isinstance(rule, FloodRule) and _RATE.match(example) is None:
                yield f".{field}[{at}]", "must be a rate, as `30 posts in 60 s`"
            elif is_matched(example, tried) != should:
                yield f".{field}[{at}]", _NOT_MATCHED if should else _NOT_PASSED


_NOT_MATCHED = "the rule does not match its example"
_NOT_PASSED = "the rule matches an example that it should let pass"


def is_matched(example: str, tried: CompiledPolicy) -> bool:
    """Whether the only rule of a policy matches an example."""
    return any(tried.findings(subject) for subject in _subjects(example, tried.policy.rules[0]))


def _subjects(example: str, rule: Rule) -> Iterator[Subject]:
    """The posts that an example stands for."""
    kind = rule.kinds[0]
    match rule:
        case AllowRule():
            yield Subject("", kind, author=example, tenant=rule.tenant)
            yield Subject("", kind, digest=example)
        case FloodRule():
            if (rate := _RATE.match(example)) is not None:
                yield from _posts_at(int(rate["posts"]), int(rate["seconds"]), rule)
        case _:
            yield Subject(example, kind)


def _posts_at(posts: int, seconds: int, rule: FloodRule) -> Iterator[Subject]:
    """So many posts of one author, evenly spread."""
    meter = FloodMeter()
    for number in range(posts):
        at_ms = number * seconds * 1_000 // posts
        yield Subject("", rule.kinds[0], author=_ANYBODY, at_ms=at_ms, meter=meter)
