"""What the doctor asks others: Kafka, its topics and policy, the inference nodes, the workers that run.

What `penstock up` will see to by itself is a warning; what somebody has to mend is a failure.
"""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator
from pathlib import Path

from infra import topics
from infra.clients import Cluster, reach
from infra.doctor.findings import Finding, fail, ok, warn
from infra.embedded import bootstrap_of
from infra.errors import ExitCode, Failure
from infra.nodes.client import HttpNode
from infra.policy_topic import read_book
from infra.running import NODE, address_of, ask, worker_statuses
from schemas.settings import NodeSettings, Settings
from streams.clock import SystemClock
from streams.ports import NodeFault

_REACH_WITHIN_S = 3.0
_BY_UP = "`penstock up` sees to it"


def of_kafka(settings: Settings) -> Iterator[Finding]:
    """Kafka, and what must be in it."""
    if not settings.kafka.bootstrap and bootstrap_of(Path(settings.data_dir)) is None:
        yield warn(
            "kafka",
            "the embedded Kafka does not run",
            "`penstock up` starts it, as does `penstock kafka start`; or name another with --bootstrap",
        )
        return
    try:
        cluster = reach(settings, within_s=_REACH_WITHIN_S)
    except Failure as failure:
        yield fail("kafka", failure.sentence, "", failure.exit_code)
        return
    yield ok("kafka", f"{cluster.brokers} broker(s) at {cluster.bootstrap}")
    yield from of_topics(settings, cluster)


def of_topics(settings: Settings, cluster: Cluster) -> Iterator[Finding]:
    """The topics against the table, then the policy, which is in one of them."""
    try:
        wanted = topics.wanted_of(settings, cluster)
        existing = topics.existing_of(settings, cluster, wanted)
        found = topics.differences([one for one in wanted if one.name in existing], existing)
        absent = topics.missing(wanted, existing)
    except Failure as failure:
        yield fail("topics", failure.sentence, "", failure.exit_code)
        return
    for difference in found:
        yield fail("topics", f"{difference.topic} {difference.what}", difference.advice, ExitCode.TOPICS)
    if absent:
        names = ", ".join(topic.name for topic in absent)
        yield warn("topics", f"missing: {names}", f"`penstock topics create` makes them; {_BY_UP}")
        return
    if not found:
        yield ok("topics", f"{len(wanted)}, all as the table says")
    yield policy(settings, cluster)


def policy(settings: Settings, cluster: Cluster) -> Finding:
    """Whether the policy for events that name none is there."""
    try:
        pointer = read_book(settings, cluster).pointer(settings.policy)
    except Failure as failure:
        return fail("policy", failure.sentence, "", failure.exit_code)
    if pointer is not None:
        return ok("policy", f"{pointer.id} version {pointer.version} ({pointer.digest})")
    detail = f"no policy `{settings.policy}` is active"
    advice = "publish one with `penstock policy push FILE`"
    if settings.policy == "default":
        return warn("policy", detail, f"{advice}; {_BY_UP}")
    return fail("policy", detail, advice, ExitCode.POLICY)


def of_nodes(settings: Settings) -> Iterator[Finding]:
    """Whether the inference nodes answer."""
    for node in settings.nodes:
        yield _of_node(node)
    if settings.nodes:
        return
    address = address_of(Path(settings.data_dir), NODE)
    if address is None:
        yield warn("node", "no node is set, and the reference node does not run", f"set `nodes`; {_BY_UP}")
    elif ask(f"{address.url}/health")[0] == http.client.OK:
        yield ok("node", f"{address.node} at {address.url}")
    else:
        yield fail(
            "node",
            f"{address.node} at {address.url} runs (pid {address.pid}) and does not answer",
            "see its log, or start it anew",
            ExitCode.NODE_UNREACHABLE,
        )


def of_workers(settings: Settings) -> Iterator[Finding]:
    """The workers of this data directory."""
    statuses = worker_statuses(Path(settings.data_dir))
    if not statuses:
        yield warn("workers", "none runs for this data directory", f"`penstock worker` runs one; {_BY_UP}")
    for name, status in statuses.items():
        if status is None:
            yield fail(
                name, "runs, and does not answer", "see its log, or start it anew", ExitCode.NOT_RUNNING
            )
        elif not status.ready:
            yield warn(name, f"is not ready: {status.waits_for or 'starting'}", "see `penstock status`")
        else:
            yield ok(name, f"ready, pid {status.pid}")


def _of_node(settings: NodeSettings) -> Finding:
    name = f"node {settings.known_as}"
    try:
        asyncio.run(_probe(settings))
    except NodeFault as fault:
        advice = "start it, or correct its url, token or model in `nodes`"
        return fail(name, f"{settings.url}: {fault.code}", advice, ExitCode.NODE_UNREACHABLE)
    except Failure as failure:
        return fail(name, failure.sentence, "", failure.exit_code)
    return ok(name, f"{settings.kind} at {settings.url}")


async def _probe(settings: NodeSettings) -> None:
    node = HttpNode(settings, SystemClock())
    try:
        await node.probe()
    finally:
        await node.close()
