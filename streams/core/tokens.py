"""How many tokens a text is, roughly: for estimates of cost and time, never for limits that must hold.

An exact count needs the tokenizer of the model that will answer, which we do not have. The estimate is
wrong by a third at most for common tokenizers on prose, and it is the same on every machine.
"""

from __future__ import annotations

from schemas.event import Event, texts_of

BYTES_PER_TOKEN = 4
"""English prose has about 4.2 bytes to a token in the usual vocabularies; other scripts have more bytes
a token and more tokens a word, which in UTF-8 bytes comes to between 3 and 5."""

TOKENS_PER_MESSAGE = 4
"""Role markers and separators that a chat template puts around each message."""


def estimated_tokens(text: str) -> int:
    """Tokens of one text; at least 1, unless it is empty."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def estimated_message_tokens(text: str) -> int:
    """Tokens of one chat message, with what its template adds."""
    return estimated_tokens(text) + TOKENS_PER_MESSAGE


WORK_BEYOND_TEXT = 64
"""What a question costs beside its text: markers, and an answer of some thirty tokens that are written one by
one. The policy before it is cached.
"""


def estimated_work(event: Event) -> int:
    """What a question about an event costs, in tokens; by characters, since it is asked of every event."""
    return WORK_BEYOND_TEXT + sum([len(text) for _, text in texts_of(event)]) // BYTES_PER_TOKEN
