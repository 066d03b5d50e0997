"""From tokens to names: however a tokenizer cuts them, the probabilities come out as they went in."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.likelihood import joined, likelihood_at, likelihood_between
from streams.core.replies import Token

NAMES = ("spam", "scam", "sexual", "hate", "hateful", "none")
QUOTE = b'"'


def tokens_for(said: str, shares: dict[str, float], cuts: dict[str, list[int]], lead: bytes) -> list[Token]:
    """The tokens of a model that writes this name with these probabilities, and cuts every name so."""
    pieces = {name: pieces_of(name, cuts[name], lead) for name in shares}
    tokens: list[Token] = []
    for index, piece in enumerate(pieces[said]):
        before = pieces[said][:index]
        here = {name: pieces[name] for name in shares if pieces[name][:index] == before}
        total = sum(shares[name] for name in here)
        alternatives: dict[bytes, float] = {}
        for name, parts in here.items():
            alternatives[parts[index]] = alternatives.get(parts[index], 0.0) + shares[name] / total
        tokens.append(Token(piece, alternatives))
    return tokens


def pieces_of(name: str, cuts: list[int], lead: bytes) -> list[bytes]:
    text = name.encode() + QUOTE
    at = [0, *sorted({cut for cut in cuts if 0 < cut < len(text)}), len(text)]
    first, *rest = [text[start:end] for start, end in pairwise(at)]
    return [lead + first, *rest]


@st.composite
def written(draw: st.DrawFn) -> tuple[str, dict[str, float], list[Token], bytes]:
    weights = draw(st.lists(st.integers(1, 100), min_size=len(NAMES), max_size=len(NAMES)))
    shares = {name: weight / sum(weights) for name, weight in zip(NAMES, weights, strict=True)}
    cuts = {name: draw(st.lists(st.integers(1, 7), max_size=3)) for name in NAMES}
    lead = draw(st.sampled_from([b"", b'["', b' "', b'{"labels":["']))
    said = draw(st.sampled_from(NAMES))
    return said, shares, tokens_for(said, shares, cuts, lead), lead


@given(written())
def test_however_names_are_cut_the_one_that_was_written_has_its_probability(case):
    said, shares, tokens, lead = case
    found = likelihood_at(tokens, len(lead), NAMES, QUOTE)
    assert found.of[said] == pytest.approx(shares[said])
    assert found.mass == pytest.approx(1.0)
    assert sum(found.of.values()) == pytest.approx(1.0)


@given(written(), st.floats(0, 0.99))
def test_what_fits_no_name_is_missing_from_the_mass(case, stray):
    said, shares, tokens, lead = case
    first, *rest = tokens
    mixed = {text: probability * (1 - stray) for text, probability in first.alternatives.items()}
    found = likelihood_at([Token(first.text, {**mixed, b"Sure": stray}), *rest], len(lead), NAMES, QUOTE)
    assert found.mass == pytest.approx(1 - stray)
    assert found.of[said] == pytest.approx(shares[said])


@given(st.lists(st.tuples(st.binary(max_size=5), st.dictionaries(st.binary(max_size=5), st.floats(0, 1)))))
def test_whatever_an_engine_tells_is_a_probability(told):
    tokens = [Token(text, alternatives) for text, alternatives in told]
    for start in range(len(joined(tokens)) + 1):
        found = likelihood_at(tokens, start, NAMES, QUOTE)
        if found is not None:
            assert 0 <= found.mass <= 1
            assert all(0 <= share <= 1 + 1e-9 for share in found.of.values())
            assert set(found.of) <= set(NAMES)


def test_without_alternatives_nothing_is_told():
    assert likelihood_at([Token(b"spam", {})], 0, NAMES) is None


def test_a_name_that_is_the_beginning_of_another_is_told_apart_by_what_closes_it():
    tokens = [Token(b"hate", {b"hate": 0.9, b"none": 0.1}), Token(b'"', {b'"': 0.25, b"ful": 0.75})]
    found = likelihood_at(tokens, 0, NAMES, QUOTE)
    assert found.of["hate"] == pytest.approx(0.225)
    assert found.of["hateful"] == pytest.approx(0.675)


def test_an_end_in_the_place_of_a_name_is_no_name():
    found = likelihood_at([Token(b"none", {b"none": 0.6, b"": 0.4})], 0, NAMES)
    assert (found.of["none"], found.mass) == (1.0, 0.6)


def test_between_two_places_the_whole_tokens_count():
    tokens = [Token(text, {text: 0.5}) for text in (b"a", b"bc", b"d", b"ef")]
    assert likelihood_between(tokens, 1, 4) == 0.25
    assert likelihood_between(tokens, 2, 4) == 0.5
    assert likelihood_between(tokens, 4, 4) == 1.0
