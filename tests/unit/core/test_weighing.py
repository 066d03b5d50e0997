"""The reference scorer: probabilities that are computed, the same everywhere, and never out of bounds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.lexicon import ALIASES, EVIDENCE, PRIOR_LOG_ODDS, SIGNALS
from streams.core.weighing import (
    MENTION_FROM,
    NO_LABEL,
    categories_of,
    category_weights,
    first_label_distribution,
    folded_words,
    log_odds,
    logistic,
    mentioned,
    probability_of_none,
    score,
)

LABELS = ("spam", "violence", "hate_speech", "harassment", "self-harm", "quux")


def probability(text: str, label: str) -> float:
    return score(text, [label])[0].probability


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("I will kill you", "violence"),
        ("I WILL K1LL Y0U!!", "violence"),
        ("I will ki\u200bll you", "threats"),
        ("I want to end my life", "self-harm"),
        ("buy cheap followers at http://example.test", "spam"),
        ("guaranteed profit, double your bitcoin", "scam"),
        ("you are pathetic and nobody likes you", "harassment"),
        ("they are subhuman vermin", "hate_speech"),
        ("her address is 12 Elm Street, phone number is 555-123-4567", "privacy"),
    ],
)
def test_plain_harm_is_likelier_than_not(text, label):
    assert probability(text, label) > 0.7


@pytest.mark.parametrize(
    "text",
    ["What a lovely day for a walk", "", "The museum opens at nine", "Bitte lesen Sie das Buch", "🙂🙂🙂"],
)
def test_harmless_text_mentions_no_label(text):
    scored = score(text, LABELS)
    assert mentioned(scored) == ()
    assert probability_of_none(scored) > 0.9


def test_more_evidence_never_makes_a_label_less_likely():
    assert probability("idiot", "harassment") < probability("idiot, shut up", "harassment")


def test_a_phrase_that_is_repeated_counts_once():
    assert score("idiot", LABELS) == score("idiot idiot idiot", LABELS)


def test_a_phrase_is_not_evidence_again_as_a_part_of_itself():
    assert category_weights("i will kill you") == {"violence": EVIDENCE["violence"]["i will kill you"]}


def test_negated_words_weigh_less_but_not_nothing():
    plain, negated = probability("kill you", "violence"), probability("never kill you", "violence")
    assert probability("", "violence") < negated < plain


def test_a_phrase_that_is_negated_in_one_place_only_weighs_in_full():
    assert probability("never kill you. It was on monday that he said kill you", "violence") == probability(
        "kill you", "violence"
    )


def test_the_setting_of_a_text_can_speak_against_harm():
    assert probability("murder in a video game", "violence") < probability("murder", "violence")


def test_a_label_unknown_to_the_lexicon_keeps_the_prior():
    assert score("I will kill you", ["quux"])[0].logit == PRIOR_LOG_ODDS


@pytest.mark.parametrize(
    ("label", "categories"),
    [
        ("spam", ("spam",)),
        ("self-harm", ("self_harm",)),
        ("hate_speech", ("hate",)),
        ("violence.threat", ("violence",)),
        ("spam_and_scams", ("spam", "scam")),
        ("drugs", ("illegal_goods",)),
        ("quux", ()),
    ],
)
def test_the_name_of_a_label_says_which_evidence_counts(label, categories):
    assert categories_of(label) == categories


def test_every_phrase_can_be_found_in_a_text_that_is_just_it():
    phrases = {phrase for terms in EVIDENCE.values() for phrase in terms}
    assert len(phrases) > 100
    for phrase in phrases:
        assert " ".join(folded_words(phrase)) == phrase, phrase


def test_aliases_and_signals_name_categories_that_exist():
    named = {category for categories in ALIASES.values() for category in categories} | set(SIGNALS)
    assert named <= set(EVIDENCE)


@given(st.text(max_size=400))
def test_every_text_gets_probabilities_within_bounds_and_always_the_same(text):
    scored = score(text, LABELS)
    assert scored == score(text, LABELS)
    assert all(0 < label.probability < 1 for label in scored)
    assert 0 <= probability_of_none(scored) <= 1


@given(st.lists(st.sampled_from([p for terms in EVIDENCE.values() for p in terms]), max_size=8))
def test_the_likeliest_first_name_is_the_one_mentioned_first(phrases):
    scored = score(". ".join(phrases), LABELS)
    distribution = first_label_distribution(scored)
    assert math.isclose(math.fsum(distribution.values()), 1.0)
    first = mentioned(scored)[0].name if mentioned(scored) else NO_LABEL
    assert distribution[first] == max(distribution.values())


@given(st.floats(min_value=-1_000, max_value=1_000))
def test_the_logistic_never_overflows(logit):
    assert 0 <= logistic(logit) <= 1


def test_mentioning_begins_at_its_threshold():
    assert math.isclose(logistic(log_odds(MENTION_FROM)), MENTION_FROM)
