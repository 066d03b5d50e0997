"""What an engine replied, whatever its wire: the text, its tokens and what could have stood there, counts.

`infra.nodes.engines` makes them of bytes, `streams.core.formats` reads them. Nothing here is believed yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Token(NamedTuple):
    """A token of the answer: its bytes, and the probability of each that was likely in its place."""

    text: bytes
    alternatives: Mapping[bytes, float]


class Decision(NamedTuple):
    """The answer of an endpoint that decides without writing: a probability, and its mass if told."""

    probability: float
    mass: float = 1.0


class Reply(NamedTuple):
    """One reply."""

    content: str = ""
    tokens: tuple[Token, ...] = ()
    """None, where the engine gives no log-probabilities."""
    decisions: Mapping[str, Decision] = {}
    """By name, where the engine was asked to decide."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
