"""Policies as large as they get: thousands of made-up terms and patterns, the same in every run."""

from __future__ import annotations

import itertools

from schemas.policy import ActivePolicy, Label, Policy, Prompt, RegexRule, Rule, TermsRule
from schemas.wire import encode
from streams.core.policies import PolicyBook, active_key, document_key
from streams.core.rules import CompiledPolicy

TERMS = 10_000
PATTERNS = 2_000
_TERMS_OF_A_RULE = 2_500
_PATTERNS_OF_A_RULE = 2_000
_ONSETS = "bdfgklmnprstvz"
_RHYMES = ("a", "e", "i", "o", "u", "an", "er", "ing", "ost", "ul", "ep", "ark")
_BETWEEN = (r"\W+", r".{0,20}", r"\s+(?:of|for|the)\s+", r"\S*\s")


def large_policy(*, terms: int = TERMS, patterns: int = PATTERNS) -> Policy:
    """Terms in all four ways of looking for them, and patterns of two words each."""
    words = _words(terms + 2 * patterns)
    rules: list[Rule] = [
        TermsRule(
            id=f"terms-{number}",
            action="block",
            label="spam",
            terms=tuple(chunk),
            anywhere=number % 2 == 1,
            evasion=number % 4 < 2,
        )
        for number, chunk in enumerate(_chunks(words[:terms], _TERMS_OF_A_RULE))
    ]
    ones, others = words[terms : terms + patterns], words[terms + patterns :]
    made = [
        rf"\b{one}{between}{other}s?\b"
        for one, other, between in zip(ones, others, itertools.cycle(_BETWEEN), strict=False)
    ]
    rules += [
        RegexRule(id=f"patterns-{number}", action="label", label="spam", patterns=tuple(chunk))
        for number, chunk in enumerate(_chunks(made, _PATTERNS_OF_A_RULE))
    ]
    return Policy(
        id="large",
        version=1,
        labels=(Label(name="spam", description="What nobody wants."),),
        prompts=(Prompt(kind="moderate", text="Judge."),),
        rules=tuple(rules),
    )


def book_of(policy: CompiledPolicy) -> PolicyBook:
    """The policy, as if it had been read from its topic."""
    book, ref = PolicyBook(), policy.ref
    pointer = ActivePolicy(v=1, id=ref.id, version=ref.version, digest=ref.digest)
    book.apply(document_key(ref.digest), encode(policy.policy))
    book.apply(active_key(ref.id), encode(pointer))
    book.compile_due()
    return book


def _words(count: int) -> list[str]:
    """Words of three syllables that no language has many of; those next to each other begin differently."""
    syllables = [onset + rhyme for onset in _ONSETS for rhyme in _RHYMES]
    # Not a divisor of the number of all words, so that steps of it reach each once.
    step, total = 1_000_003, len(syllables) ** 3
    return [_word(number * step % total, syllables) for number in range(1, count + 1)]


def _word(number: int, syllables: list[str]) -> str:
    parts = []
    for _ in range(3):
        number, at = divmod(number, len(syllables))
        parts.append(syllables[at])
    return "".join(parts)


def _chunks(words: list[str], size: int) -> list[list[str]]:
    return [words[at : at + size] for at in range(0, len(words), size)]
