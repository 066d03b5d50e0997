"""Where explanations point, and that they take no longer than they should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.policy import Label, LinksRule, Policy, Prompt, TermsRule
from streams.core import forms as forms_of_texts
from streams.core.explaining import explain
from streams.core.rules import compile_policy
from streams.core.subjects import Subject
from streams.core.traced import TracedText


def compiled_of(rule):
    labels = (Label(name="spam", description="d"),)
    prompts = (Prompt(kind="moderate", text="t"),)
    return compile_policy(Policy(id="p", version=1, labels=labels, prompts=prompts, rules=(rule,)))


def span(text, rule):
    (one,) = explain(Subject(text), compiled_of(rule))
    return one.span


def terms(*words, **fields):
    return TermsRule(id="t", action="block", label="spam", terms=words, **fields)


def links(*domains, **fields):
    return LinksRule(id="l", action="label", label="spam", domains=domains, **fields)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("notexample.com ok.example.com/a and https://example.com/b", "https://|example.com|/b"),
        ("example.community and example.com.", "and |example.com|."),
        ("a.example.com, then http://b.example.com", "|a.example.com|, then"),
        ("me@example.com", "me@|example.com|"),
    ],
)
def test_a_link_is_told_at_the_host_that_counts_and_not_within_another(text, host):
    before, named, behind = host.split("|")
    start, end = span(text, links("example.com", except_domains=("ok.example.com",)))
    assert text[start:end] == named
    assert text[:start].endswith(before)
    assert text[end:].startswith(behind)


def test_of_a_word_that_stands_there_thousands_of_times_the_first_is_told_and_one_way_back_is_made(
    monkeypatch,
):
    made = []

    class Counted(TracedText):
        def __init__(self, text, form):
            made.append(text)
            super().__init__(text, form)

    monkeypatch.setattr(forms_of_texts, "TracedText", Counted)
    text = "wow, " + "free " * 2_400 + "fr33 " * 2_400
    assert span(text, terms("free", "FREE free", evasion=True)) == (5, 9)
    # One for the folded text, one for where evasion is undone.
    assert len(made) == 2


words = st.sampled_from(
    ["buy", "BUY", "b.u.y", "buyyy", "bu\u0443", "so", "what", "ｂｕｙ", "free", "fr33", "f r e e"]
)


@given(st.lists(words, min_size=1, max_size=12).map(" ".join), st.booleans())
def test_the_place_that_is_told_is_one_where_the_rule_matches_by_itself(text, evasion):
    compiled = compiled_of(terms("buy", "free", evasion=evasion))
    for one in explain(Subject(text), compiled):
        assert compiled.findings(Subject(text[slice(*one.span)]))
