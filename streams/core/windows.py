"""Long content in pieces that a model's context holds: the head, the tail, a middle that nobody can foresee.

What is left out is said as coverage, never passed over: an engine that cuts silently would let anybody hide a
violation behind the limit. Where chance comes in, it is an argument; it must not be one that an author can
guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, assert_never

import msgspec

from schemas.event import AnalyzeUser, Event, HealthCheck, Moderate, ReviewBan, Scan
from schemas.verdict import ScoredLabel
from streams.core.answers import Judgement, by_score, certainty

WINDOWS_MAX = 3
"""Of one text: each costs a request, and three times a slot's context is the most that an event may hold."""

BYTES_PER_TOKEN = 3
"""A whole character of Chinese, three quarters of a token of English: most texts need fewer tokens than
this says, and for those that need more the engine refuses, and the window is narrowed."""

ENVELOPE_TOKENS = 64
"""What stands around the content beside the prompt: the JSON that it is put in, and what a chat template
writes around each message."""

WINDOW_BYTES_MIN = 512


class Views(NamedTuple):
    """What is shown of an event: as events of their own, and the share of the content in them."""

    events: tuple[Event, ...]
    coverage: float = 1.0


def window_bytes(
    context_tokens: int,
    overhead_bytes: int,
    output_tokens_max: int,
    bytes_per_token: int = BYTES_PER_TOKEN,
) -> int:
    """The bytes of content for which a context has room."""
    left = context_tokens - output_tokens_max - overhead_bytes // bytes_per_token - ENVELOPE_TOKENS
    return max(WINDOW_BYTES_MIN, left * bytes_per_token)


def views_of(event: Event, bytes_max: int, draw: float) -> Views:
    """The event in windows of at most so many bytes; `draw` from 0 to below 1 places the middle one."""
    match event:
        case Moderate() | Scan():
            around = sum(len(value.encode()) for value in event.context.values())
            return _of_text(event, max(WINDOW_BYTES_MIN, bytes_max - around), draw)
        case ReviewBan():
            texts, coverage = _some_of(event.evidence, bytes_max, draw)
            return Views((msgspec.structs.replace(event, evidence=texts),), coverage)
        case AnalyzeUser():
            texts, coverage = _some_of(event.posts, bytes_max, draw)
            return Views((msgspec.structs.replace(event, posts=texts),), coverage)
        case HealthCheck():
            texts, coverage = _some_of(event.samples, bytes_max, draw)
            return Views((msgspec.structs.replace(event, samples=texts),), coverage)
        case _:
            assert_never(event)


def worst_of(judgements: Sequence[Judgement]) -> Judgement:
    """What the windows of one post amount to: of each label its highest score, of the rest the least."""
    first, *others = judgements
    if not others:
        return first
    scores: dict[str, float] = {}
    for judgement in judgements:
        for label in judgement.labels:
            scores[label.name] = max(label.score, scores.get(label.name, 0.0))
    return first._replace(
        labels=by_score(tuple(ScoredLabel(name=name, score=score) for name, score in scores.items())),
        confidence=certainty(max(scores.values()))
        if scores
        else min(judgement.confidence for judgement in judgements),
        mass=min(judgement.mass for judgement in judgements),
    )


def _of_text(event: Moderate | Scan, bytes_max: int, draw: float) -> Views:
    text = event.text.encode()
    if len(text) <= bytes_max:
        return Views((event,))
    spans = [_whole_characters(text, *span) for span in _spans(len(text), bytes_max, draw)]
    events = tuple(msgspec.structs.replace(event, text=text[start:end].decode()) for start, end in spans)
    return Views(events, round(_covered(spans) / len(text), 4))


def _spans(length: int, bytes_max: int, draw: float) -> list[tuple[int, int]]:
    """Where the windows begin and end: spread evenly and overlapping, as long as they cover everything."""
    windows = -(-length // bytes_max)
    if windows <= WINDOWS_MAX:
        step = (length - bytes_max) / (windows - 1)
        starts = [round(number * step) for number in range(windows)]
    else:
        room = length - 3 * bytes_max
        starts = [0, bytes_max + int(draw * (room + 1)), length - bytes_max]
    return [(start, start + bytes_max) for start in starts]


def _whole_characters(text: bytes, start: int, end: int) -> tuple[int, int]:
    """The span without the halves of characters at its ends."""
    while start < len(text) and text[start] & 0xC0 == 0x80:
        start += 1
    while end < len(text) and text[end] & 0xC0 == 0x80:
        end -= 1
    return start, end


def _covered(spans: Sequence[tuple[int, int]]) -> int:
    covered, reached = 0, 0
    for start, end in sorted(spans):
        covered += max(0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def _some_of(texts: tuple[str, ...], bytes_max: int, draw: float) -> tuple[tuple[str, ...], float]:
    """As many of several texts as fit, in their order: from both ends, then from a random place on.

    One that is longer than a quarter of the room shows its head alone, so that none keeps out all others.
    """
    each_max = max(WINDOW_BYTES_MIN, bytes_max // 4)
    total = sum(len(text.encode()) for text in texts)
    if total <= bytes_max:
        return texts, 1.0
    kept: dict[int, str] = {}
    left = bytes_max
    for index in _order(len(texts), draw):
        head = texts[index].encode()[:each_max].decode(errors="ignore")
        if (size := len(head.encode())) <= left:
            kept[index] = head
            left -= size
    shown = tuple(kept[index] for index in sorted(kept))
    return shown, round(sum(len(text.encode()) for text in shown) / total, 4)


def _order(count: int, draw: float) -> list[int]:
    """The first, the last, then round from a random place."""
    start = int(draw * count)
    return list(dict.fromkeys((0, count - 1, *range(start, count), *range(start))))
