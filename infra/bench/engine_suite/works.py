"""What is done with a record: nothing but a copy, or what a fast path does at least. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from hashlib import sha256

import msgspec
import re2

from infra.bench.engine_suite.jobs import Work

_PATTERNS = 500
_VERDICT_BYTES = 200


class _Post(msgspec.Struct):
    id: str
    text: str
    author: str
    tenant: str = "default"


class _Verdict(msgspec.Struct):
    id: str
    tenant: str
    action: str
    digest: str
    rules: list[int]
    padding: str = ""


def worker(work: Work) -> Callable[[bytes], bytes]:
    """The function from a record's value to the value of its output."""
    return _triage() if work == "triage" else _copy


def _copy(value: bytes) -> bytes:
    return value


def _triage() -> Callable[[bytes], bytes]:
    decode = msgspec.json.Decoder(_Post).decode
    encode = msgspec.json.Encoder().encode
    patterns = re2.Set.SearchSet()
    for number in range(_PATTERNS):
        patterns.Add(rf"\bforbidden{number:03d}[a-z]*\s+(?:word|deed)s?\b")
    patterns.Compile()

    def triage(value: bytes) -> bytes:
        post = decode(value)
        text = unicodedata.normalize("NFKC", post.text).casefold()
        rules = patterns.Match(text)
        digest = sha256(text.encode()).hexdigest()
        verdict = encode(_Verdict(post.id, post.tenant, "block" if rules else "allow", digest, rules))
        return verdict.ljust(_VERDICT_BYTES)

    return triage
