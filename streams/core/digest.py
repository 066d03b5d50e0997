"""What a text is, what was asked about it, under which document, and which verdict that makes: the digests.

All are BLAKE2b of 16 bytes, in hex. Before the fields stand their number and their lengths, so that no two
different lists of fields are the same bytes. Keyed with the deployment's secret, a content digest cannot be
guessed from a text by whoever reads `pending`. The bytes hashed here are for ever: golden tests hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b
from struct import Struct, pack
from typing import Literal, NamedTuple, assert_never

from schemas.event import AnalyzeUser, Event, HealthCheck, Moderate, ReviewBan, Scan
from schemas.policy import Policy
from schemas.wire import encode
from streams.core.normalise import digest_form, utf8

Scope = Literal["tenant", "deployment"]
"""Whose copies of a text are the same text: one tenant's, or all of the deployment's."""

DIGEST_BYTES = 16
KEY_BYTES_MAX = 64

# BLAKE2b keeps digests of different purposes apart by a name of up to 16 bytes.
_CONTENT = b"penstock/content"
_QUESTION = b"penstock/asked"
_POLICY = b"penstock/policy"
_VERDICT = b"penstock/verdict"


class Asked(NamedTuple):
    """How a question was put: what can change an answer while content and policy stay the same."""

    prompt: bytes
    model: str
    output_schema: bytes
    output_tokens_max: int
    temperature: float = 0.0


def content_digest(event: Event, *, secret: bytes, scope: Scope) -> str:
    """What the event's content is, as far as a judge may tell two contents apart.

    Not in it: id, author, language, deadline, policy. In it raw: everything but the text; and the text, too,
    where its digest form leaves something out: a hidden payload never shares an answer with clean text.
    """
    form = digest_form(event.text)
    fields = [
        utf8(event.tenant) if scope == "tenant" else b"",
        scope.encode(),
        event.kind.encode(),
        form.data,
        b"" if form.is_whole else utf8(event.text),
        _framed(utf8(part) for name in sorted(event.context) for part in (name, event.context[name]))
        if event.context
        else _NOTHING,
        *_further_fields(event),
    ]
    return blake2b(_framed(fields), digest_size=DIGEST_BYTES, key=_key(secret), person=_CONTENT).hexdigest()


def question_digest(content: str, policy: str, asked: Asked, *, secret: bytes) -> str:
    """What was asked about a content, given the digests of both the content and the policy document."""
    fields = [
        content.encode(),
        policy.encode(),
        asked.prompt,
        utf8(asked.model),
        asked.output_schema,
        pack(">qd", asked.output_tokens_max, asked.temperature),
    ]
    return blake2b(_framed(fields), digest_size=DIGEST_BYTES, key=_key(secret), person=_QUESTION).hexdigest()


def policy_digest(policy: Policy) -> str:
    """Under which digest a document is published."""
    return document_digest(encode(policy))


def document_digest(document: bytes) -> str:
    """The digest of a policy document as it was published; without a key, so that everybody can check it."""
    return blake2b(document, digest_size=DIGEST_BYTES, person=_POLICY).hexdigest()


def verdict_id(tenant: str, event_id: str, content: str, rev: int) -> str:
    """The name of a verdict: the same for every repetition of it."""
    fields = [utf8(tenant), utf8(event_id), content.encode(), pack(">q", rev)]
    return blake2b(_framed(fields), digest_size=DIGEST_BYTES, person=_VERDICT).hexdigest()


def _further_fields(event: Event) -> list[bytes]:
    """What some kinds have besides a text, as they came: nothing there is worth sharing an answer for."""
    match event:
        case Moderate() | Scan():
            return []
        case ReviewBan():
            return [utf8(event.account), utf8(event.ground), _framed(utf8(text) for text in event.evidence)]
        case AnalyzeUser():
            return [utf8(event.account), _framed(utf8(post) for post in event.posts)]
        case HealthCheck():
            figures = sorted(event.aggregates.items())
            named = (part for name, value in figures for part in (utf8(name), pack(">d", value)))
            return [_framed(named), _framed(utf8(sample) for sample in event.samples)]
        case _:
            assert_never(event)


def _framed(fields: Iterable[bytes]) -> bytes:
    """Fields one after the other, and before them how many there are and how long each is."""
    parts = list(fields)
    return _numbers(len(parts) + 1)(len(parts), *map(len, parts)) + b"".join(parts)


@lru_cache(maxsize=64)
def _numbers(count: int) -> Callable[..., bytes]:
    """Writes so many numbers."""
    return Struct(f">{count}I").pack


_NOTHING = _framed(())


def _key(secret: bytes) -> bytes:
    """BLAKE2b takes a key of up to 64 bytes; a longer secret enters as its own hash."""
    return secret if len(secret) <= KEY_BYTES_MAX else blake2b(secret).digest()
