"""Whether a policy's rules keep what their examples promise.

Each rule carries texts that it must match and texts that it must let pass. A rule is tried alone, and also
when it is in shadow or off: what is not in force may be tomorrow.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from schemas.policy import Policy, Rule
from streams.core.forms import Forms
from streams.core.rules import CompiledPolicy, compile_policy
from streams.core.vetting import PolicyProblem


def example_problems(policy: Policy) -> tuple[PolicyProblem, ...]:
    """Rules without examples, and examples that are not borne out; the policy must compile."""
    return tuple(
        PolicyProblem(f"$.rules[{at}]{place}", reason, rule.id)
        for at, rule in enumerate(policy.rules)
        for place, reason in _of_rule(rule, policy)
    )


def _of_rule(rule: Rule, policy: Policy) -> Iterator[tuple[str, str]]:
    alone = compile_policy(replace(policy, rules=(replace(rule, mode="live"),)))
    if not rule.matches:
        yield ".matches", "a rule needs at least one example that it matches"
    if not rule.passes:
        yield ".passes", "a rule needs at least one example that it lets pass"
    for at, example in enumerate(rule.matches):
        if not _is_found(example, alone):
            yield f".matches[{at}]", "the rule does not match its example"
    for at, example in enumerate(rule.passes):
        if _is_found(example, alone):
            yield f".passes[{at}]", "the rule matches an example that it should let pass"


def _is_found(example: str, alone: CompiledPolicy) -> bool:
    kind = alone.policy.rules[0].kinds[0]
    return bool(alone.findings(Forms(example), kind))
