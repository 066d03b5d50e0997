"""How many tokens a text is, roughly: for estimates of cost and time, never for limits that must hold.

An exact count needs the tokenizer of the model that will answer, which we do not have. The estimate is
wrong by a third at most for common tokenizers on prose, and it is the same on every machine.
"""

from __future__ import annotations

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
