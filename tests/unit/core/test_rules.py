"""What each type of rule finds and what not, what a bad policy is told, and where explanations point."""

from __future__ import annotations

from unicodedata import category

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st
from strategies import policies

from schemas.policy import Label, LengthRule, Policy, Prompt, RegexRule, RepetitionRule, TermsRule
from streams.core import matching
from streams.core.examples import example_problems
from streams.core.explaining import explain
from streams.core.matching import Automaton, BadPattern, check_pattern, needles, span_of
from streams.core.normalise import fold
from streams.core.rules import BadPolicy, compile_policy
from streams.core.shapes import has_run
from streams.core.spelled import words_without_signs
from streams.core.subjects import Subject
from streams.core.vetting import problems_of
from streams.core.words import words_form, words_with_spans


def policy(*rules, **fields):
    made = {
        "id": "p",
        "version": 1,
        "labels": (Label(name="spam", description="d"), Label(name="scam", description="d")),
        "prompts": (Prompt(kind="moderate", text="t"),),
    }
    return Policy(**(made | fields), rules=rules)


def terms(*words, **fields):
    return TermsRule(**({"id": "t", "action": "block", "label": "spam"} | fields), terms=words)


def regex(*patterns, **fields):
    return RegexRule(**({"id": "r", "action": "block", "label": "spam"} | fields), patterns=patterns)


def short(characters_max=20, **fields):
    return LengthRule(**({"id": "l", "action": "allow"} | fields), characters_max=characters_max)


def repetition(**fields):
    return RepetitionRule(**({"id": "rep", "action": "label", "label": "spam"} | fields))


def found(text, *rules, kind="moderate"):
    return [finding.rule_id for finding in compile_policy(policy(*rules)).findings(Subject(text, kind))]


@pytest.mark.parametrize(
    "text",
    [
        "buy now",
        "BUY NOW!",
        "so: buy, now",
        "buy\n\n now",
        "x buy-now x",
        "ｂｕｙ ｎｏｗ",
        "bu\u200by now",
        "buy_now",
        "buy now🔥",
    ],
)
def test_a_term_is_found_as_whole_words_in_any_case_width_and_spacing(text):
    assert found(text, terms("Buy Now")) == ["t"]


@pytest.mark.parametrize("text", ["", "buy", "buynow", "buy nowhere", "rebuy now", "now buy", "buy it now"])
def test_a_term_is_not_found_in_parts_of_words(text):
    assert found(text, terms("buy now")) == []


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("купить", "Хочу КУПИТЬ слона"),
        ("हिन्दी", "यह हिन्दी है"),
        ("don't", "I don\u2019t know"),
        ("e-mail", "By e mail!"),
        ("免費", "現在免費送"),
        ("ฟรี", "รับฟรีวันนี้"),
        ("buy now", "看buy now吧"),
        ("buy now", "ซื้อbuy nowนะ"),
        ("卡拉ok", "去卡拉OK吧"),
        ("我々", "我々は"),
        ("3月", "在3月"),
    ],
)
def test_terms_of_any_script_are_found(term, text):
    assert found(text, terms(term)) == ["t"]


@pytest.mark.parametrize(
    ("term", "text"),
    [("buy now", "看buyer now吧"), ("buy", "看buys"), ("ok", "卡拉oka"), ("buy now", "buy看now")],
)
def test_beside_a_script_without_spaces_a_word_is_a_whole_word_still(term, text):
    assert found(text, terms(term)) == []


@pytest.mark.parametrize(("term", "text"), [("हन", "यह हिन्दी है"), ("куп", "купить"), ("caf", "café")])
def test_a_mark_or_an_accent_does_not_end_a_word(term, text):
    assert found(text, terms(term)) == []


def test_a_pattern_sees_the_folded_text_and_may_be_written_in_capitals():
    assert found("CALL  ＋1 555", regex(r"Call\s+\+\d")) == ["r"]
    assert found("call 1 555", regex(r"call\s+\+\d")) == []


@pytest.mark.parametrize("text", ["ok", "Thanks a lot!", "It is.", "Très bien", "hm…", "well, no"])
def test_short_plain_texts_are_harmless(text):
    assert found(text, short()) == ["l"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "!?",
        "a text of more than twenty",
        "call 555",
        "evil.com",
        "a@b",
        "#tag",
        "kill you",
        "KILL them",
        "没事",
        "привет",
        "👍",
        "x_x",
    ],
)
def test_long_texts_digits_links_other_scripts_and_words_to_beware_of_are_not(text):
    assert found(text, short(unless=("kill", "no way"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "a" * 10,
        "so goooooooooood",
        "😂" * 10,
        "x" * 9 + "y" * 10 + "z" * 9,
        "buy " * 12,
        "Buy! " * 11 + "it Buy! buy!",
    ],
)
def test_repetition_of_a_character_or_a_word_is_found(text):
    assert found(text, repetition(run_min=10, words_min=12, word_share=0.8)) == ["rep"]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 9,
        "-" * 50,
        "= " * 8,
        " " * 50,
        "ab" * 30,
        "buy " * 11,
        "one two three four five six seven eight nine ten eleven twelve",
    ],
)
def test_short_runs_drawn_lines_and_ordinary_texts_are_not_repetitive(text):
    assert found(text, repetition(run_min=10, words_min=12, word_share=0.8)) == []


@given(st.text("aab ", max_size=60), st.integers(5, 20))
def test_a_run_is_found_exactly_where_a_naive_search_finds_one(text, run_min):
    assert has_run(text, run_min) == any(char * run_min in text for char in "ab")


def test_rules_find_in_the_policys_order_only_for_their_kinds_and_not_when_off():
    rules = (
        regex("x", id="first"),
        terms("x", id="second", mode="off"),
        short(id="third"),
        terms("x", id="fourth", kinds=("scan",)),
        terms("x", id="fifth", mode="shadow"),
    )
    assert found("x", *rules) == ["first", "third", "fifth"]
    assert found("x", *rules, kind="scan") == ["first", "third", "fourth", "fifth"]
    assert found("x", *rules, kind="review_ban") == []


def test_findings_stand_in_the_policys_order_however_many_rules_there_are():
    rules = [
        terms("x", id=f"rule-{at}") if at in {1, 8, 30} else terms("y", id=f"rule-{at}") for at in range(40)
    ]
    assert found("x", *rules) == ["rule-1", "rule-8", "rule-30"]


def test_two_rules_may_share_a_term():
    assert found("x", terms("x", id="a"), terms("x", id="b")) == ["a", "b"]


def test_a_policy_without_rules_finds_nothing():
    assert found("anything") == []


def test_a_term_of_marks_alone_is_searched_as_it_is_written():
    """Where evasion is undone such a mark is gone, and nothing is left to look for."""
    cedilla = terms("\u00b8", evasion=True)
    assert found("a \u00b8 alone", cedilla) == [cedilla.id]
    assert found("nothing", cedilla) == []


any_terms = st.text(min_size=1, max_size=12).filter(
    lambda term: needles(term) and not words_without_signs(term)
)
any_rules = st.one_of(
    st.lists(any_terms, min_size=1, max_size=4).map(lambda words: terms(*words)),
    st.lists(any_terms, max_size=4).map(lambda words: short(64, unless=tuple(words))),
    st.lists(st.text(min_size=1, max_size=12).map(re2.escape), min_size=1).map(lambda made: regex(*made)),
    st.builds(repetition, run_min=st.integers(5, 9), words_min=st.integers(3, 9), word_share=st.floats(0, 1)),
)


@given(any_rules, st.text(max_size=80))
def test_any_rule_searches_any_text_and_always_finds_the_same(rule, text):
    compiled = compile_policy(policy(rule))
    once = compiled.findings(Subject(text))
    assert [finding.rule_id for finding in once] in ([], [rule.id])
    assert once == compiled.findings(Subject(text))


@given(st.text(max_size=20), any_terms, st.text(max_size=20))
def test_a_term_is_found_between_any_two_texts(before, term, behind):
    # A mark would melt into the term, and a letter beside a script without spaces is no break.
    assert found(f"{before} {term} .{behind}", terms(term)) == ["t"] or category(term[0]).startswith("M")


@given(policies())
def test_any_policy_of_the_right_shape_is_compiled_or_refused_with_reasons(any_policy):
    problems = problems_of(any_policy)
    if problems:
        with pytest.raises(BadPolicy) as refused:
            compile_policy(any_policy)
        assert refused.value.problems == problems
    else:
        assert compile_policy(any_policy).policy == any_policy


WORDS = ("buy", "now", "buy now", "café", "ﬁne", "免費", "cheap likes")


@given(
    st.lists(
        st.sampled_from([*WORDS, "x", " ", "\u200b", "!", "ＢＵＹ", "e\u0301", "🔥", "\n"]), max_size=12
    ).map("".join)
)
def test_an_explanation_finds_what_triage_finds_and_points_at_it(text):
    compiled = compile_policy(
        policy(terms(*WORDS), regex("(?:buy|free).{0,3}now", "免"), short(), repetition())
    )
    explained = explain(Subject(text), compiled)
    assert [one.finding for one in explained] == compiled.findings(Subject(text))
    for finding, _, (start, end) in explained:
        assert 0 <= start < end <= len(text)
        piece = text[start:end]
        assert finding.rule_id in [f.rule_id for f in compiled.findings(Subject(piece))]


def test_the_span_of_a_term_is_in_the_original():
    text = "Hey,  ＢＵＹ\u200b - Now!! ok"
    (explained,) = explain(Subject(text), compile_policy(policy(terms("now", "buy now"))))
    assert text[slice(*explained.span)] == "ＢＵＹ\u200b - Now"


@given(st.text(max_size=40))
def test_words_stand_where_they_are_said_to_stand(text):
    folded = fold(text).text
    words = list(words_with_spans(folded))
    assert " ".join(word for word, _, _ in words) == words_form(folded).strip()
    # What lies beyond the basic plane and is no letter is blanked, in place.
    assert all(len(word) == end - start for word, start, end in words)


def test_everything_that_is_wrong_is_told_at_once_with_its_place():
    bad = policy(
        regex(r"(a)\1", "ok", "(?=b)"),
        terms("!!", "fine", id="t", label="nothing"),
        terms("x", id="t", label=""),
        short(action="block", label="spam"),
        repetition(action="allow"),
        regex("x", id="k", kinds=("moderate", "review_ban")),
        regex("y", id="n", kinds=()),
        labels=(
            Label(name="spam", description="d", label_at=0.8, review_at=0.7),
            Label(name="spam", description="d"),
        ),
        prompts=(Prompt(kind="scan", text="t"), Prompt(kind="scan", text="t")),
    )
    with pytest.raises(BadPolicy) as refused:
        compile_policy(bad)
    assert [(problem.path, problem.rule_id) for problem in refused.value.problems] == [
        ("$.labels[1].name", ""),
        ("$.labels[0]", ""),
        ("$.prompts[1].kind", ""),
        ("$.rules[2].id", ""),
        ("$.rules[0].patterns[0]", "r"),
        ("$.rules[0].patterns[2]", "r"),
        ("$.rules[1].label", "t"),
        ("$.rules[1].terms[0]", "t"),
        ("$.rules[2].label", "t"),
        ("$.rules[3].action", "l"),
        ("$.rules[4].action", "rep"),
        ("$.rules[5].kinds[1]", "k"),
        ("$.rules[6].kinds", "n"),
    ]
    assert "RE2 does not take it: invalid escape sequence" in str(refused.value)


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)b", "(?<!a)b", "(", "a**", "((a{1,100}){1,100}){1,10}"])
def test_a_pattern_that_cannot_be_held_to_linear_time_is_refused_with_the_reason(pattern):
    with pytest.raises(BadPattern, match=r"\w"):
        check_pattern(pattern)


def test_patterns_that_are_too_much_together_are_refused(monkeypatch):
    monkeypatch.setattr(matching, "AUTOMATON_BYTES_MAX", 1 << 15)
    with pytest.raises(BadPolicy, match="too many"):
        compile_policy(policy(regex(*(f"{word}[a-z]{{50}}" for word in "abcdefgh"))))


@given(st.lists(st.text("ab", min_size=1, max_size=3), max_size=6), st.text("ab", max_size=20))
def test_an_automaton_finds_each_pattern_that_occurs(patterns, text):
    hits = list(Automaton(patterns).hits(text))
    assert hits == [at for at, pattern in enumerate(patterns) if pattern in text]
    assert hits == [at for at, pattern in enumerate(patterns) if span_of(pattern, text) is not None]


def test_examples_that_are_missing_or_not_borne_out_are_told():
    rules = (
        terms("buy", matches=("Buy!", "sell"), passes=("no", "buy it"), mode="off"),
        regex("x", mode="shadow"),
        short(matches=("ok",), passes=("12",), kinds=("scan",)),
    )
    assert [str(problem) for problem in example_problems(policy(*rules))] == [
        "$.rules[0].matches[1] (rule t): the rule does not match its example",
        "$.rules[0].passes[1] (rule t): the rule matches an example that it should let pass",
        "$.rules[1].matches (rule r): a rule needs at least one example that it matches",
        "$.rules[1].passes (rule r): a rule needs at least one example that it lets pass",
    ]
