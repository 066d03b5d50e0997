"""Many terms and patterns over one text at once: Aho-Corasick automata for terms, an RE2 set for patterns.

Both take time linear in the text whatever they look for. RE2 refuses what could not be so: references back,
looking around. Nothing here knows of rules; `streams.core.rules` knows which term and pattern is whose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import re2
from ahocorasick_rs import AhoCorasick, Implementation

from streams.core.drawn_out import squeeze
from streams.core.evasion import base_of, words_of
from streams.core.forms import FORM_NAMES, PLAIN_FORMS, FormName, Forms
from streams.core.lookalikes import GONE, one_symbol
from streams.core.normalise import fold
from streams.core.words import as_whole_words, words_form

AUTOMATON_BYTES_MAX = 64 << 20
"""For the program of a set of patterns and the states it runs with."""
DFA_BYTES_MAX = 192 << 10
"""Bytes of the needles of one form up to which they become the fastest automaton. It has a state for each, of
up to a KiB in scripts of many letters; beyond, the automaton is one of a few bytes a state."""
PATTERN_BYTES_MAX = 4 << 20
"""For the program of one pattern: one that is larger takes half a second to look at, and there may be
thousands."""

APART_MIN = 4
"""Letters of a term that is found anywhere in letters that were written apart: nobody knows where words end
there, and three letters in a row are too often an abbreviation's."""


class Needle(NamedTuple):
    """What of a term is looked for in one form of a text, as a plain substring of it."""

    form: FormName
    text: str
    spelled: str
    """The same, before rows of equal letters were squeezed."""


class Place(NamedTuple):
    """Where in a form something was found."""

    owner: int
    form: FormName
    start: int
    end: int


class Terms:
    """All terms of a policy, as needles each with its owner's number: whose of them occur in a text."""

    __slots__ = ("_disguised", "_plain")

    def __init__(self, owned: Iterable[tuple[Needle, int]]) -> None:
        of_form: dict[FormName, dict[str, list[_Owner]]] = {}
        for needle, owner in owned:
            owners = of_form.setdefault(needle.form, {}).setdefault(needle.text, [])
            owners.append(_Owner(owner, needle.spelled))
        automata = [(form, _OfForm(form, of_form[form])) for form in FORM_NAMES if form in of_form]
        self._plain = [(form, automaton) for form, automaton in automata if form in PLAIN_FORMS]
        self._disguised = [(form, automaton) for form, automaton in automata if form not in PLAIN_FORMS]

    def owners_in(self, forms: Forms) -> set[int]:
        """The owners of all terms that occur."""
        found: set[int] = set()
        for form, automaton in self._plain:
            automaton.add_plain(forms.folded.text if form == "folded" else forms.words, found)
        # Most texts have none of the forms in which evasion is undone.
        if self._disguised and forms.undone is not None:
            for form, automaton in self._disguised:
                if (text := forms.text_of(form)) is not None:
                    automaton.add_disguised(text, forms, found)
        return found

    def places(self, forms: Forms) -> Iterator[Place]:
        """Every occurrence of every term: for explanations. `forms.span` leads back to the original."""
        for form, automaton in (*self._plain, *self._disguised):
            if (text := forms.text_of(form)) is not None:
                yield from automaton.places(text, forms)

    def first_places(self, forms: Forms) -> Iterator[Place]:
        """Of each form the occurrence that ends first: this takes no longer than triage does."""
        for form, automaton in (*self._plain, *self._disguised):
            if (text := forms.text_of(form)) is not None:
                yield from islice(automaton.places(text, forms), 1)


class _Owner(NamedTuple):
    number: int
    spelled: str


class _OfForm:
    """The needles of one form."""

    __slots__ = ("_automaton", "_form", "_numbers", "_owners")

    def __init__(self, form: FormName, needles: dict[str, list[_Owner]]) -> None:
        self._form = form
        self._owners = [tuple(dict.fromkeys(owners)) for owners in needles.values()]
        self._numbers = [frozenset(owner.number for owner in owners) for owners in self._owners]
        size = sum(len(needle.encode("utf-8", "surrogatepass")) for needle in needles)
        self._automaton = AhoCorasick(
            list(needles),
            implementation=Implementation.DFA if size <= DFA_BYTES_MAX else Implementation.ContiguousNFA,
        )

    def add_plain(self, text: str, found: set[int]) -> None:
        """What is found in a plain form counts, wherever it stands."""
        if hits := self._automaton.find_matches_as_indexes(text, overlapping=True):
            found.update(*[self._numbers[hit] for hit in {hit for hit, _, _ in hits}])

    def add_disguised(self, text: str, forms: Forms, found: set[int]) -> None:
        """What is found in the others counts where evasion was undone."""
        if (admits := forms.admitting(self._form)) is None:
            self.add_plain(text, found)
            return
        for hit, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True):
            for owner, spelled in self._owners[hit]:
                # Whose term was found already need not be looked at: texts may repeat a word for ever.
                if owner not in found and admits(start, end, spelled):
                    found.add(owner)

    def places(self, text: str, forms: Forms) -> Iterator[Place]:
        admits = forms.admitting(self._form)
        for hit, start, end in self._automaton.find_matches_as_indexes(text, overlapping=True):
            for owner, spelled in self._owners[hit]:
                if admits is None or admits(start, end, spelled):
                    yield Place(owner, self._form, start, end)


def needles(term: str, *, whole_words: bool = True, evasion: bool = False) -> tuple[Needle, ...]:
    """What a term is in each form where it is looked for; none if nothing of it could be found.

    With `evasion` it is looked for, besides, where it was written so as not to be found.
    """
    folded = fold(term).text
    if whole_words:
        form: FormName = "words"
        plain = as_whole_words(words_form(folded).strip())
    else:
        form, plain = "folded", folded.strip()
    if not plain:
        return ()
    return (Needle(form, plain, plain), *(_evasion_needles(term, whole_words=whole_words) if evasion else ()))


def _evasion_needles(term: str, *, whole_words: bool) -> Iterator[Needle]:
    """A term as its words are, and as they are seen: of several words each may be in disguise or not."""
    words = words_of(base_of(term))
    seen = [word.replace(GONE, "") for word in words.seen]
    # A mark that is only drawn upon letters is seen as nothing, and that is found everywhere.
    for read in filter(None, dict.fromkeys(" ".join(one) for one in (words.plain, seen))):
        spelled = as_whole_words(read) if whole_words else read
        text = one_symbol(spelled)
        yield Needle("evaded", text, spelled)
        yield Needle("squeezed", squeeze(text), spelled)
    if len(letters := "".join(seen)) >= APART_MIN:
        yield Needle("apart", one_symbol(letters), letters)
    elif letters:
        # `I b u y`: a word of one letter before those that stand apart.
        yield from (Needle("apart", one_symbol(f" {word}{letters} "), letters) for word in "ai")


class BadPattern(Exception):
    """A pattern that RE2 does not take; the message is RE2's reason."""


class Automaton:
    """A set of patterns: which of them occur in a text."""

    def __init__(self, patterns: Sequence[str]) -> None:
        # Made here, where nobody waits, and not at the first text that needs it.
        words_form("\u00e9")
        self._count = len(patterns)
        self._set = re2.Set.SearchSet(_options(AUTOMATON_BYTES_MAX))
        try:
            for pattern in patterns:
                self._set.Add(pattern)
            # This fails, too, where there would be no room to run the set: a search never runs out of memory.
            self._set.Compile()
        except re2.error:
            raise BadPattern(f"all together they take more than {AUTOMATON_BYTES_MAX >> 20} MiB") from None

    def __len__(self) -> int:
        return self._count

    def hits(self, text: str | bytes) -> Sequence[int]:
        """The numbers of the patterns that occur, ascending; the text may be in UTF-8 already."""
        # To RE2 a set without patterns has one.
        found: list[int] | None = self._set.Match(text) if self._count else None
        return sorted(found) if found else ()


def check_pattern(pattern: str) -> None:
    """Raise `BadPattern` for what RE2 does not take."""
    try:
        re2.compile(pattern, _options(PATTERN_BYTES_MAX))
    except re2.error as problem:
        raise BadPattern(_reason(problem)) from None


def span_of(pattern: str, text: str) -> tuple[int, int] | None:
    """Where a pattern first occurs."""
    match = re2.compile(pattern, _options(AUTOMATON_BYTES_MAX)).search(text)
    return None if match is None else match.span()


def _options(bytes_max: int) -> re2.Options:
    options = re2.Options()
    # It would write to stderr, and quote the pattern there.
    options.log_errors = False
    # Texts come folded; a capital in a pattern would never match.
    options.case_sensitive = False
    options.max_mem = bytes_max
    return options


def _reason(problem: Exception) -> str:
    said = problem.args[0] if problem.args else ""
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)
