"""What `penstock cache` does: asks the workers, reads the changelog, or gives the order to forget."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from infra.clients import reach
from infra.errors import ExitCode, Failure
from infra.memos import find, told
from infra.orders import give, purge, standing_orders
from infra.running import worker_statuses
from infra.settings import load
from schemas.control import Control, PurgeAbout
from schemas.event import Moderate, Scan
from schemas.settings import Settings
from streams.clock import SystemClock
from streams.core.digest import content_digest
from streams.core.orders import CUTS_TOLD_MAX
from streams.observing import MemoryStatus
from streams.ports import MemoryStats

_DIGEST = re.compile(r"[0-9a-f]{32}")
_SPAN = re.compile(r"([0-9]{1,6})([smhd])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VALUE_CHARS_MAX = 200


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    settings = load(args).settings
    match args.what:
        case "stats":
            _stats(settings, as_json=args.json)
        case "lookup":
            _look_up(settings, args)
        case "forget":
            _give([("digest", _digest(digest)) for digest in args.digest], settings, span_ms=0)
        case _:
            _give(
                [purged(args)], settings, span_ms=0 if args.older_than is None else span_ms(args.older_than)
            )
    return ExitCode.OK


# -- stats --------------------------------------------------------------------------------------------------


def _stats(settings: Settings, *, as_json: bool) -> None:
    statuses = {
        name: status.memory
        for name, status in worker_statuses(Path(settings.data_dir)).items()
        if status is not None and status.memory is not None
    }
    if not statuses:
        raise Failure(
            f"No worker that remembers runs for the data directory {settings.data_dir}: start everything "
            "with `penstock up`, or one with `penstock worker`; see also the setting memory.enabled.",
            exit_code=ExitCode.NOT_RUNNING,
        )
    if as_json:
        print(msgspec.json.encode(statuses).decode())
    else:
        print(*figures(list(statuses.values())), sep="\n")


def figures(statuses: Sequence[MemoryStatus]) -> Iterator[str]:
    """What several workers remember together, as lines."""
    each = [status.figures for status in statuses]
    memory, disk, misses = (_sum(each, name) for name in ("hits_memory", "hits_disk", "misses"))
    asked = memory + disk + misses
    yield f"remembered {_sum(each, 'entries')} answers in {_sum(each, 'bytes') / 1e6:.1f} MB"
    yield (
        f"asked      {asked}: {_share(memory, asked)} answered from memory, {_share(disk, asked)} from disk, "
        f"{_share(misses, asked)} unknown"
    )
    yield f"let go     {_sum(each, 'expired')} expired, {_sum(each, 'evicted')} for room"
    if read_only := sum(one.read_only for one in each):
        workers = f"{read_only} of {len(each)} workers"
        yield f"READ-ONLY  on {workers}: nothing new is kept on disk, and the log says why"


def _sum(each: Sequence[MemoryStats], name: str) -> int:
    return sum(getattr(one, name) for one in each)


def _share(count: int, whole: int) -> str:
    return f"{count} ({count / whole:.1%})" if whole else str(count)


# -- lookup -------------------------------------------------------------------------------------------------


def _look_up(settings: Settings, args: argparse.Namespace) -> None:
    digest = _digest(args.digest) if args.digest is not None else _digest_of(settings, args)
    cluster = reach(settings)
    cuts = standing_orders(settings, cluster).cuts
    found = find(settings, cluster, digest, cuts, SystemClock().wall_ms())
    for one in found:
        print(msgspec.json.encode(one).decode() if args.json else "\n".join(told(one)))
    if not found:
        # On stderr: what is counted or parsed has no line.
        print(f"Nothing is remembered about {digest}.", file=sys.stderr)


def _digest_of(settings: Settings, args: argparse.Namespace) -> str:
    if not args.text:
        raise Failure("--text must not be empty.", exit_code=ExitCode.USAGE)
    if not _TENANT.fullmatch(args.tenant):
        raise Failure(
            "--tenant takes 1 to 64 letters, digits, `_`, `.` or `-`, the first a letter or a digit.",
            exit_code=ExitCode.USAGE,
        )
    shape = Scan if args.kind == "scan" else Moderate
    event = shape(v=1, id="looked-up", text=args.text, tenant=args.tenant)
    return content_digest(event, secret=settings.secret.reveal().encode(), scope="tenant")


def _digest(said: str) -> str:
    if not _DIGEST.fullmatch(said):
        raise Failure(
            "--digest takes 32 hexadecimal digits, such as `content_digest` in a verdict.",
            exit_code=ExitCode.USAGE,
        )
    return said


# -- forget and purge ---------------------------------------------------------------------------------------


def purged(args: argparse.Namespace) -> tuple[PurgeAbout, str]:
    """Which answers are to be forgotten."""
    if args.policy is not None:
        return "policy", _value("--policy", args.policy)
    if args.model is not None:
        return "model", _value("--model", args.model)
    if args.all or args.older_than is not None:
        return "all", ""
    raise Failure(
        "Say which answers: --policy ID, --model NAME, --older-than SPAN, or --all.",
        exit_code=ExitCode.USAGE,
    )


def span_ms(said: str) -> int:
    """A span of time as people write it."""
    match = _SPAN.fullmatch(said)
    if match is None:
        raise Failure("--older-than takes a number and a unit: 90s, 30m, 2h, 7d.", exit_code=ExitCode.USAGE)
    return int(match[1]) * _UNIT_MS[match[2]]


def _value(flag: str, said: str) -> str:
    # What is not UTF-8 on a command line comes as lone surrogates.
    if not 0 < len(said) <= _VALUE_CHARS_MAX or not said.isprintable():
        raise Failure(f"{flag} takes 1 to {_VALUE_CHARS_MAX} printable characters.", exit_code=ExitCode.USAGE)
    return said


def _give(subjects: Sequence[tuple[PurgeAbout, str]], settings: Settings, *, span_ms: int) -> None:
    if len(subjects) > CUTS_TOLD_MAX:
        raise Failure(f"At most {CUTS_TOLD_MAX} digests at a time.", exit_code=ExitCode.USAGE)
    clock = SystemClock()
    standing = standing_orders(settings, reach(settings)).cuts
    before_ms = clock.wall_ms() - span_ms
    orders: list[Control] = [purge(about, value, before_ms, clock, standing) for about, value in subjects]
    print(f"forgotten: {give(orders, settings)}")
