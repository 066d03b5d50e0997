"""The memos used last, in process: the first tier of a partition's memory. Bounded; knows no time."""

from __future__ import annotations

from collections import OrderedDict

from schemas.memory import Memo


class Recent:
    """At most so many memos by their question; the one that was not used for the longest time goes first."""

    __slots__ = ("_entries", "entries_max", "evicted")

    def __init__(self, entries_max: int) -> None:
        self._entries: OrderedDict[str, Memo] = OrderedDict()
        self.entries_max = entries_max
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<Recent [{len(self)} of at most {self.entries_max}]>"

    def get(self, question: str) -> Memo | None:
        """The memo of a question, which is the one used last from now on."""
        memo = self._entries.get(question)
        if memo is not None:
            self._entries.move_to_end(question)
        return memo

    def put(self, memo: Memo) -> None:
        """Keep a memo in place of what was known of its question."""
        self._entries[memo.question_digest] = memo
        self._entries.move_to_end(memo.question_digest)
        if len(self._entries) > self.entries_max:
            self._shrink()

    def drop(self, question: str) -> None:
        """Know nothing of a question."""
        self._entries.pop(question, None)

    def bound(self, entries_max: int) -> None:
        """Keep no more than so many from now on."""
        self.entries_max = entries_max
        self._shrink()

    def clear(self) -> None:
        """Know nothing."""
        self._entries.clear()

    def _shrink(self) -> None:
        while len(self._entries) > self.entries_max:
            self._entries.popitem(last=False)
            self.evicted += 1
