"""From the probabilities of tokens to those of the names that an answer could have held in one place.

An engine tells, for each token that it wrote, what else could have stood there. A name may take several
tokens, begin in the middle of one, or share its first with another name: so the tokens are followed along the
name that was written until only one name is left. What fits no name is missing from the mass, and so is what
the engine did not list; under a grammar engines tell the probabilities before it, so that the mass shows how
much the grammar had to force.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from streams.core.replies import Token

UNMEASURED = 0.8
"""The score of what was only said, without probabilities: there most policies have a person look, and block
at more.
"""


class Likelihood(NamedTuple):
    """How likely each name was, all of them together taken as certain, and how likely any of them was."""

    of: Mapping[str, float]
    mass: float


def likelihood_at(
    tokens: Sequence[Token], start: int, names: Collection[str], closing: bytes = b""
) -> Likelihood | None:
    """The names' probabilities where a name begins at this byte; None where the tokens do not tell.

    `closing` is what must stand behind a name: with it, `hate` and `hateful` are told apart.
    """
    forms = {name: name.encode() + closing for name in names}
    rest = joined(tokens)[start:]
    written = max((name for name, form in forms.items() if rest.startswith(form)), key=len, default="")
    found = dict.fromkeys(names, 0.0)
    index, lead = _token_at(tokens, start)
    said = b""
    weight = 1.0
    while index < len(tokens):
        token = tokens[index]
        if not token.alternatives:
            return None
        fitting = {
            text: _fitting(forms, said + text[len(lead) :])
            for text in token.alternatives
            # llama.cpp leaves out the text of control words: an end is not the beginning of every name.
            if text and text.startswith(lead)
        }
        goes_on = len(fitting.get(token.text, ())) > 1
        for text, fits in fitting.items():
            if not (goes_on and text == token.text):
                for name in (shared := _sharing(fits, fitting, written)):
                    found[name] += weight * token.alternatives[text] / len(shared)
        if not goes_on:
            break
        weight *= token.alternatives[token.text]
        said += token.text[len(lead) :]
        index, lead = index + 1, b""
    mass = sum(found.values())
    if not mass:
        return Likelihood({}, 0.0)
    return Likelihood({name: share / mass for name, share in found.items()}, min(1.0, mass))


def likelihood_between(tokens: Sequence[Token], start: int, end: int) -> float:
    """How likely it was that all whole tokens between these bytes followed one another as they did."""
    likely = 1.0
    for token, stop in zip(tokens, accumulate(len(token.text) for token in tokens), strict=True):
        if stop - len(token.text) >= start and stop <= end:
            likely *= token.alternatives.get(token.text, 0.0)
    return likely


def rounded(probability: float) -> float:
    """As it is told; sums of probabilities may be a little more than certainty."""
    return min(1.0, round(probability, 6))


def joined(tokens: Sequence[Token]) -> bytes:
    """All that was written, a thinking model's thoughts and the special tokens' names included."""
    return b"".join(token.text for token in tokens)


def _fitting(forms: Mapping[str, bytes], said: bytes) -> list[str]:
    return [name for name, form in forms.items() if form.startswith(said) or said.startswith(form)]


def _sharing(fits: Sequence[str], fitting: Mapping[bytes, Sequence[str]], written: str) -> Sequence[str]:
    """Whose beginning a token is that was not written: of several, those that no other token stands for.

    A tokenizer cuts a name always the same, so what was written, and what has a token to itself, begins with
    that.
    """
    if len(fits) < 2:
        return fits
    taken = {names[0] for names in fitting.values() if len(names) == 1} | {written}
    return [name for name in fits if name not in taken] or fits


def _token_at(tokens: Sequence[Token], start: int) -> tuple[int, bytes]:
    """The token in which a byte stands, and what stands before it in that token."""
    at = 0
    for index, token in enumerate(tokens):
        if at + len(token.text) > start:
            return index, token.text[: start - at]
        at += len(token.text)
    return len(tokens), b""
