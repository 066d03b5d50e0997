"""One text in all the forms that rules compare, each made when it is first asked for.

`folded` for patterns and substrings, `words` for whole words, and two in which evasion is undone
(`streams.core.evasion`); a text without any sign of evasion has neither of these. Where a match stands in the
original is for explanations, and takes many times as long as matching.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal, assert_never

from streams.core.evasion import Evaded, evaded, squeezed
from streams.core.normalise import Folded, fold
from streams.core.traced import Span, TracedText, folded_place_of_words
from streams.core.words import words_form

FormName = Literal["folded", "words", "evaded", "squeezed"]
FORM_NAMES: tuple[FormName, ...] = ("folded", "words", "evaded", "squeezed")


class Forms:
    """The forms of one text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"<Forms of {len(self.text)} characters>"

    @cached_property
    def folded(self) -> Folded:
        """Compatibility forms and case folded, nothing invisible: what patterns read."""
        return fold(self.text)

    @cached_property
    def words(self) -> str:
        """The folded text as its words, with blanks around each."""
        return words_form(self.folded.text)

    @cached_property
    def evaded(self) -> Evaded | None:
        """Lookalikes, digits for letters, and spaced-out letters undone; none where nothing is evaded."""
        return evaded(self.text, self.folded)

    @cached_property
    def squeezed(self) -> Evaded | None:
        """As `evaded`, and each row of equal letters as one; none where no letter is drawn out."""
        return squeezed(self.text, self.folded, self.evaded)

    @property
    def obfuscation(self) -> float:
        """How much of the text hides something, 0 to 1."""
        return self.folded.obfuscation

    def span(self, form: FormName, start: int, end: int) -> Span:
        """The span of the original that a part of a form comes from: for explanations, as it is slow."""
        match form:
            case "folded":
                place = (start, end)
            case "words":
                place = folded_place_of_words(self.folded.text, (start, end))
            case "evaded" | "squeezed":
                undone = self.evaded if form == "evaded" else self.squeezed
                return undone.span(start, end) if undone else (0, 0)
            case _:
                assert_never(form)
        return self._traced.original(place)

    @cached_property
    def _traced(self) -> TracedText:
        return TracedText(self.text)
