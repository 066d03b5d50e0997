"""The way back: from a place in a form to the original.

For explanations only; forming a text piece by piece takes many times as long as forming it at once.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from streams.core.apart import pieces
from streams.core.lookalikes import PLAIN
from streams.core.normalise import segments
from streams.core.words import words_with_spans

Span = tuple[int, int]


class TracedText:
    """A form of a text that is made piece by piece, and the way back."""

    def __init__(self, text: str, form: Callable[[str], str]) -> None:
        self._segments = segments(text, form)
        self._starts: list[int] = []
        at = 0
        for piece, _, _ in self._segments:
            self._starts.append(at)
            at += len(piece)
        self.formed = "".join(piece for piece, _, _ in self._segments)

    def original(self, place: Span) -> Span:
        """The smallest span of the original that becomes this part of the form, and maybe more."""
        start, end = place
        if start >= end or not self._segments:
            return (0, 0)
        # Pieces that become nothing start where the next one does: of equal starts the last has the text.
        first = bisect_right(self._starts, start) - 1
        last = bisect_left(self._starts, end) - 1
        return self._segments[first][1], self._segments[last][2]


def place_of_words(folded: str, place: Span) -> Span:
    """Where in the folded text a part of its words form stands, without the blanks at its ends.

    Words are put back together as `words_form` does, with the place in the folded text of every character.
    """
    places = [(0, 0)]
    for _, start, end in words_with_spans(folded):
        places += [*((at, at + 1) for at in range(start, end)), (end, end)]
    start, end = place
    inside = [one for one in places[start:end] if one[0] < one[1]]
    return (inside[0][0], inside[-1][1]) if inside else (0, 0)


def place_of_numbers(base: str, numbers: Sequence[int]) -> Span:
    """Where in a text, its case not folded, some of its words stand, as `evasion.words_of` numbers them."""
    places: list[Span] = []
    begins: int | None = None
    for piece, (start, end) in pieces(base):
        is_blank = piece.translate(PLAIN).isspace()
        if is_blank:
            begins = None
        elif begins is None:
            begins = start
            places.append((start, end))
        else:
            places[-1] = (begins, end)
    return (places[numbers[0]][0], places[numbers[-1]][1]) if numbers else (0, 0)
