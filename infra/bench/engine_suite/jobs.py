"""What a contender is told, and what it tells: plain values, so that they can cross to another process."""

from __future__ import annotations

import time
from typing import Literal

import msgspec

Work = Literal["pass", "triage", "slow"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one contender."""

    contender: str
    work: Work
    bootstrap: str
    group: str
    routes: dict[str, str]
    """Where to read, and where the output of each goes; the most urgent first."""
    records: dict[str, int]
    """How many there are to read of each; the job is done when the output of all is confirmed."""
    directory: str
    outputs: tuple[str, ...] = ()
    """Where else an output may go."""
    cpus: tuple[int, ...] = ()
    """Where it may run; empty: anywhere."""
    wait_ms: int = 0
    """How long slow work waits for each record."""
    in_flight: int = 0
    """How many records may be unsettled; 0: as many as by default."""

    @property
    def total(self) -> int:
        """Records of all sources."""
        return sum(self.records.values())


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run took, from its first record to its last commit."""

    records: int
    cpu_s: float
    began_s: float
    ended_s: float
    done_s: dict[str, float]
    """When the last record of each source was confirmed. Moments are of a clock that all processes share."""

    @property
    def cpu_us(self) -> float:
        """CPU time of a record."""
        return self.cpu_s * 1e6 / self.records

    @property
    def rate(self) -> float:
        """Records in a second."""
        return self.records / (self.ended_s - self.began_s)


class Stopwatch:
    """What a contender keeps of its run."""

    def __init__(self, job: Job) -> None:
        self._left = dict(job.records)
        self._total = job.total
        self._done_s: dict[str, float] = {}
        self._began_s = self._began_cpu_s = 0.0
        self._ended_s = self._ended_cpu_s = 0.0
        self.is_done = False

    def begin(self) -> None:
        """A record is here; only the first one counts."""
        if not self._began_s:
            self._began_s, self._began_cpu_s = time.perf_counter(), time.process_time()

    def confirmed(self, source: str, records: int = 1) -> None:
        """The output of so many is safe."""
        self._left[source] -= records
        if self._left[source] <= 0 and source not in self._done_s:
            self._done_s[source] = time.perf_counter()
            self.is_done = all(left <= 0 for left in self._left.values())

    def end(self) -> None:
        """All is confirmed and committed."""
        self._ended_s, self._ended_cpu_s = time.perf_counter(), time.process_time()

    def outcome(self) -> Outcome:
        """What it took."""
        return Outcome(
            records=self._total,
            cpu_s=self._ended_cpu_s - self._began_cpu_s,
            began_s=self._began_s,
            ended_s=self._ended_s,
            done_s=self._done_s,
        )
