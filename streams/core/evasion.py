"""Undoing what is done to words so that a list of words does not find them.

A stub of the interface: nothing is undone yet.
"""

from __future__ import annotations

from typing import NamedTuple

from streams.core.normalise import Folded


class Evaded(NamedTuple):
    """The words of a text with evasion undone, a blank before and behind each."""

    text: str

    def is_evasion(self, start: int, end: int, needle: str) -> bool:
        """Whether what stands there was written so as not to be found, and may be what the needle is."""
        raise NotImplementedError

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original that a part of this form comes from."""
        raise NotImplementedError


def evaded(text: str, folded: Folded) -> Evaded | None:
    """The form in which evasion is undone, if there is any."""
    return None


def squeezed(text: str, folded: Folded, undone: Evaded | None) -> Evaded | None:
    """The form in which letters are not repeated, if there are any repeated ones."""
    return None


def evaded_term(term: str, *, whole_words: bool) -> tuple[str, ...]:
    """What of the evaded form a term is."""
    return ()


def squeezed_term(term: str, *, whole_words: bool) -> tuple[str, ...]:
    """What of the squeezed form a term is."""
    return ()
