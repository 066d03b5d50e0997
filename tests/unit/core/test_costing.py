"""What rules cost: measured alone where a rule has a cost of its own, and never without bound."""

from __future__ import annotations

from itertools import count

import pytest

from infra.cli.policy_stats import SHARING
from infra.policies import default_policy_path, read
from schemas.policy import (
    AllowRule,
    FloodRule,
    Label,
    LengthRule,
    LinksRule,
    Policy,
    Prompt,
    RegexRule,
    RepetitionRule,
    ShapeRule,
    TermsRule,
)
from streams.core.costing import RULES_MAX, family_costs, rule_costs
from streams.core.rules import compile_policy
from streams.core.subjects import Subject

POST = Subject("SEE http://spam.example", author="alice")
OF_EVERY_TYPE = (
    TermsRule(id="terms", action="label", label="spam", terms=("x",)),
    RegexRule(id="regex", action="label", label="spam", patterns=("x",)),
    LengthRule(id="length", action="allow", characters_max=9),
    RepetitionRule(id="repetition", action="label", label="spam"),
    LinksRule(id="links", action="label", label="spam", domains=("spam.example",)),
    ShapeRule(id="shape", action="label", label="spam", capitals_share=0.1, characters_min=1),
    AllowRule(id="allow", action="allow", authors=("alice",)),
    FloodRule(id="flood", action="label", label="spam", posts_over=1, window_s=9),
)


def compiled(*rules):
    labels = (Label(name="spam", description="d"),)
    prompts = (Prompt(kind="moderate", text="t"),)
    return compile_policy(Policy(id="p", version=1, labels=labels, prompts=prompts, rules=rules))


def ticks():
    return map(float, count()).__next__


def test_each_rule_that_looks_by_itself_is_measured_alone_and_the_others_by_their_family():
    policy = compiled(*OF_EVERY_TYPE)
    alone = [rule for rule, took_ms in rule_costs(policy, POST, ticks(), turn=0) if took_ms == 1.0]
    assert set(alone) | SHARING == {rule.id for rule in OF_EVERY_TYPE}
    assert set(alone) & SHARING == set()
    assert {family for family, _ in family_costs(policy, POST, ticks())} == {"folding", *SHARING, *alone}


@pytest.mark.parametrize("rule", OF_EVERY_TYPE, ids=lambda rule: rule.id)
def test_a_rule_alone_finds_what_it_finds_among_the_others(rule):
    (family,) = compiled(rule).families
    matching = set()
    family.look(POST, matching)
    assert {at for at, look in family.each() if look(POST)} == (set() if rule.id in SHARING else matching)


def test_rules_without_number_take_turns_at_being_measured():
    rules = [RepetitionRule(id=f"r{at}", action="label", label="spam") for at in range(3 * RULES_MAX)]
    policy = compiled(*rules)
    measured = [[rule for rule, _ in rule_costs(policy, POST, ticks(), turn=turn)] for turn in range(3)]
    assert [len(some) for some in measured] == [RULES_MAX] * 3
    assert {rule for some in measured for rule in some} == {rule.id for rule in rules}


def test_the_rules_of_the_house_are_measured_whatever_the_turn():
    policy = read(default_policy_path())
    for turn in (0, 1, 10**12):
        ids = [rule for rule, _ in rule_costs(policy, POST, ticks(), turn=turn)]
        assert len(set(ids)) == len(ids) > 0
