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


class TracedWords:
    """The way back from the words form of a folded text.

    Words are put back together as `words_form` does, with the place in the folded text of every character.
    """

    def __init__(self, folded: str) -> None:
        self._places = [(0, 0)]
        for _, start, end in words_with_spans(folded):
            self._places += [*((at, at + 1) for at in range(start, end)), (end, end)]

    def place(self, place: Span) -> Span:
        """Where in the folded text a part stands, without the blanks at its ends."""
        start, end = place
        inside = [one for one in self._places[start:end] if one[0] < one[1]]
        return (inside[0][0], inside[-1][1]) if inside else (0, 0)


class TracedNumbers:
    """The way back from the numbers of words to a text whose case is not folded."""

    def __init__(self, base: str) -> None:
        self._places: list[Span] = []
        begins: int | None = None
        for piece, (start, end) in pieces(base):
            is_blank = piece.translate(PLAIN).isspace()
            if is_blank:
                begins = None
            elif begins is None:
                begins = start
                self._places.append((start, end))
            else:
                self._places[-1] = (begins, end)

    def place(self, numbers: Sequence[int]) -> Span:
        """Where words stand, as `evasion.words_of` numbers them."""
        return (self._places[numbers[0]][0], self._places[numbers[-1]][1]) if numbers else (0, 0)
