"""A worker's figures in Prometheus's text format, made from its `WorkerStatus` at the moment of a scrape.

Names begin with `penstock_`; labels are `stage`, `priority`, `node`, `tier`, `action`, `decided_by`, and of
policies `rule`, `label`, `mode` and `family`, and no other: no topic, partition, tenant, author or id, so
that the number of series does not grow with the traffic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from schemas.event import PRIORITIES
from streams.core.histogram import BOUNDS_MS, HistogramSnapshot
from streams.observing import PartitionStatus, RulesStatus, StageStatus, WorkerStatus

_MS_PER_S = 1_000.0
_BOUNDS_S = tuple(f"{bound_ms / _MS_PER_S:g}" for bound_ms in BOUNDS_MS)


def exposition(status: WorkerStatus) -> bytes:
    """What `/metrics` answers."""
    # A registry of its own: the global one is filled by whoever is imported, and belongs to nobody.
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(status))
    return generate_latest(registry)


class _Figures(Collector):
    """One scrape."""

    def __init__(self, status: WorkerStatus) -> None:
        self._status = status

    def describe(self) -> Iterable[Metric]:
        """Registering asks nothing of us."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All figures, in the order of the flow."""
        yield from _worker(self._status)
        yield from _stages(self._status)
        yield from _waiting(self._status)
        yield from _lanes(self._status)
        yield from _nodes(self._status)
        yield from _rules(self._status.rules)
        yield from _outcomes(self._status)
        yield from _durations(self._status)


def _worker(status: WorkerStatus) -> Iterator[Metric]:
    yield _gauge("ready", "Whether the worker is ready.", float(status.ready))
    yield _gauge("enforce", "Whether blocks are enforced (0: each becomes review).", float(status.enforce))
    paused = GaugeMetricFamily("penstock_paused", "Whether a priority is paused.", labels=["priority"])
    for priority in PRIORITIES:
        paused.add_metric([priority], float(priority in status.paused))
    yield paused


def _stages(status: WorkerStatus) -> Iterator[Metric]:
    counters: tuple[tuple[str, str, Callable[[StageStatus], float]], ...] = (
        ("settled", "Records settled: their outcome is confirmed by Kafka.", lambda stage: stage.settled),
        ("commits", "Watermarks committed.", lambda stage: stage.commits),
        ("commit_failures", "Commits that failed.", lambda stage: stage.commit_failures),
        ("redelivered", "Records handed out that this process had before.", lambda stage: stage.redelivered),
        ("holds", "How often a partition was held back.", lambda stage: stage.holds),
        ("stage_failures", "How often a stage itself failed at a record.", lambda stage: stage.failures),
        (
            "stage_backoffs",
            "How often it paused before it tried such records again.",
            lambda stage: stage.backoffs,
        ),
        ("condemned", "Records that became dead letters for that.", lambda stage: stage.condemned),
        ("missed", "Records that were deleted before anybody read them.", lambda stage: stage.missed),
        ("rebalances", "Rebalances of the stage's group.", lambda stage: stage.rebalances),
        (
            "rebalance_seconds",
            "Time spent in rebalances.",
            lambda stage: stage.rebalance_ms / _MS_PER_S,
        ),
    )
    for name, text, value in counters:
        family = CounterMetricFamily(f"penstock_{name}", text, labels=["stage"])
        for stage in status.stages:
            family.add_metric([stage.stage], value(stage))
        yield family
    last = GaugeMetricFamily(
        "penstock_rebalance_last_seconds", "How long the last rebalance took.", labels=["stage"]
    )
    for stage in status.stages:
        last.add_metric([stage.stage], stage.rebalance_last_ms / _MS_PER_S)
    yield last
    away = GaugeMetricFamily(
        "penstock_kafka_away_seconds", "For how long no broker has answered.", labels=["stage"]
    )
    for stage in status.stages:
        away.add_metric([stage.stage], stage.away_ms / _MS_PER_S)
    yield away


def _waiting(status: WorkerStatus) -> Iterator[Metric]:
    """What is known of each partition, by stage and priority: a partition is no label."""
    groups: defaultdict[tuple[str, str], list[PartitionStatus]] = defaultdict(list)
    away = {stage.stage for stage in status.stages if stage.is_away}
    for stage in status.stages:
        for partition in stage.partitions:
            groups[stage.stage, _priority_of(partition.topic)].append(partition)
    gauges: tuple[tuple[str, str, Callable[[list[PartitionStatus]], float]], ...] = (
        ("partitions", "Partitions owned.", len),
        ("partitions_held", "Partitions held back at a bound.", lambda owned: sum(p.held for p in owned)),
        ("lag_records", "Records from the watermark to the end.", lambda owned: sum(p.lag for p in owned)),
        (
            "unsettled_records",
            "Records fetched and not yet settled.",
            lambda owned: sum(p.unsettled for p in owned),
        ),
        (
            "watermark_age_seconds",
            "Age of the oldest unsettled record.",
            lambda owned: max(p.oldest_ms for p in owned) / _MS_PER_S,
        ),
    )
    for name, text, value in gauges:
        family = GaugeMetricFamily(f"penstock_{name}", text, labels=["stage", "priority"])
        for (stage_name, priority), owned in groups.items():
            # While Kafka is away nobody knows how far its topics go: no figure is better than an old one.
            if not (name == "lag_records" and stage_name in away):
                family.add_metric([stage_name, priority], value(owned))
        yield family


def _lanes(status: WorkerStatus) -> Iterator[Metric]:
    items = GaugeMetricFamily("penstock_queue_items", "Events that wait for a node.", labels=["priority"])
    oldest = GaugeMetricFamily(
        "penstock_queue_oldest_seconds", "How long the first of them has waited.", labels=["priority"]
    )
    in_flight = GaugeMetricFamily("penstock_lane_inflight", "Events at a node.", labels=["priority"])
    for lane in status.lanes:
        items.add_metric([lane.priority], lane.waiting)
        oldest.add_metric([lane.priority], lane.oldest_ms / _MS_PER_S)
        in_flight.add_metric([lane.priority], lane.in_flight)
    yield from (items, oldest, in_flight)


def _nodes(status: WorkerStatus) -> Iterator[Metric]:
    in_flight = GaugeMetricFamily("penstock_node_inflight", "Requests at the node.", labels=["node"])
    limit = GaugeMetricFamily("penstock_node_limit", "Most requests at a time, at present.", labels=["node"])
    up = GaugeMetricFamily("penstock_node_up", "Whether the node is asked.", labels=["node"])
    answered = CounterMetricFamily("penstock_node_answered", "Answers of the node.", labels=["node"])
    failed = CounterMetricFamily("penstock_node_failed", "Questions it gave no answer to.", labels=["node"])
    refused = CounterMetricFamily("penstock_node_refused", "Questions it was too busy for.", labels=["node"])
    for node in status.nodes:
        in_flight.add_metric([node.name], node.in_flight)
        limit.add_metric([node.name], node.limit or node.slots)
        up.add_metric([node.name], float(node.state == "up"))
        answered.add_metric([node.name], node.answered)
        failed.add_metric([node.name], node.failed)
        refused.add_metric([node.name], node.refused)
    yield from (in_flight, limit, up, answered, failed, refused)


def _rules(rules: RulesStatus) -> Iterator[Metric]:
    yield CounterMetricFamily("penstock_triage_posts", "Posts that rules may decide.", value=rules.posts)
    yield CounterMetricFamily(
        "penstock_triage_decided", "Of them those that they decided.", value=rules.decided
    )
    hits = CounterMetricFamily(
        "penstock_rule_hits", "Posts that a rule matched.", labels=["rule", "label", "mode"]
    )
    for found in rules.hits:
        hits.add_metric([found.rule, found.label, found.mode], found.hits)
    samples = CounterMetricFamily(
        "penstock_rule_cost_samples", "Posts on which the cost of rules was measured.", labels=["family"]
    )
    took = CounterMetricFamily(
        "penstock_rule_cost_seconds", "What the rules of one type took for them.", labels=["family"]
    )
    for cost in rules.costs:
        samples.add_metric([cost.family], cost.samples)
        took.add_metric([cost.family], cost.took_ms / _MS_PER_S)
    yield from (hits, samples, took)


def _outcomes(status: WorkerStatus) -> Iterator[Metric]:
    verdicts = CounterMetricFamily(
        "penstock_verdicts", "Verdicts.", labels=["priority", "action", "decided_by"]
    )
    for sort in status.verdicts:
        verdicts.add_metric([sort.priority, sort.action, sort.decided_by], sort.count)
    yield verdicts
    dead_letters = CounterMetricFamily("penstock_dead_letters", "Dead letters.", labels=["stage"])
    for stage, count in sorted(status.dead_letters_by_stage.items()):
        dead_letters.add_metric([stage], count)
    yield dead_letters
    yield CounterMetricFamily(
        "penstock_errors", "Things that went wrong; /status has the last.", value=status.errors
    )


def _durations(status: WorkerStatus) -> Iterator[Metric]:
    wait = HistogramMetricFamily(
        "penstock_wait_seconds",
        "How long events waited: stage `kafka` before the worker, `queue` in it.",
        labels=["stage", "priority"],
    )
    whole = HistogramMetricFamily(
        "penstock_e2e_seconds", "From Kafka's timestamp of the event to its verdict.", labels=["priority"]
    )
    for waits in status.waits:
        _add(wait, ["kafka", waits.priority], waits.kafka)
        _add(wait, ["queue", waits.priority], waits.queue)
        _add(whole, [waits.priority], waits.total)
    inference = HistogramMetricFamily(
        "penstock_inference_seconds", "How long answers took that became verdicts.", labels=["node", "tier"]
    )
    for of_node in status.inference:
        _add(inference, [of_node.node, of_node.tier], of_node.took)
    yield from (wait, whole, inference)


def _add(family: HistogramMetricFamily, labels: list[str], seen: HistogramSnapshot) -> None:
    buckets = zip((*_BOUNDS_S, "+Inf"), seen.cumulative(), strict=True)
    family.add_metric(
        labels, [(bound, float(count)) for bound, count in buckets], sum_value=seen.sum_ms / _MS_PER_S
    )


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"penstock_{name}", text, value=value)


def _priority_of(topic: str) -> str:
    """The last part of `content.*` and `pending.*`; other topics have none."""
    last = topic.rpartition(".")[2]
    return last if last in PRIORITIES else "none"
