"""The worker's HTTP server: what it answers, what it refuses, and where it may not listen."""

from __future__ import annotations

import logging
import re
import socket
from pathlib import Path

import aiohttp
import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.errors import ExitCode, Failure
from infra.http import WorkerHttp
from infra.metrics import exposition
from infra.picture import Picture, told
from schemas.verdict import ModelRef, PolicyRef, Timing, Verdict
from streams.core.histogram import BOUNDS_MS
from streams.observing import (
    LaneStatus,
    NodeStatus,
    PartitionStatus,
    StageStatus,
    Tally,
    VerdictCount,
    WorkerStatus,
)

ALLOWED_LABELS = {"stage", "priority", "node", "tier", "action", "decided_by"}


def partition(topic: str, number: int, **fields) -> PartitionStatus:
    defaults = {"watermark": 5, "unsettled": 2, "oldest_ms": 1_500.0, "lag": 10, "held": False}
    return PartitionStatus(topic=topic, partition=number, **defaults | fields)


STATUS = WorkerStatus(
    worker="worker-1",
    pid=4711,
    ready=True,
    stages=(
        StageStatus(
            stage="triage",
            group="g",
            partitions=(
                partition("x.content.critical", 0),
                partition("x.content.critical", 1, lag=7, held=True, oldest_ms=250.0),
                partition("x.content.low", 0),
            ),
            settled=12,
            commits=3,
            commit_failures=1,
            rebalances=2,
            rebalance_ms=1_250.0,
            rebalance_last_ms=250.0,
            redelivered=4,
            holds=6,
            failures=8,
            backoffs=5,
            condemned=1,
            missed=15,
        ),
    ),
    lanes=(LaneStatus(priority="high", waiting=4, in_flight=2, oldest_ms=750.0),),
    nodes=(
        NodeStatus(name="node-a", state="up", in_flight=2, slots=8, answered=31, last_error=""),
        NodeStatus(
            name="node-b",
            state="out",
            in_flight=0,
            slots=4,
            limit=2,
            answered=0,
            failed=3,
            refused=5,
            last_error="away",
        ),
    ),
    enforce=False,
    paused=("low",),
    verdicts=(VerdictCount(priority="high", action="block", decided_by="rule", count=9),),
    dead_letters_by_stage={"triage": 3},
    errors=2,
)


def figures(status: WorkerStatus) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposition(status).decode())
        for sample in family.samples
    }


def figure(status: WorkerStatus, name: str, **labels: str) -> float:
    return figures(status)[name, tuple(sorted(labels.items()))]


class Shown:
    """What the server is asked about; a test may change it."""

    def __init__(self) -> None:
        self.status = STATUS

    def __call__(self) -> WorkerStatus:
        return self.status


@pytest.fixture
async def shown():
    return Shown()


@pytest.fixture
async def server(shown):
    http = WorkerHttp("127.0.0.1", 0, shown)
    await http.start()
    yield http
    await http.stop()


@pytest.fixture
async def client(server):
    async with aiohttp.ClientSession(server.url) as session:
        yield session


async def test_status_is_the_whole_state_as_json(client):
    async with client.get("/status") as answer:
        assert answer.status == 200
        assert answer.content_type == "application/json"
        assert msgspec.json.decode(await answer.read(), type=WorkerStatus) == STATUS


async def test_metrics_are_prometheus_text(client):
    async with client.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert await answer.read() == exposition(STATUS)


def test_while_kafka_is_away_its_lag_is_no_figure():
    (stage,) = STATUS.stages
    assert figure(STATUS, "penstock_kafka_away_seconds", stage="triage") == 0
    assert figure(STATUS, "penstock_lag_records", stage="triage", priority="low") == 10
    stage = msgspec.structs.replace(stage, away_ms=61_000.0)
    away = msgspec.structs.replace(STATUS, stages=(stage,))
    assert figure(away, "penstock_kafka_away_seconds", stage="triage") == 61
    assert figure(away, "penstock_unsettled_records", stage="triage", priority="low") == 2
    assert not any(name == "penstock_lag_records" for name, _ in figures(away))


@pytest.mark.parametrize(
    ("away_ms", "oldest_ms", "said"),
    [
        (0.0, 1_500.0, "watermark 1.5 s old, lag 10"),
        (61_000.0, 1_500.0, "watermark 1.5 s old, lag ?"),
        (61_000.0, 0.0, "watermark ?, lag ?"),
    ],
)
def test_while_kafka_is_away_status_does_not_know_the_lag(away_ms, oldest_ms, said):
    stage = msgspec.structs.replace(
        STATUS.stages[0], away_ms=away_ms, partitions=(partition("x.content.low", 0, oldest_ms=oldest_ms),)
    )
    worker = msgspec.structs.replace(STATUS, stages=(stage,))
    lines = told(Picture(data_dir="d", workers={"worker-1": worker}))
    assert any(said in line for line in lines)


async def test_a_worker_that_answers_is_live(client):
    async with client.get("/live") as answer:
        assert (answer.status, await answer.text()) == (200, "live\n")


async def test_ready_says_yes_or_why_not(client, shown):
    async with client.get("/ready") as answer:
        assert (answer.status, await answer.text()) == (200, "ready\n")

    shown.status = msgspec.structs.replace(STATUS, ready=False, waits_for="no policy was read yet")
    async with client.get("/ready") as answer:
        assert (answer.status, await answer.text()) == (503, "not ready: no policy was read yet\n")

    shown.status = msgspec.structs.replace(STATUS, ready=False)
    async with client.get("/ready") as answer:
        assert (answer.status, await answer.text()) == (503, "not ready: starting\n")


@pytest.mark.parametrize("path", ["/", "/nothing", "/status/more", "/%00", "/../etc/passwd"])
async def test_an_unknown_path_is_told_what_there_is(client, path):
    async with client.get(path) as answer:
        assert answer.status == 404
        assert "/metrics, /live, /ready and /status" in await answer.text()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_can_be_written(client, method):
    async with client.request(method, "/status", data=b"{}") as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}


async def test_head_is_answered_without_a_body(client):
    async with client.head("/status") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_nothing_is_said_of_the_software_behind(client):
    for path in ("/live", "/nothing"):
        async with client.get(path) as answer:
            assert answer.headers["Server"] == "penstock"
            assert answer.headers["Cache-Control"] == "no-store"


async def test_requests_are_not_logged(client, caplog):
    caplog.set_level(logging.DEBUG)

    async with client.get("/metrics") as answer:
        assert answer.status == 200

    assert not [record for record in caplog.records if "GET" in record.getMessage()]


async def test_a_taken_port_is_a_sentence_and_a_code():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Failure) as failed:
            await WorkerHttp("127.0.0.1", port, lambda: STATUS).start()

    assert failed.value.exit_code == ExitCode.TAKEN
    assert f"127.0.0.1:{port}: it is taken" in failed.value.sentence


async def test_an_address_of_another_machine_is_a_sentence_and_a_code():
    with pytest.raises(Failure, match="no such address") as failed:
        await WorkerHttp("192.0.2.1", 0, lambda: STATUS).start()

    assert failed.value.exit_code == ExitCode.TAKEN


async def test_a_name_that_nobody_knows_is_a_sentence_and_a_code():
    with pytest.raises(Failure, match=r"on nowhere\.invalid:0: no such name is known\.") as failed:
        await WorkerHttp("nowhere.invalid", 0, lambda: STATUS).start()

    assert failed.value.exit_code == ExitCode.TAKEN


async def test_it_can_be_stopped_twice_and_frees_its_port():
    http = WorkerHttp("127.0.0.1", 0, lambda: STATUS)
    url = await http.start()
    assert repr(http) == f"<WorkerHttp {url}>"

    await http.stop()
    await http.stop()

    again = WorkerHttp("127.0.0.1", int(url.rpartition(":")[2]), lambda: STATUS)
    assert await again.start() == url
    await again.stop()
    assert repr(http) == "<WorkerHttp stopped>"


def test_every_name_begins_with_ours_and_every_label_is_allowed():
    parsed = list(text_string_to_metric_families(exposition(STATUS).decode()))

    assert len(parsed) > 20
    assert all(family.name.startswith("penstock_") for family in parsed)
    assert all(family.documentation for family in parsed)
    labels = {label for family in parsed for sample in family.samples for label in sample.labels}
    assert labels - {"le"} <= ALLOWED_LABELS


def test_partitions_are_summed_by_stage_and_priority():
    critical = {"stage": "triage", "priority": "critical"}

    assert figure(STATUS, "penstock_partitions", **critical) == 2
    assert figure(STATUS, "penstock_partitions_held", **critical) == 1
    assert figure(STATUS, "penstock_lag_records", **critical) == 17
    assert figure(STATUS, "penstock_unsettled_records", **critical) == 4
    assert figure(STATUS, "penstock_watermark_age_seconds", **critical) == 1.5
    assert figure(STATUS, "penstock_lag_records", stage="triage", priority="low") == 10


def test_stages_lanes_nodes_and_orders_are_shown():
    assert figure(STATUS, "penstock_ready") == 1
    assert figure(STATUS, "penstock_enforce") == 0
    assert figure(STATUS, "penstock_paused", priority="low") == 1
    assert figure(STATUS, "penstock_paused", priority="critical") == 0
    assert figure(STATUS, "penstock_settled_total", stage="triage") == 12
    assert figure(STATUS, "penstock_commit_failures_total", stage="triage") == 1
    assert figure(STATUS, "penstock_rebalance_seconds_total", stage="triage") == 1.25
    assert figure(STATUS, "penstock_rebalance_last_seconds", stage="triage") == 0.25
    assert figure(STATUS, "penstock_redelivered_total", stage="triage") == 4
    assert figure(STATUS, "penstock_holds_total", stage="triage") == 6
    assert figure(STATUS, "penstock_stage_failures_total", stage="triage") == 8
    assert figure(STATUS, "penstock_stage_backoffs_total", stage="triage") == 5
    assert figure(STATUS, "penstock_condemned_total", stage="triage") == 1
    assert figure(STATUS, "penstock_missed_total", stage="triage") == 15
    assert figure(STATUS, "penstock_queue_items", priority="high") == 4
    assert figure(STATUS, "penstock_queue_oldest_seconds", priority="high") == 0.75
    assert figure(STATUS, "penstock_lane_inflight", priority="high") == 2
    assert figure(STATUS, "penstock_node_up", node="node-a") == 1
    assert figure(STATUS, "penstock_node_up", node="node-b") == 0
    assert figure(STATUS, "penstock_node_inflight", node="node-a") == 2
    assert figure(STATUS, "penstock_node_limit", node="node-a") == 8
    assert figure(STATUS, "penstock_node_limit", node="node-b") == 2
    assert figure(STATUS, "penstock_node_failed_total", node="node-b") == 3
    assert figure(STATUS, "penstock_node_refused_total", node="node-b") == 5
    assert figure(STATUS, "penstock_node_answered_total", node="node-a") == 31


def test_outcomes_are_shown():
    assert figure(STATUS, "penstock_verdicts_total", priority="high", action="block", decided_by="rule") == 9
    assert figure(STATUS, "penstock_dead_letters_total", stage="triage") == 3
    assert figure(STATUS, "penstock_errors_total") == 2


def test_durations_are_cumulative_histograms_in_seconds(a_verdict):
    tally = Tally()
    tally.verdict(a_verdict)
    status = tally.onto(STATUS)

    assert figure(status, "penstock_wait_seconds_count", stage="kafka", priority="high") == 1
    assert figure(status, "penstock_wait_seconds_sum", stage="kafka", priority="high") == 0.003
    assert figure(status, "penstock_wait_seconds_bucket", stage="queue", priority="high", le="0.025") == 0
    assert figure(status, "penstock_wait_seconds_bucket", stage="queue", priority="high", le="0.05") == 1
    assert figure(status, "penstock_wait_seconds_bucket", stage="queue", priority="high", le="+Inf") == 1
    assert figure(status, "penstock_e2e_seconds_count", priority="high") == 1
    assert figure(status, "penstock_e2e_seconds_count", priority="low") == 0
    assert figure(status, "penstock_inference_seconds_sum", node="node-a", tier="default") == 0.4
    buckets = [name for name, labels in figures(status) if name == "penstock_e2e_seconds_bucket"]
    assert len(buckets) == 4 * (len(BOUNDS_MS) + 1)


def test_a_hostile_node_name_cannot_break_the_format():
    name = 'a"b\\c\nd{e="f"} 1'
    status = msgspec.structs.replace(
        STATUS,
        nodes=(NodeStatus(name=name, state="up", in_flight=0, slots=1, answered=0, last_error=""),),
    )

    assert figure(status, "penstock_node_up", node=name) == 1


def test_a_worker_that_has_done_nothing_has_figures():
    status = Tally().onto(WorkerStatus(worker="worker-1", pid=1, ready=False))

    assert figure(status, "penstock_ready") == 0
    assert figure(status, "penstock_errors_total") == 0


@pytest.fixture
def a_verdict() -> Verdict:
    return msgspec.convert(
        {
            "v": 1,
            "verdict_id": "0" * 32,
            "tenant": "default",
            "id": "post-1",
            "content_digest": "0" * 32,
            "kind": "moderate",
            "priority": "high",
            "rev": 2,
            "status": "final",
            "action": "allow",
            "labels": (),
            "confidence": 0.9,
            "decided_by": "model",
            "reasons": (),
            "policy": PolicyRef(id="default", version=1, digest="0" * 32),
            "timing": Timing(kafka_ms=3.0, queue_ms=40.0, inference_ms=400.0, total_ms=443.0),
            "attempts": 1,
            "coverage": 1.0,
            "source": {"topic": "content.high", "partition": 0, "offset": 0, "timestamp_ms": 0},
            "decided_at": "2025-01-01T00:00:00Z",
            "model": ModelRef(name="m", node="node-a"),
        },
        type=Verdict,
    )


def test_the_page_on_observing_names_every_figure_and_no_other():
    page = (Path(__file__).parents[2] / "docs" / "observing.md").read_text()
    rows = [
        line.split("|")[1] for line in page.splitlines() if line.startswith("| `") and "/" not in line[:5]
    ]
    named = {name for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row)}
    parsed = text_string_to_metric_families(exposition(STATUS).decode())
    told = {
        family.name.removeprefix("penstock_") + ("_total" if family.type == "counter" else "")
        for family in parsed
    }

    assert named == told
