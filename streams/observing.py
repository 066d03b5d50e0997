"""What a worker says of itself: one state object, printed by `status`, the console, logs and tests alike.

The stages fill it from outside of their work; the worker's HTTP server shows it under `/status`, and its
figures under `/metrics`. What is counted event by event goes through one `Tally`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from schemas.event import PRIORITIES, Priority
from schemas.policy import RuleMode
from schemas.verdict import Action, DecidedBy, Verdict
from streams.core.histogram import Histogram, HistogramSnapshot
from streams.core.rules import Finding
from streams.ports import MemoryStats

# Nodes and tiers come from settings and policies, not from events; the bound is for a policy gone wild.
_SERIES_MAX = 1_024
_OTHERS = "others"
_SENTENCE_CHARS_MAX = 300
AWAY_AFTER_MS = 5_000.0
"""From here on a Kafka that does not answer is away: a broker that is started anew, or a leader that changes,
takes less.
"""


class PartitionStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One owned partition."""

    topic: str
    partition: int
    watermark: int
    unsettled: int
    oldest_ms: float
    lag: int
    held: bool

    def __str__(self) -> str:
        held = ", held" if self.held else ""
        return (
            f"<Partition {self.topic}/{self.partition} | watermark {self.watermark}, "
            f"{self.unsettled} unsettled, oldest {self.oldest_ms / 1_000:.1f} s{held}>"
        )


class StageStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One stage: what it owns and what it did so far."""

    stage: str
    group: str
    partitions: tuple[PartitionStatus, ...]
    settled: int
    commits: int
    commit_failures: int
    rebalances: int
    rebalance_ms: float
    rebalance_last_ms: float = 0.0
    redelivered: int = 0
    holds: int = 0
    failures: int = 0
    backoffs: int = 0
    condemned: int = 0
    missed: int = 0
    away_ms: float = 0.0
    """For how long no broker has answered this stage; 0 while one does."""

    @property
    def is_away(self) -> bool:
        """Whether Kafka is away: what is said of lag is then what it was."""
        return self.away_ms >= AWAY_AFTER_MS

    def __str__(self) -> str:
        unsettled = sum(partition.unsettled for partition in self.partitions)
        return (
            f"<Stage {self.stage} | {len(self.partitions)} partitions, {unsettled} unsettled, "
            f"{self.settled} settled, {self.redelivered} of them redelivered, {self.commits} commits, "
            f"{self.commit_failures} failed, "
            f"{self.rebalances} rebalances in {self.rebalance_ms / 1_000:.1f} s, the last in "
            f"{self.rebalance_last_ms / 1_000:.1f} s, {self.holds} holds, "
            f"{self.failures} failures, {self.condemned} condemned>"
        )


class LaneStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for a node, of one priority."""

    priority: Priority
    waiting: int
    in_flight: int
    oldest_ms: float


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One inference node as this worker sees it."""

    name: str
    state: str
    """`up`, `overloaded`, `out`; by an order `draining`, and once it is idle `drained`."""
    in_flight: int
    slots: int
    limit: int = 0
    """How many questions it gets at once at present."""
    answered: int
    failed: int = 0
    """Questions that got no answer there, other than for overload."""
    refused: int = 0
    """Questions that it was too busy for."""
    last_error: str

    @property
    def is_drained(self) -> bool:
        """Whether it is asked nothing, by an order."""
        return self.state in {"draining", "drained"}


class PolicyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The active policy."""

    id: str
    version: int
    digest: str


class RuleCount(msgspec.Struct, frozen=True, kw_only=True):
    """How often one rule matched, as it counted: live, or in shadow."""

    rule: str
    label: str
    mode: RuleMode
    hits: int


class FamilyCost(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules of one type cost, on a sample of the posts."""

    family: str
    samples: int
    took_ms: float
    """All samples together."""


class RuleCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one rule costs alone, on a sample of the posts: of those that look at a post one by one."""

    rule: str
    samples: int
    took_ms: float
    """All samples together."""


class RulesStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the fast path did."""

    posts: int = 0
    """Posts that rules may decide; the other kinds do not count."""
    decided: int = 0
    hits: tuple[RuleCount, ...] = ()
    costs: tuple[FamilyCost, ...] = ()
    rule_costs: tuple[RuleCost, ...] = ()


class VerdictCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many verdicts of one sort left this worker."""

    priority: Priority
    action: Action
    decided_by: DecidedBy
    count: int


class WaitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How long the events of one priority waited: in Kafka, in the worker, and from end to end."""

    priority: Priority
    kafka: HistogramSnapshot
    queue: HistogramSnapshot
    total: HistogramSnapshot


class InferenceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How long the answers of one node took, those that became verdicts."""

    node: str
    tier: str
    took: HistogramSnapshot


class MemoryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker remembers, all its partitions together."""

    partitions: int = 0
    restoring: int = 0
    """Partitions whose changelog is still being read."""
    restored: int = 0
    """Records of the changelog that were taken in since the start."""
    to_restore: int = 0
    """Records that are still to be read."""
    refused: int = 0
    """Answers that Kafka would not take."""
    figures: MemoryStats = MemoryStats()

    def __str__(self) -> str:
        figures = self.figures
        restoring = (
            f", {self.restoring} restoring, {self.to_restore} records to read" if self.restoring else ""
        )
        read_only = ", read-only" if figures.read_only else ""
        return (
            f"<Memory {self.partitions} partitions | {figures.entries} entries, {figures.bytes >> 20} MiB, "
            f"hits {figures.hits_memory} in process, {figures.hits_disk} on disk, {figures.misses} misses, "
            f"{figures.expired} expired, {figures.evicted} evicted{restoring}{read_only}>"
        )


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One worker."""

    worker: str
    pid: int
    ready: bool
    waits_for: str = ""
    """Where it is not ready: why, as one sentence."""
    stages: tuple[StageStatus, ...] = ()
    lanes: tuple[LaneStatus, ...] = ()
    nodes: tuple[NodeStatus, ...] = ()
    policies: tuple[PolicyStatus, ...] = ()
    enforce: bool = True
    paused: tuple[Priority, ...] = ()
    purged: dict[str, int] = msgspec.field(default_factory=dict)
    """The latest cut-offs in force: of each subject the moment before which no answer is reused."""
    decided: dict[str, int] = msgspec.field(default_factory=dict)
    """Verdicts by `decided_by`."""
    dead_letters: int = 0
    last_error: str = ""
    verdicts: tuple[VerdictCount, ...] = ()
    dead_letters_by_stage: dict[str, int] = msgspec.field(default_factory=dict)
    dead_letters_by_code: dict[str, int] = msgspec.field(default_factory=dict)
    errors: int = 0
    waits: tuple[WaitStatus, ...] = ()
    inference: tuple[InferenceStatus, ...] = ()
    rules: RulesStatus = RulesStatus()
    memory: MemoryStatus | None = None
    """Of a worker that judges and remembers."""


class RuleTally:
    """Counts what the rules of the fast path found, without a word of what they found it in."""

    def __init__(self) -> None:
        self._hits: Counter[tuple[str, str, RuleMode]] = Counter()
        self._samples: Counter[str] = Counter()
        self._took_ms: defaultdict[str, float] = defaultdict(float)
        self._rule_samples: Counter[str] = Counter()
        self._rule_took_ms: defaultdict[str, float] = defaultdict(float)
        self.posts = 0
        self.decided = 0

    def __repr__(self) -> str:
        return f"<RuleTally {self.decided} of {self.posts} posts decided, {self._hits.total()} hits>"

    def found(self, findings: Iterable[Finding]) -> None:
        """What the rules found in one post."""
        for finding in findings:
            hit = (finding.rule_id, finding.label, finding.mode)
            if hit not in self._hits and len(self._hits) >= _SERIES_MAX:
                hit = (_OTHERS, "", finding.mode)
            self._hits[hit] += 1

    def cost(self, family: str, took_ms: float) -> None:
        """What one family cost on a sampled post."""
        self._samples[family] += 1
        self._took_ms[family] += took_ms

    def rule_cost(self, rule: str, took_ms: float) -> None:
        """What one rule cost alone on a sampled post."""
        if rule not in self._rule_samples and len(self._rule_samples) >= _SERIES_MAX:
            rule = _OTHERS
        self._rule_samples[rule] += 1
        self._rule_took_ms[rule] += took_ms

    def status(self) -> RulesStatus:
        """A picture of now."""
        return RulesStatus(
            posts=self.posts,
            decided=self.decided,
            hits=tuple(
                RuleCount(rule=rule, label=label, mode=mode, hits=hits)
                for (rule, label, mode), hits in sorted(self._hits.items())
            ),
            costs=tuple(
                FamilyCost(family=family, samples=samples, took_ms=round(self._took_ms[family], 6))
                for family, samples in sorted(self._samples.items())
            ),
            rule_costs=tuple(
                RuleCost(rule=rule, samples=samples, took_ms=round(self._rule_took_ms[rule], 6))
                for rule, samples in sorted(self._rule_samples.items())
            ),
        )


class Tally:
    """Counts what a worker did. The stages tell it of each verdict, dead letter and error."""

    def __init__(self) -> None:
        self._verdicts: Counter[tuple[Priority, Action, DecidedBy]] = Counter()
        self._waits = {priority: (Histogram(), Histogram(), Histogram()) for priority in PRIORITIES}
        self._inference: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
        self._by_stage: Counter[str] = Counter()
        self._by_code: Counter[str] = Counter()
        self.rules = RuleTally()
        self.errors = 0
        self.last_error = ""

    def __repr__(self) -> str:
        verdicts = self._verdicts.total()
        return f"<Tally {verdicts} verdicts, {self.dead_letters} dead letters, {self.errors} errors>"

    def verdict(self, verdict: Verdict) -> None:
        """A verdict left."""
        self._verdicts[verdict.priority, verdict.action, verdict.decided_by] += 1
        kafka, queue, whole = self._waits[verdict.priority]
        timing = verdict.timing
        kafka.observe(timing.kafka_ms)
        queue.observe(timing.queue_ms)
        whole.observe(timing.total_ms)
        # An answer from memory names its model as well, and took no node's time.
        if verdict.model is not None and verdict.decided_by == "model":
            self._of_node(verdict.model.node, verdict.model.tier).observe(timing.inference_ms)

    def dead_letter(self, stage: str, code: str) -> None:
        """An event could not be judged."""
        self._by_stage[stage] += 1
        self._by_code[code if code in self._by_code or len(self._by_code) < _SERIES_MAX else _OTHERS] += 1

    def error(self, sentence: str) -> None:
        """Something went wrong. The sentence is shown to operators: it quotes no content."""
        self.errors += 1
        self.last_error = sentence[:_SENTENCE_CHARS_MAX]

    @property
    def decided(self) -> dict[str, int]:
        """Verdicts by who decided."""
        decided: Counter[str] = Counter()
        for (_, _, decided_by), count in self._verdicts.items():
            decided[decided_by] += count
        return dict(decided)

    @property
    def dead_letters(self) -> int:
        """All dead letters."""
        return self._by_stage.total()

    def onto(self, status: WorkerStatus) -> WorkerStatus:
        """The status with all that was counted filled in."""
        return msgspec.structs.replace(
            status,
            decided=self.decided,
            dead_letters=self.dead_letters,
            last_error=self.last_error,
            verdicts=tuple(
                VerdictCount(priority=priority, action=action, decided_by=decided_by, count=count)
                for (priority, action, decided_by), count in sorted(self._verdicts.items())
            ),
            dead_letters_by_stage=dict(self._by_stage),
            dead_letters_by_code=dict(self._by_code),
            errors=self.errors,
            rules=self.rules.status(),
            waits=tuple(
                WaitStatus(
                    priority=priority,
                    kafka=kafka.snapshot(),
                    queue=queue.snapshot(),
                    total=whole.snapshot(),
                )
                for priority, (kafka, queue, whole) in self._waits.items()
            ),
            inference=tuple(
                InferenceStatus(node=node, tier=tier, took=took.snapshot())
                for (node, tier), took in sorted(self._inference.items())
            ),
        )

    def _of_node(self, node: str, tier: str) -> Histogram:
        key = (node, tier)
        if key not in self._inference and len(self._inference) >= _SERIES_MAX:
            key = (_OTHERS, _OTHERS)
        return self._inference[key]
