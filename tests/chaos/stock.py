"""Shows that the fault suite bites: stock Faust, given the same events, loses some of them.

    PYTHONPATH=tests:. python -m chaos.stock

Prints a line for each of three patterns that Faust's users write; status 0 if each has lost something, and
1 if one has not (a new Faust may have healed it: then say so in `docs/fault-suite.md`). Lost is what has no
copy; committed past is the part of it that no restart would bring back. It takes a minute and a half.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import confluent_kafka as ck

from chaos.commits import Commits
from chaos.crew import Crew, Member
from chaos.numbers import PARTITIONS, Feeder, make_topics, offsets_of, place_of, read_copies
from chaos.stock_worker import PATTERNS
from chaos.worker import Options
from infra.embedded import EmbeddedKafka
from schemas.settings import EmbeddedSettings

_RATE_PER_S = 1_000
_FEED_S = 12.0
_KILLS = 4
# Longer than the slowest event, a commit and a member's session together: whatever comes, comes within it.
_QUIET_S = 8.0


def main() -> int:
    """All patterns, one after the other."""
    with (
        tempfile.TemporaryDirectory(prefix="penstock-stock-") as directory,
        EmbeddedKafka(Path(directory) / "kafka", EmbeddedSettings()) as kafka,
    ):
        lost = [_lost_by(pattern, kafka.bootstrap, Path(directory)) for pattern in PATTERNS]
    return 0 if all(lost) else 1


def _lost_by(pattern: str, bootstrap: str, directory: Path) -> int:
    prefix = f"{pattern.replace(' ', '-')}."
    began = time.monotonic()
    make_topics(bootstrap, prefix, 1)
    options = Options(
        bootstrap=bootstrap,
        prefix=prefix,
        name="stock",
        maker="",
        directory=str(directory / prefix),
        work=pattern,
        is_static=False,
        session_timeout_ms=4_000,
        delivery_timeout_ms=120_000,
    )
    feeder = Feeder(bootstrap, prefix, _RATE_PER_S)
    worker = Member(options, module="chaos.stock_worker")
    with ExitStack() as cleanup:
        cleanup.enter_context(Crew([worker]))
        worker.start()
        cleanup.enter_context(feeder)
        commits = cleanup.enter_context(Commits(bootstrap, prefix))
        worker.await_working()
        kills = _cut(worker) if pattern == "noack and tasks" else _feed_only()
        events = feeder.finish()
        _await_quiet(bootstrap, prefix)
        worker.check()
    numbers = Counter(copy.number for copy in read_copies(bootstrap, prefix))
    lost = [number for number in range(events) if number not in numbers]
    offsets = offsets_of(events)
    committed = commits.samples[-1].committed
    passed = sum(offsets[number] < committed[place_of(number)] for number in lost)
    sys.stdout.write(
        f"stock Faust, {pattern}: {events} events, {kills} kills, {len(lost)} lost "
        f"({passed} committed past), "
        f"{numbers.total() - len(numbers)} repeated, {time.monotonic() - began:.0f} s\n"
    )
    sys.stdout.flush()
    return passed


def _cut(worker: Member) -> int:
    """Kill the worker at moments of chance."""
    chance = random.Random(7)
    for _ in range(_KILLS):
        time.sleep(chance.uniform(1.0, 3.0))
        worker.kill()
        worker.start()
        worker.await_working()
    return _KILLS


def _feed_only() -> int:
    time.sleep(_FEED_S)
    return 0


def _await_quiet(bootstrap: str, prefix: str) -> None:
    """Wait until nothing more comes out: with events lost, there is no other end to see."""
    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "unused"})
    written, since = -1, time.monotonic()
    while time.monotonic() - since < _QUIET_S:
        ends = [
            consumer.get_watermark_offsets(ck.TopicPartition(f"{prefix}out", partition), timeout=10)[1]
            for partition in range(PARTITIONS)
        ]
        if sum(ends) != written:
            written, since = sum(ends), time.monotonic()
        time.sleep(0.2)
    consumer.close()


if __name__ == "__main__":
    sys.exit(main())
