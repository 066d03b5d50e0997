"""The reference scorer: how likely each label of a policy is for a text, computed from a small lexicon.

This is what the reference node and the in-memory node judge with. Every probability is a sum of the weights
of what was found, put through the logistic function: nothing is drawn, nothing is made up, and the same
text gets the same score on every machine. It reads English words only and understands none of them.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from streams.core.lexicon import ALIASES, EVIDENCE, NEGATIONS, PRIOR_LOG_ODDS, SIGNALS

NO_LABEL = "none"
"""What stands in the place of a label where none applies."""

MENTION_FROM = 0.2
"""A label is worth mentioning from this probability on: below it, the answer is `none`."""

NEGATED_SHARE = 0.3
"""What is left of a phrase's weight when a negation stands just before it: less, but not nothing,
because "not kidding, kill you" and "i do not want to kill you" look alike to a scorer that only
counts words."""

_WORD = re.compile(r"[\w@$]+(?:'\w+)*")
_LEET = str.maketrans("013457@$", "oieastas")
_PHRASE_WORDS_MAX = max(len(phrase.split()) for terms in EVIDENCE.values() for phrase in terms)
_NEGATION_REACH = 3


class LabelLogit(NamedTuple):
    """A label and its log-odds."""

    name: str
    logit: float

    @property
    def probability(self) -> float:
        """The odds as a probability."""
        return logistic(self.logit)


def logistic(logit: float) -> float:
    """Log-odds to a probability, without overflow at either end."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    exponential = math.exp(logit)
    return exponential / (1.0 + exponential)


def log_odds(probability: float) -> float:
    """A probability, strictly between 0 and 1, to log-odds."""
    return math.log(probability / (1.0 - probability))


def score(text: str, labels: Sequence[str]) -> tuple[LabelLogit, ...]:
    """Log-odds of each label, in the order given.

    A label of which the lexicon knows nothing keeps the prior: the scorer does not guess.
    """
    weights = category_weights(text)
    return tuple(
        LabelLogit(
            label, PRIOR_LOG_ODDS + sum(weights.get(category, 0.0) for category in categories_of(label))
        )
        for label in labels
    )


def mentioned(scored: Sequence[LabelLogit]) -> tuple[LabelLogit, ...]:
    """The labels worth mentioning, the most probable first; equals stand in the policy's order."""
    threshold = log_odds(MENTION_FROM)
    worthy = [label for label in scored if label.logit >= threshold]
    return tuple(sorted(worthy, key=lambda label: -label.logit))


def probability_of_none(scored: Sequence[LabelLogit]) -> float:
    """How likely it is that no label applies, the labels taken as independent."""
    return math.prod(logistic(-label.logit) for label in scored)


def first_label_distribution(scored: Sequence[LabelLogit]) -> dict[str, float]:
    """How likely each label is to be named first; sums to 1.

    A softmax over the log-odds, with `none` at the threshold of mentioning, so that the most probable name
    is the one that `mentioned` puts first: what an engine at temperature 0 would write.
    """
    logits = {label.name: label.logit for label in scored}
    logits[NO_LABEL] = log_odds(MENTION_FROM)
    return softmax(logits)


def softmax(logits: Mapping[str, float]) -> dict[str, float]:
    """Log-weights to probabilities that sum to 1."""
    highest = max(logits.values())
    exponentials = {name: math.exp(logit - highest) for name, logit in logits.items()}
    total = math.fsum(exponentials.values())
    return {name: exponential / total for name, exponential in exponentials.items()}


def categories_of(label: str) -> tuple[str, ...]:
    """The lexicon's categories that a policy's label stands for; none, where the name says nothing to it."""
    if label in EVIDENCE:
        return (label,)
    found: dict[str, None] = {}
    for name in (label.replace("-", "_"), *re.split(r"[._-]+", label)):
        if name in EVIDENCE:
            found[name] = None
        for category in ALIASES.get(name, ()):
            found[category] = None
    return tuple(found)


def category_weights(text: str) -> dict[str, float]:
    """The weight of all evidence in a text, by category; categories without evidence are left out."""
    words = folded_words(text)
    weights: dict[str, float] = {}
    for category, weight in _phrase_weights(words):
        weights[category] = weights.get(category, 0.0) + weight
    signals = form_signals(text, words)
    for category, known in SIGNALS.items():
        found = [known[signal] for signal in known if signal in signals]
        if found:
            weights[category] = weights.get(category, 0.0) + sum(found)
    return weights


def folded_words(text: str) -> list[str]:
    """The words of a text in the lexicon's form: small letters, no invisible characters, no leet."""
    visible = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    straight = visible.replace("\u2019", "'").casefold()
    return [_without_leet(word.replace("'", "")) for word in _WORD.findall(straight)]


def form_signals(text: str, words: Sequence[str]) -> frozenset[str]:
    """What is seen in the form of a text: links, addresses, numbers, repetition."""
    chunks = text.split()
    links = sum(1 for chunk in chunks if _is_link(chunk))
    signals = {
        "one_link": links in {1, 2},
        "many_links": links > 2,
        "email_address": any(_is_email_address(chunk) for chunk in chunks),
        "phone_number": any(_has_digits(chunk, 7, 12) for chunk in chunks),
        "card_number": any(_has_digits(chunk, 13, 19) for chunk in chunks),
        "repeated_words": len(words) >= 12 and len(set(words)) * 4 <= len(words),
    }
    return frozenset(name for name, is_seen in signals.items() if is_seen)


def _phrase_weights(words: Sequence[str]) -> Iterator[tuple[str, float]]:
    """Each phrase that occurs, once: its category, and its weight, less where all its places are negated.

    Read from the left, the longest phrase first: "i will kill you" is not evidence a second time as "kill
    you".
    """
    places: dict[str, bool] = {}
    start = 0
    while start < len(words):
        phrase, end = _longest_phrase(words, start)
        if phrase:
            is_negated = not NEGATIONS.isdisjoint(words[max(0, start - _NEGATION_REACH) : start])
            places[phrase] = places.get(phrase, True) and is_negated
        start = end
    for phrase, is_negated in places.items():
        share = NEGATED_SHARE if is_negated else 1.0
        for category, weight in _BY_PHRASE[phrase]:
            yield category, weight * share


def _longest_phrase(words: Sequence[str], start: int) -> tuple[str, int]:
    """The longest phrase of the lexicon that begins here (or nothing), and where reading goes on."""
    for end in range(min(start + _PHRASE_WORDS_MAX, len(words)), start, -1):
        phrase = " ".join(words[start:end])
        if phrase in _BY_PHRASE:
            return phrase, end
    return "", start + 1


def _without_leet(word: str) -> str:
    """`k1ll` to `kill`; pure numbers and words without digits or signs stay as they are."""
    has_letter = any(c.isalpha() for c in word)
    return word.translate(_LEET) if has_letter and not word.isalpha() else word


def _is_link(chunk: str) -> bool:
    return chunk.lower().startswith(("http://", "https://", "www."))


def _is_email_address(chunk: str) -> bool:
    name, at, host = chunk.strip(".,;:!?()<>\"'").rpartition("@")
    return bool(at and name) and "." in host.strip(".")


def _has_digits(chunk: str, digits_min: int, digits_max: int) -> bool:
    digits = sum(1 for c in chunk if c.isdigit())
    others = sum(1 for c in chunk if not (c.isdigit() or c in "+-().,;:/"))
    return digits_min <= digits <= digits_max and others == 0


def _by_phrase() -> dict[str, tuple[tuple[str, float], ...]]:
    """The lexicon turned round: from a phrase to what it is evidence for."""
    turned: dict[str, tuple[tuple[str, float], ...]] = {}
    for category, terms in EVIDENCE.items():
        for phrase, weight in terms.items():
            turned[phrase] = (*turned.get(phrase, ()), (category, weight))
    return turned


_BY_PHRASE = _by_phrase()
