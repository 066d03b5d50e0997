"""What operators have had forgotten: cut-offs, each refusing all answers of one sort that are older than it.

A cut names a moment rather than entries, so it also refuses what comes in later and was judged before it.
Whoever remembers asks `Cuts.refuses`; who gives a cut is `streams.core.orders`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple, assert_never

from schemas.control import PurgeAbout
from schemas.memory import Memo

CUTS_MAX = 1_000
"""So many are kept by themselves; digests that are forgotten one by one would otherwise pile up for ever."""

_NEVER_MS = -(1 << 63)


class Cut(NamedTuple):
    """Refuses what was judged before a moment."""

    about: PurgeAbout
    value: str
    """The digest (of a content or a question), the policy's id, or the model's name; empty for `all`."""
    before_ms: int

    @property
    def subject(self) -> str:
        """What it is about; of one subject only the latest moment counts."""
        return f"{self.about}/{self.value}" if self.value else self.about

    def matches(self, memo: Memo) -> bool:
        """Whether it refuses this answer."""
        return memo.judged_at_ms < self.before_ms and self._is_about(memo)

    def _is_about(self, memo: Memo) -> bool:
        match self.about:
            case "digest":
                return self.value in (memo.content_digest, memo.question_digest)
            case "policy":
                return self.value == memo.policy.id
            case "model":
                return memo.model is not None and self.value == memo.model.name
            case "all":
                return True
            case _:
                assert_never(self.about)


@dataclass(frozen=True, slots=True)
class Cuts:
    """The cuts in force; asking costs the same however many there are."""

    # The subject given last stands last.
    _in_force: dict[tuple[PurgeAbout, str], int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._in_force)

    def __repr__(self) -> str:
        return f"<Cuts {len(self)} in force>"

    def after(self, cut: Cut, *, cuts_max: int = CUTS_MAX) -> Cuts:
        """What holds once this cut was given. None ever moves back in time, whatever was given later.

        Past the bound the oldest one becomes a cut of everything: to forget too much costs inferences, to
        forget too little would be wrong.
        """
        in_force = dict(self._in_force)
        before_ms = max(cut.before_ms, in_force.pop((cut.about, cut.value), _NEVER_MS))
        in_force[cut.about, cut.value] = before_ms
        while len(in_force) > cuts_max:
            oldest = min((one for one in in_force if one[0] != "all"), key=in_force.__getitem__)
            widened_ms = max(in_force.pop(oldest), in_force.pop(("all", ""), _NEVER_MS))
            in_force["all", ""] = widened_ms
        return Cuts(in_force)

    def before_ms(self, about: PurgeAbout, value: str = "") -> int | None:
        """The moment of one subject; None where it was never cut."""
        return self._in_force.get((about, value))

    def refuses(self, memo: Memo) -> bool:
        """Whether any of them does."""
        return bool(self._in_force) and memo.judged_at_ms < self._latest_ms(memo)

    def newest(self, count: int) -> tuple[Cut, ...]:
        """Those that were given last, the latest first."""
        return tuple(
            Cut(about, value, before_ms)
            for (about, value), before_ms in islice(reversed(self._in_force.items()), count)
        )

    def _latest_ms(self, memo: Memo) -> int:
        """The latest moment that any of them names for this answer."""
        get = self._in_force.get
        return max(
            get(("all", ""), _NEVER_MS),
            get(("digest", memo.content_digest), _NEVER_MS),
            get(("digest", memo.question_digest), _NEVER_MS),
            get(("policy", memo.policy.id), _NEVER_MS),
            get(("model", memo.model.name), _NEVER_MS) if memo.model else _NEVER_MS,
        )
