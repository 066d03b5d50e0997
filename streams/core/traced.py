"""The way back: from a place in the folded text or in its words to the original.

For explanations only; folding by pieces takes many times as long as `streams.core.normalise.fold`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from streams.core.normalise import fold_segments
from streams.core.words import words_with_spans

Span = tuple[int, int]


class TracedText:
    """A text, its folded form, and the way back."""

    def __init__(self, text: str) -> None:
        self._segments = fold_segments(text)
        self._starts: list[int] = []
        at = 0
        for piece, _, _ in self._segments:
            self._starts.append(at)
            at += len(piece)
        self.folded = "".join(piece for piece, _, _ in self._segments)

    def original(self, place: Span) -> Span:
        """The smallest span of the original that folds to this part of the folded text, and maybe to more."""
        start, end = place
        if start >= end or not self._segments:
            return (0, 0)
        # Pieces that fold to nothing start where the next one does: of equal starts the last has the text.
        first = bisect_right(self._starts, start) - 1
        last = bisect_left(self._starts, end) - 1
        return self._segments[first][1], self._segments[last][2]


def folded_place_of_words(folded: str, place: Span) -> Span:
    """Where in the folded text a part of its words form stands, without the blanks at its ends.

    Words are put back together as `words_form` does, with the place in the folded text of every character.
    """
    places = [(0, 0)]
    for _, start, end in words_with_spans(folded):
        places += [*((at, at + 1) for at in range(start, end)), (end, end)]
    start, end = place
    inside = [one for one in places[start:end] if one[0] < one[1]]
    return (inside[0][0], inside[-1][1]) if inside else (0, 0)
