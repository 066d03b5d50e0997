"""What a policy may cost to compile is bounded, and what is more is told before anything is compiled."""

from __future__ import annotations

import pytest

from schemas.policy import Label, LengthRule, Policy, Prompt, TermsRule
from streams.core.forms import Forms
from streams.core.matching import DFA_BYTES_MAX, BadPattern, Terms, check_pattern, needles
from streams.core.vetting import TERMS_BYTES_MAX, problems_of

TERM = "\u4e2d" * 200
FITTING = TERMS_BYTES_MAX // len(TERM.encode())


def policy(*rules):
    return Policy(
        id="large",
        version=1,
        labels=(Label(name="spam", description="What nobody wants."),),
        prompts=(Prompt(kind="moderate", text="Judge."),),
        rules=rules,
    )


def terms(number, count):
    return TermsRule(id=f"terms-{number}", action="block", label="spam", terms=(TERM,) * count)


def test_terms_of_all_rules_together_are_bounded_and_told_where_they_are_too_many():
    unless = LengthRule(id="short", action="allow", characters_max=9, unless=(TERM,))
    assert problems_of(policy(terms(1, FITTING))) == ()
    problems = problems_of(policy(terms(1, FITTING - 1), terms(2, 1), unless, unless, terms(3, 1)))
    (told,) = [problem for problem in problems if "allowed" in problem.reason]
    assert told.path == "$.rules[2].unless"
    assert told.rule_id == "short"
    assert str(TERMS_BYTES_MAX) in told.reason


def test_a_pattern_that_takes_too_much_is_refused():
    with pytest.raises(BadPattern):
        check_pattern(r"\pL{1000}")
    check_pattern(r"\pL{20}")


def test_more_terms_than_the_fastest_automaton_takes_are_found_alike():
    words = [f"w{number:06}x" for number in range(DFA_BYTES_MAX // 8)]
    found = Terms((needle, at) for at, word in enumerate(words) for needle in needles(word))
    assert found.owners_in(Forms(f"{words[7]}, {words[-1]}!")) == {7, len(words) - 1}
