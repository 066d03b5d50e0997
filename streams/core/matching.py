"""Many terms and patterns over one text at once: Aho-Corasick automata for terms, an RE2 set for patterns.

Both take time linear in the text whatever they look for. RE2 refuses what could not be so: references back,
looking around. Nothing here knows of rules; `streams.core.rules` knows which term and pattern is whose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import re2
from ahocorasick_rs import AhoCorasick, Implementation

from streams.core.evasion import evaded_term, squeezed_term
from streams.core.forms import FORM_NAMES, FormName, Forms
from streams.core.normalise import fold
from streams.core.words import as_whole_words, words_form

AUTOMATON_BYTES_MAX = 64 << 20
"""For the program of a set of patterns and the states it runs with."""


class Needle(NamedTuple):
    """What of a term is looked for in one form of a text, as a plain substring of it."""

    form: FormName
    text: str


class Place(NamedTuple):
    """Where in a form something was found."""

    owner: int
    form: FormName
    start: int
    end: int


class Terms:
    """All terms of a policy, as needles each with its owner's number: whose of them occur in a text."""

    __slots__ = ("_automata",)

    def __init__(self, owned: Iterable[tuple[Needle, int]]) -> None:
        of_form: dict[FormName, dict[str, list[int]]] = {}
        for needle, owner in owned:
            of_form.setdefault(needle.form, {}).setdefault(needle.text, []).append(owner)
        self._automata = [(form, _OfForm(of_form[form])) for form in FORM_NAMES if form in of_form]

    def __bool__(self) -> bool:
        return bool(self._automata)

    def owners_in(self, forms: Forms) -> set[int]:
        """The owners of all terms that occur."""
        found: set[int] = set()
        for form, automaton in self._automata:
            match form:
                case "folded":
                    automaton.add_owners(forms.folded.text, found)
                case "words":
                    automaton.add_owners(forms.words, found)
                case _:
                    found.update(place.owner for place in automaton.evaded_places(forms, form))
        return found

    def places(self, forms: Forms) -> Iterator[Place]:
        """Every occurrence of every term: for explanations. `forms.span` leads back to the original."""
        for form, automaton in self._automata:
            match form:
                case "folded":
                    yield from automaton.places(forms.folded.text, form)
                case "words":
                    yield from automaton.places(forms.words, form)
                case _:
                    yield from automaton.evaded_places(forms, form)


class _OfForm:
    """The needles of one form."""

    __slots__ = ("_automaton", "_needles", "_owners")

    def __init__(self, needles: dict[str, list[int]]) -> None:
        self._needles = list(needles)
        self._owners = [tuple(dict.fromkeys(owners)) for owners in needles.values()]
        self._automaton = AhoCorasick(self._needles, implementation=Implementation.DFA)

    def add_owners(self, text: str, found: set[int]) -> None:
        for hit, _, _ in self._automaton.find_matches_as_indexes(text, overlapping=True):
            found.update(self._owners[hit])

    def places(self, text: str, form: FormName) -> Iterator[Place]:
        for hit, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True):
            yield from (Place(owner, form, start, end) for owner in self._owners[hit])

    def evaded_places(self, forms: Forms, form: FormName) -> Iterator[Place]:
        """Only those that show evasion: what is written plainly is found in the plain forms."""
        undone = forms.evaded if form == "evaded" else forms.squeezed
        if undone is None:
            return
        for hit, start, end in self._automaton.find_matches_as_indexes(undone.text, overlapping=True):
            if undone.is_evasion(start, end, self._needles[hit]):
                yield from (Place(owner, form, start, end) for owner in self._owners[hit])


def needles(term: str, *, whole_words: bool = True, evasion: bool = False) -> tuple[Needle, ...]:
    """What a term is in each form where it is looked for; none if nothing of it could be found.

    With `evasion` it is looked for, besides, where it was written so as not to be found.
    """
    folded = fold(term).text
    if whole_words:
        plain = as_whole_words(words_form(folded).strip())
        found = [Needle("words", plain)] if plain else []
    else:
        found = [Needle("folded", folded)] if folded.strip() else []
    if evasion and found:
        found += [Needle("evaded", text) for text in evaded_term(term, whole_words=whole_words)]
        found += [Needle("squeezed", text) for text in squeezed_term(term, whole_words=whole_words)]
    return tuple(found)


class BadPattern(Exception):
    """A pattern that RE2 does not take; the message is RE2's reason."""


class Automaton:
    """A set of patterns: which of them occur in a text."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._count = len(patterns)
        self._set = re2.Set.SearchSet(_options())
        try:
            for pattern in patterns:
                self._set.Add(pattern)
            # This fails, too, where there would be no room to run the set: a search never runs out of memory.
            self._set.Compile()
        except re2.error:
            raise BadPattern(f"all together they take more than {AUTOMATON_BYTES_MAX >> 20} MiB") from None

    def __len__(self) -> int:
        return self._count

    def hits(self, text: str) -> Sequence[int]:
        """The numbers of the patterns that occur, ascending."""
        # To RE2 a set without patterns has one.
        found: list[int] | None = self._set.Match(text) if self._count else None
        return sorted(found) if found else ()


def check_pattern(pattern: str) -> None:
    """Raise `BadPattern` for what RE2 does not take."""
    try:
        re2.compile(pattern, _options())
    except re2.error as problem:
        raise BadPattern(_reason(problem)) from None


def span_of(pattern: str, text: str) -> tuple[int, int] | None:
    """Where a pattern first occurs."""
    match = re2.compile(pattern, _options()).search(text)
    return None if match is None else match.span()


def _options() -> re2.Options:
    options = re2.Options()
    # It would write to stderr, and quote the pattern there.
    options.log_errors = False
    # Texts come folded; a capital in a pattern would never match.
    options.case_sensitive = False
    options.max_mem = AUTOMATON_BYTES_MAX
    return options


def _reason(problem: Exception) -> str:
    said = problem.args[0] if problem.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
