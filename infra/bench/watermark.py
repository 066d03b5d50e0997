"""What it costs to know which offset may be committed, beside the simplest account that is right.

That account is a set of settled offsets and a mark that moves while the next offset is in it. It knows
neither when a record came nor how many bytes wait, which ours is asked for, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random

from infra.bench.measuring import Timed, cpu_us_per_event
from infra.bench.report import Finding
from streams.core.watermark import Watermark

# A fetch of the engine's default size, and as many of them under way as a busy partition has.
_BATCH = 500
_BATCHES = 40
_ROUNDS = 15
# Bulk is the fast path's way: one step for a batch, so next to nothing for a record.
_BULK_US_MAX = 0.5
# One by one, each record is a look-up in its own batch and two sums beside those of the set: seen 2 to 3
# times the set's cost, under a microsecond for a record that had to wait for a model.
_SCATTERED_RATIO_MAX = 6.0


def run() -> Iterable[Finding]:
    """Settle batches whole, and records one by one in an order of chance."""
    bulk = cpu_us_per_event({"ours": _in_bulk, "set": _set_in_order}, rounds=_ROUNDS)
    yield Finding(what="in bulk, per record", ours=bulk["ours"], unit="us", target=_BULK_US_MAX)
    yield Finding(what="in bulk, beside a set", ours=bulk["ours"], peer=bulk["set"], unit="us", target=1.0)
    scattered = cpu_us_per_event({"ours": _scattered, "set": _set_scattered}, rounds=_ROUNDS)
    yield Finding(
        what="out of order, beside a set",
        ours=scattered["ours"],
        peer=scattered["set"],
        unit="us",
        target=_SCATTERED_RATIO_MAX,
    )


def _in_bulk() -> Timed:
    batches = _batches()

    def timed() -> int:
        watermark = Watermark(at_ms=0.0)
        for offsets in batches:
            span = watermark.fetched(offsets, size_bytes=_BATCH, at_ms=1.0)
            watermark.settle_all(span, at_ms=2.0)
        return _moved(watermark.position)

    return timed


def _scattered() -> Timed:
    batches, order = _batches(), _order()

    def timed() -> int:
        watermark = Watermark(at_ms=0.0)
        spans = [watermark.fetched(offsets, size_bytes=_BATCH, at_ms=1.0) for offsets in batches]
        for offset in order:
            watermark.settle(spans[offset // _BATCH], offset, at_ms=2.0)
        return _moved(watermark.position)

    return timed


class _SetMark:
    """The peer."""

    def __init__(self) -> None:
        self.mark = 0
        self._settled: set[int] = set()

    def settle(self, offset: int) -> None:
        self._settled.add(offset)
        while self.mark in self._settled:
            self._settled.remove(self.mark)
            self.mark += 1


def _set_in_order() -> Timed:
    return _with_a_set(range(_BATCH * _BATCHES))


def _set_scattered() -> Timed:
    return _with_a_set(_order())


def _with_a_set(order: Sequence[int]) -> Timed:
    def timed() -> int:
        peer = _SetMark()
        for offset in order:
            peer.settle(offset)
        return _moved(peer.mark)

    return timed


def _batches() -> list[list[int]]:
    return [list(range(first, first + _BATCH)) for first in range(0, _BATCH * _BATCHES, _BATCH)]


def _order() -> list[int]:
    order = list(range(_BATCH * _BATCHES))
    Random(0).shuffle(order)  # noqa: S311  The same disorder each time.
    return order


def _moved(mark: int | None) -> int:
    if mark != _BATCH * _BATCHES:
        raise AssertionError(f"the watermark stands at {mark}, not at the end")
    return mark
