"""The nodes that are asked, and how long their own account says that a request takes.

Three sequential nodes, each a reference node with one slot. An engine with its prefix cached, in the manner
of Ollama (30 ms a request, 15 ms a written token); the same where other prompts evict the prefix each time;
and the one behind the usual recipe (2 s for a post, 3 s for ten), ten times as fast.
"""

from __future__ import annotations

from typing import NamedTuple

from infra.nodes.reference.pricing import service_ms
from schemas.settings import ReferenceNodeSettings
from streams.core.tokens import estimated_message_tokens

SINGLE_TOKENS = 11
"""`{"labels":[{"name":"none","percent":97}]}` in the reference node's tokens."""
PACKED_TOKENS = 6
"""`"k7f2q":["none",97],` in the same."""
SENTINELS = 2


class Sort(NamedTuple):
    """A sort of node."""

    name: str
    settings: ReferenceNodeSettings


SORTS = (
    Sort(
        "prefix cached",
        ReferenceNodeSettings(slots=1, alpha_ms=30, beta_ms=0, prompt_token_us=300, output_token_us=15_000),
    ),
    Sort(
        "prefix not cached",
        ReferenceNodeSettings(
            slots=1,
            alpha_ms=30,
            beta_ms=0,
            prompt_token_us=300,
            output_token_us=15_000,
            cached_prefixes_max=0,
        ),
    ),
    Sort(
        "the usual recipe, x 10",
        ReferenceNodeSettings(slots=1, alpha_ms=180, beta_ms=0, prompt_token_us=20, output_token_us=1_600),
    ),
)


class Sizes(NamedTuple):
    """What a request holds, in bytes: of the system prompt, and of a post, with what stands around it."""

    single_system: str
    packed_system: str
    post: str
    slot: str


def request_ms(sort: Sort, sizes: Sizes, posts: int, *, is_packed: bool) -> float:
    """What the node's own account says of a request about so many posts, each with one label in its answer.

    Reckoned from the model alone: no request is made, and the sentinels are in it.
    """
    slots = posts + SENTINELS if is_packed else posts
    system = sizes.packed_system if is_packed else sizes.single_system
    content = f"[{','.join([sizes.slot] * slots)}]" if is_packed else sizes.post
    prompt = estimated_message_tokens(content)
    if not sort.settings.cached_prefixes_max:
        prompt += estimated_message_tokens(system)
    output = 1 + PACKED_TOKENS * slots if is_packed else SINGLE_TOKENS
    return service_ms(sort.settings, busy=1, uncached_tokens=prompt, output_tokens=output)


def best_ms(sort: Sort, sizes: Sizes, posts: int, size: int) -> float:
    """The least time for so many posts in packs of at most so many, or alone: over every way to part them."""
    single_ms = request_ms(sort, sizes, 1, is_packed=False)
    least = [0.0]
    for number in range(1, posts + 1):
        packed = [
            least[number - taken] + request_ms(sort, sizes, taken, is_packed=True)
            for taken in range(2, min(size, number) + 1)
        ]
        least.append(min([least[number - 1] + single_ms, *packed]))
    return least[posts]
