"""What our bounds and error reports cost: the wire module beside msgspec on structs that hold anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from infra.bench.measuring import Prepare, cpu_us_per_event
from infra.bench.posts import posts
from infra.bench.report import Finding
from schemas.settings import LimitSettings
from schemas.wire import check_text, encode, event_decoder

_EVENTS = 5_000
_ROUNDS = 9
# Seen 3.5 to 4.8, that is 1.5 us for a post: two patterns (id and tenant), which msgspec has Python's `re`
# look for, are a third of it; a call around the decoder and looks at lengths are most of the rest.
_DECODE_RATIO_MAX = 6.0
# The same C code on the same fields.
_ENCODE_RATIO_MAX = 1.3


class _PlainPost(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag="moderate"):
    v: int
    id: str
    tenant: str = "default"
    author: str = ""
    lang: str = ""
    created_at: datetime | None = None
    context: dict[str, str] = {}
    deadline_ms: int | None = None
    probe: str = ""
    policy: str = ""
    egress: str = "forbidden"
    rejudge: Any = None
    text: str


class _PlainScan(_PlainPost, tag="scan"):
    pass


def run() -> Iterable[Finding]:
    """Decode and encode the same posts both ways."""
    values = posts(_EVENTS)
    yield Finding(what="size of a post", ours=sum(map(len, values)) / len(values), unit="bytes")
    plain = msgspec.json.Decoder(_PlainPost | _PlainScan).decode
    yield _beside("decode and check", _checked_decoder(), plain, values, _DECODE_RATIO_MAX)
    yield _beside(
        "encode",
        _over([event_decoder(1 << 20)(value) for value in values], encode),
        _over([plain(value) for value in values], msgspec.json.Encoder().encode),
        range(_EVENTS),
        _ENCODE_RATIO_MAX,
    )


def _checked_decoder() -> Callable[[bytes], object]:
    limits = LimitSettings()
    decode = event_decoder(limits.record_bytes_max)

    def checked(value: bytes) -> object:
        event = decode(value)
        check_text(event, limits.text_bytes_max)
        return event

    return checked


def _over(things: Sequence[object], do: Callable[[Any], object]) -> Callable[[int], object]:
    return lambda at: do(things[at])


def _beside(
    what: str,
    ours: Callable[[Any], object],
    plain: Callable[[Any], object],
    inputs: Sequence[object],
    ratio_max: float,
) -> Finding:
    found = cpu_us_per_event({"ours": _each(ours, inputs), "plain": _each(plain, inputs)}, rounds=_ROUNDS)
    return Finding(what=what, ours=found["ours"], peer=found["plain"], unit="us", target=ratio_max)


def _each(do: Callable[[Any], object], inputs: Sequence[object]) -> Prepare:
    def timed() -> int:
        for one in inputs:
            do(one)
        return len(inputs)

    return lambda: timed
