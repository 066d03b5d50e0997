"""Chance as an argument: a row of draws from some random bytes, the same row from the same bytes.

Decisions that need chance are given `entropy` by whoever may ask the system for it, so that nobody can
foresee them and a test can repeat them.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")

ENTROPY_BYTES = 32
_BLOCK_BYTES = 8
_BLOCKS_END = 1 << 64


class Draws:
    """One row of draws."""

    def __init__(self, entropy: bytes) -> None:
        self._key = entropy[: blake2b.MAX_KEY_SIZE]
        self._drawn = 0

    def __repr__(self) -> str:
        return f"<Draws {self._drawn} drawn>"

    def below(self, end: int) -> int:
        """A whole number from 0 to just below `end`.

        The remainder favours small numbers by less than one in 10 ** 15 for anything that we draw from.
        """
        return self._block() % end

    def fraction(self) -> float:
        """A number from 0 to just below 1."""
        return (self._block() >> 11) / (1 << 53)

    def one_of(self, things: Sequence[T]) -> T:
        """One of several."""
        return things[self.below(len(things))]

    def shuffle(self, things: MutableSequence[T]) -> None:
        """Put things into any order, each as likely as the others (Fisher and Yates)."""
        for at in range(len(things) - 1, 0, -1):
            other = self.below(at + 1)
            things[at], things[other] = things[other], things[at]

    def _block(self) -> int:
        self._drawn += 1
        number = self._drawn.to_bytes(_BLOCK_BYTES, "big")
        digest = blake2b(number, digest_size=_BLOCK_BYTES, key=self._key).digest()
        return int.from_bytes(digest, "big") % _BLOCKS_END
