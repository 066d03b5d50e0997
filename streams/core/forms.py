"""One text in all the forms that rules compare, each made when it is first asked for.

`folded` for patterns and substrings, `words` for whole words, and three in which evasion is undone
(`streams.core.evasion`), which a text without any sign of evasion does not have: `evaded`; `squeezed`, with letters
that were drawn out; `apart`, with the words alone whose letters stood apart. Where a place in a form stands in the
original is for explanations, and takes many times as long as matching.
"""

from __future__ import annotations

from functools import cached_property
from typing import Literal, assert_never

from streams.core.evasion import Undone, undo
from streams.core.normalise import Folded, compatible, fold
from streams.core.signs import Signs, signs_in
from streams.core.traced import Span, TracedText, place_of_numbers, place_of_words
from streams.core.words import words_form

FormName = Literal["folded", "words", "evaded", "apart", "squeezed"]
FORM_NAMES: tuple[FormName, ...] = ("folded", "words", "evaded", "apart", "squeezed")
"""In the order in which they are searched: the plain ones first, as they are the cheapest."""

DISGUISED = "disguised"
"""The flag of a text in which words are written so as not to be found."""


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
        """The folded text as its words, a blank before and behind each."""
        return words_form(self.folded.text)

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """Ways in which the text hides what it says."""
        return (*self.folded.flags, DISGUISED) if self._disguised_share else self.folded.flags

    @cached_property
    def obfuscation(self) -> float:
        """How much of the text hides something, 0 to 1."""
        return min(1.0, self.folded.obfuscation + self._disguised_share)

    def text_of(self, form: FormName) -> str | None:
        """The text of a form; nothing where there is no evasion to undo."""
        match form:
            case "folded":
                return self.folded.text
            case "words":
                return self.words
            case "evaded":
                return self.undone.evaded.text if self.undone else None
            case "apart":
                return self.undone.apart.text if self.undone and self._signs.apart else None
            case "squeezed":
                return self.undone.squeezed.text if self.undone is not None and self._is_drawn_out else None
            case _:
                assert_never(form)

    def admits(self, form: FormName, start: int, end: int, spelled: str) -> bool:
        """Whether a term that was found at a place counts: where evasion is undone, there must be some.

        `spelled` is the term as it is looked for, before rows of letters are squeezed.
        """
        if self.undone is None or form not in ("evaded", "squeezed"):
            return True
        if form == "evaded":
            return self.undone.is_in_disguise(start, end, whole_words=spelled.startswith(" "))
        return self.undone.is_drawn_out(start, end, spelled)

    def span(self, form: FormName, start: int, end: int) -> Span:
        """The span of the original that a part of a form comes from; of whole words, where evasion is undone."""
        match form:
            case "folded":
                return self._traced.original((start, end))
            case "words":
                return self._traced.original(place_of_words(self.folded.text, (start, end)))
            case "evaded" | "apart" | "squeezed":
                if self.undone is None:
                    return (0, 0)
                traced = TracedText(self.text, compatible)
                numbers = self.undone.word_numbers(form, start, end)
                return traced.original(place_of_numbers(traced.formed, numbers))
            case _:
                assert_never(form)

    @cached_property
    def undone(self) -> Undone | None:
        """The text with evasion undone; nothing where there is none."""
        return undo(self.text, self.folded.text, self._signs)

    @cached_property
    def _signs(self) -> Signs:
        return signs_in(self.folded.text)

    @cached_property
    def _is_drawn_out(self) -> bool:
        """Letters may be drawn out that were digits before: `fr333`."""
        undone = self.undone
        return self._signs.drawn_out or (bool(undone) and signs_in(undone.evaded.text).drawn_out)

    @cached_property
    def _disguised_share(self) -> float:
        return self.undone.hiding_characters / len(self.text) if self.undone else 0.0

    @cached_property
    def _traced(self) -> TracedText:
        return TracedText(self.text, lambda piece: fold(piece).text)
