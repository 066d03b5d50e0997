"""Which verdict counts: for consumers of `verdicts`, which read some of them twice and others in vain.

Nothing here knows Kafka: feed it what a consumer decodes, in the order of the log.
"""

from __future__ import annotations

from collections import OrderedDict

from schemas.verdict import Verdict


class EffectiveVerdicts:
    """Knows the highest `rev` seen of each (tenant, id, content digest), for the `keys_max` seen last.

    A partition read again from an earlier offset changes nothing. What was forgotten counts as new when it is
    read once more, so `keys_max` should exceed the events between two commits of the consumer; who may never
    act twice keeps the highest `rev` in a database instead, and upserts where the new one is greater.
    """

    def __init__(self, keys_max: int = 100_000) -> None:
        if keys_max < 1:
            raise ValueError(f"keys_max must be at least 1, not {keys_max}")
        self._keys_max = keys_max
        self._revs: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    def add(self, verdict: Verdict) -> bool:
        """Whether this verdict is the effective one from now on."""
        key = (verdict.tenant, verdict.id, verdict.content_digest)
        known = self._revs.get(key, 0)
        self._revs[key] = max(known, verdict.rev)
        self._revs.move_to_end(key)
        if len(self._revs) > self._keys_max:
            self._revs.popitem(last=False)
        return verdict.rev > known

    def __len__(self) -> int:
        return len(self._revs)

    def __repr__(self) -> str:
        return f"<EffectiveVerdicts [{len(self._revs)} of at most {self._keys_max} keys]>"
