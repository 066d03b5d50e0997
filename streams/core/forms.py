"""One text in all the forms that rules compare: `folded` at once, each other when it is first asked for.

`folded` for patterns and substrings, `words` for whole words, and three in which evasion is undone
(`streams.core.evasion`), which a text without any sign of evasion does not have: `evaded`; `squeezed`, with
letters that were drawn out; `apart`, with those words alone whose letters stood apart. Where a place in a
form stands in the original is for explanations, and takes many times as long as matching.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal, assert_never

from streams.core.evasion import Undone, base_of, undo
from streams.core.normalise import Folded, fold
from streams.core.signs import Signs, signs_in
from streams.core.traced import Span, TracedNumbers, TracedText, TracedWords
from streams.core.words import words_form

FormName = Literal["folded", "words", "evaded", "apart", "squeezed"]
FORM_NAMES: tuple[FormName, ...] = ("folded", "words", "evaded", "apart", "squeezed")
"""In the order in which they are searched: the plain ones first, as they are the cheapest."""
PLAIN_FORMS: tuple[FormName, ...] = ("folded", "words")
"""Those that every text has: nothing is undone in them."""

Admits = Callable[[int, int, str], bool]

DISGUISED = "disguised"
"""The flag of a text in which words are written so as not to be found."""


class Forms:
    """The forms of one text."""

    # By hand, as `functools.cached_property` takes a lock in Python 3.11, and with it as long as a form.
    __slots__ = ("_signs", "_trace", "_undone", "_words", "folded", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.folded: Folded = fold(text)
        """Compatibility forms and case folded, nothing invisible: what patterns read."""
        self._words: str | None = None
        self._signs: Signs | None = None
        self._undone: Undone | None = None
        self._trace: Trace | None = None

    def __repr__(self) -> str:
        return f"<Forms of {len(self.text)} characters>"

    @property
    def words(self) -> str:
        """The folded text as its words, a blank before and behind each."""
        if self._words is None:
            self._words = words_form(self.folded.text)
        return self._words

    @property
    def undone(self) -> Undone | None:
        """The text with evasion undone; nothing where there is none."""
        if self._signs is None:
            self._signs = signs_in(self.folded.data)
            self._undone = undo(self.text, self.folded, self._signs)
        return self._undone

    @property
    def flags(self) -> tuple[str, ...]:
        """Ways in which the text hides what it says."""
        flags = self.folded.flags
        return (*flags, DISGUISED) if self.undone and self.undone.hiding_characters else flags

    @property
    def obfuscation(self) -> float:
        """How much of the text hides something, 0 to 1."""
        hidden = self.folded.obfuscation
        if self.undone is None:
            return hidden
        return min(1.0, hidden + self.undone.hiding_characters / len(self.text))

    def text_of(self, form: FormName) -> str | None:
        """The text of a form; nothing where there is no evasion to undo."""
        if form == "folded":
            return self.folded.text
        if form == "words":
            return self.words
        undone = self.undone
        if undone is None:
            return None
        match form:
            case "evaded":
                return undone.evaded.text if undone else None
            case "apart":
                return undone.apart.text if undone.has_apart else None
            case "squeezed":
                return undone.squeezed.text if undone.has_drawn_out else None
            case _:
                assert_never(form)

    def admitting(self, form: FormName) -> Admits | None:
        """Whether a term that was found at a place counts: where evasion is undone, there must be some.

        Nothing where all count. What is asked: the place, and the term as it is looked for, before rows of
        letters are squeezed.
        """
        if self.undone is None or form not in {"evaded", "squeezed"}:
            return None
        return self.undone.is_in_disguise if form == "evaded" else self.undone.is_drawn_out

    def span(self, form: FormName, start: int, end: int) -> Span:
        """The span of the original that a part of a form comes from; where evasion is undone, of words."""
        if self._trace is None:
            self._trace = Trace(self.text)
        if form in {"folded", "words"}:
            return self._trace.of_folded((start, end), in_words=form == "words")
        if self.undone is None:
            return (0, 0)
        return self._trace.of_words(self.undone.word_numbers(form, start, end))


class Trace:
    """The ways back to one text: each made when first asked for, and once, however many places it leads."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return f"<Trace of {len(self._text)} characters>"

    def of_folded(self, place: Span, *, in_words: bool) -> Span:
        """Of a part of the folded text, or of its words."""
        return self._folded.original(self._words.place(place) if in_words else place)

    def of_words(self, numbers: Sequence[int]) -> Span:
        """Of words by their numbers, where evasion is undone."""
        return self._base.original(self._numbered.place(numbers))

    @cached_property
    def _folded(self) -> TracedText:
        return TracedText(self._text, lambda piece: fold(piece).text)

    @cached_property
    def _words(self) -> TracedWords:
        return TracedWords(self._folded.formed)

    @cached_property
    def _base(self) -> TracedText:
        return TracedText(self._text, base_of)

    @cached_property
    def _numbered(self) -> TracedNumbers:
        return TracedNumbers(self._base.formed)
