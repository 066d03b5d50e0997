"""How long the reference node takes: the service time of a request, and which prompts cost less next time.

Pure. Where the figures come from is told in docs/reference-node.md.
"""

from __future__ import annotations

from collections import OrderedDict

from schemas.settings import ReferenceNodeSettings


def service_ms(
    settings: ReferenceNodeSettings, *, busy: int, uncached_tokens: int, output_tokens: int
) -> float:
    """The time in a slot of a request that makes `busy` slots busy, its own included."""
    tokens_us = settings.prompt_token_us * uncached_tokens + settings.output_token_us * output_tokens
    return settings.alpha_ms + settings.beta_ms * busy + tokens_us / 1_000


class PrefixCache:
    """Which system prompts were seen lately: their tokens are not computed again. The oldest gives way."""

    def __init__(self, prefixes_max: int) -> None:
        self._prefixes_max = prefixes_max
        self._seen: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def is_hit(self, prefix: str) -> bool:
        """Whether the prefix was seen; from now on it was."""
        if not prefix or not self._prefixes_max:
            return False
        is_known = prefix in self._seen
        self._seen[prefix] = None
        self._seen.move_to_end(prefix)
        if len(self._seen) > self._prefixes_max:
            self._seen.popitem(last=False)
        return is_known
