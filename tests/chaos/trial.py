"""One run of a scenario: events flow in, workers work, the test cuts, and the audit says what became of it.

Both kinds of work are tried side by side, each with its own topics, group and workers, and cut alike.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, assert_never

from confluent_kafka.admin import AdminClient
from deadline import until

from chaos.audit import Audit, audit
from chaos.commits import Commits
from chaos.crew import Crew, Member
from chaos.numbers import Feeder, ends_of, make_topics, read_copies
from chaos.worker import Options, Work
from infra.embedded.broker import Broker

WORKS: tuple[Work, ...] = ("triage", "slow")
NAMES = ("a", "b", "c")
_MEMBERS_WITHIN_S = 60.0

# Shortened, so that an outage can outlast it: what is given up by the producer is tried again by the engine.
DELIVERY_TIMEOUT_MS = 2_000

Repeats = Literal["none", "of what was cut off", "of what was given up"]


@dataclass(frozen=True, slots=True)
class Size:
    """How much a trial is."""

    events: int
    """Of each kind of work, at least: they come in as long as there are cuts."""
    rate_per_s: float
    cuts_min: int
    settle_within_s: float
    """What is given to the last events, once the cuts are over."""


# Some seconds of events, and more as long as the cuts take.
SHORT = Size(events=1_800, rate_per_s=300, cuts_min=1, settle_within_s=60)
# Half a minute of them, at a rate that two cores share between two kinds of work and a broker.
FULL = Size(events=50_000, rate_per_s=1_500, cuts_min=5, settle_within_s=180)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and how a trial is run."""

    bootstrap: str
    prefix: str
    directory: Path
    static: Collection[Work]
    """The kinds of work whose workers are static members; the others are dynamic ones."""
    replicas: int
    session_timeout_ms: int = 60_000
    """Longer than any outage takes, on however busy a machine: where a session ends, work is repeated."""
    delivery_timeout_ms: int = 120_000


class Trial:
    """One kind of work under test."""

    def __init__(self, setting: Setting, size: Size, work: Work) -> None:
        self.work = work
        self.size = size
        self.prefix = f"{setting.prefix}{work}."
        self.bootstrap = setting.bootstrap
        self.feeder = Feeder(setting.bootstrap, self.prefix, size.rate_per_s)
        self.commits = Commits(setting.bootstrap, self.prefix)
        options = Options(
            bootstrap=setting.bootstrap,
            prefix=self.prefix,
            name="",
            maker="",
            directory=str(setting.directory / work),
            work=work,
            is_static=work in setting.static,
            session_timeout_ms=setting.session_timeout_ms,
            delivery_timeout_ms=setting.delivery_timeout_ms,
        )
        self.crew = Crew([Member(options._replace(name=name)) for name in NAMES])
        make_topics(setting.bootstrap, self.prefix, setting.replicas)

    def await_members(self, count: int) -> None:
        """Wait until the group is at rest with so many members."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        group = f"{self.prefix}group"

        def members() -> int:
            self.crew.check()
            found = admin.describe_consumer_groups([group])[group].result(30)
            return len(found.members) if found.state.name == "STABLE" else 0

        until(lambda: members() == count, within_s=_MEMBERS_WITHIN_S, what=f"{count} members", every_s=0.1)

    def settle(self, brokers_cut_off_at_ms: Collection[float], *, writers_gave_up: bool) -> Audit:
        """Wait until all events are committed, stop all workers, and judge."""
        events = self.feeder.finish()

        def is_settled() -> bool:
            self.crew.check()
            return self.commits.settled >= events

        until(
            is_settled,
            within_s=self.size.settle_within_s,
            what=lambda: f"all is settled\n{self._unsettled(events)}\n{self._told()}",
            every_s=0.1,
        )
        self.crew.stop()
        copies = read_copies(self.bootstrap, self.prefix)
        told = list(self.crew.told)
        # Who says nothing would be excused by every broker that is killed.
        assert self.crew.cut_off or {one.number for one in told} == set(range(events)), "all was told of"
        return audit(
            events,
            copies,
            self.commits.samples,
            self.crew.cut_off,
            brokers_cut_off_at_ms,
            told,
            writers_gave_up=writers_gave_up,
        )

    def _unsettled(self, events: int) -> str:
        """What is missing; an old sample says that it is the sampler who has heard nothing."""
        if not self.commits.samples:
            return "no commit was ever seen"
        last = self.commits.samples[-1]
        missing = {
            place: f"{last.committed.get(place, 0)} of {end}"
            for place, end in ends_of(events).items()
            if last.committed.get(place, 0) < end
        }
        return f"as of {time.time() - last.taken_at_ms / 1_000:.1f} s ago, not committed: {missing}"

    def _told(self) -> str:
        return "\n".join(f"{member!r}:\n{member.said[-4_000:]}" for member in self.crew.up)


class Trials:
    """Both kinds of work, in the middle of a scenario."""

    def __init__(self, name: str, setting: Setting, size: Size, report: Callable[[str], None]) -> None:
        self._name = name
        self._setting = setting
        self._size = size
        self._report = report
        self._began_s = time.monotonic()
        self._cleanup = ExitStack()
        self.chance = random.Random(name)
        self.cut_count = 0
        self._brokers_cut_off_at_ms: list[float] = []
        self.trials: list[Trial] = []

    def __enter__(self) -> Self:
        with self._cleanup:
            self.trials = [Trial(self._setting, self._size, work) for work in WORKS]
            for trial in self.trials:
                self._cleanup.enter_context(trial.crew)
                self._cleanup.enter_context(trial.commits)
                for member in trial.crew.regulars:
                    member.start()
                self._cleanup.enter_context(trial.feeder)
            for member in self.members:
                member.await_working()
            self._cleanup = self._cleanup.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._cleanup.close()

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    @property
    def members(self) -> Sequence[Member]:
        """All workers that are up."""
        return [member for trial in self.trials for member in trial.crew.up]

    def cuts(self, least_s: float, most_s: float) -> Iterator[int]:
        """The moments at which to cut: they are the dice's, as long as events come in."""
        while self.cut_count < self._size.cuts_min or self._produced < self._size.events:
            time.sleep(self.chance.uniform(least_s, most_s))
            self.cut_count += 1
            yield self.cut_count

    @property
    def _produced(self) -> int:
        return min(trial.feeder.produced for trial in self.trials)

    def kill(self, broker: Broker) -> None:
        """End a broker as a power failure would: what it wrote without telling may be written again."""
        self._brokers_cut_off_at_ms.append(time.time() * 1_000)
        broker.kill()

    def somebody_said(self, what: str) -> None:
        """It has come to pass: a Kafka that does not refuse what it should makes every test of it green."""
        for trial in self.trials:
            assert any(what in member.said for member in trial.crew.up), (
                f"nobody of {trial.crew.up} said `{what}`"
            )

    def finish(self, repeats: Repeats) -> None:
        """Wait for the end of both, tell how it went, and insist on what was promised."""
        gave_up = repeats == "of what was given up"
        audits = {
            trial.work: trial.settle(self._brokers_cut_off_at_ms, writers_gave_up=gave_up)
            for trial in self.trials
        }
        seconds = time.monotonic() - self._began_s
        for work, found in audits.items():
            self._report(
                f"{self._name}, {work}: {found.events} events, {self.cut_count} cuts, "
                f"{len(found.lost)} lost, {found.repeated} repeated, {found.samples} looks at the commits, "
                f"{seconds:.0f} s"
            )
        for work, found in audits.items():
            assert not found.lost, (work, found.lost[:10])
            assert not found.misplaced, (work, found.misplaced[:10])
            assert not found.went_back, (work, found.went_back[:10])
            assert not found.ran_ahead, (work, found.ran_ahead[:10])
            assert found.samples > 10, "the commits were looked at"
            match repeats:
                case "none":
                    assert not found.repeated, (work, found.unexplained[:10])
                case "of what was cut off" | "of what was given up":
                    assert not found.unexplained, (work, found.unexplained[:10])
                case _:
                    assert_never(repeats)
