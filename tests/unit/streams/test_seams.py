"""The names of Faust, mode and aiokafka that the engine leans on and nobody promises: all are still there.

A new release that moves one fails here by name, before it fails in a rebalance: hence the pinned versions.
"""

from __future__ import annotations

import ast
import inspect
import re
import threading
from importlib.metadata import version
from pathlib import Path

import aiokafka
import faust
import faust.app.base
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, SubscriptionState, TopicPartitionState
from aiokafka.errors import UnknownError, for_code
from aiokafka.protocol.group import JoinGroupRequest, JoinGroupResponse_v5
from faust.tables.manager import TableManager
from faust.topics import Topic
from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.drivers import aiokafka as driver
from mode.threads import ServiceThread, WorkerThread

import streams.app
import streams.broadcast
import streams.connecting
import streams.continuity
import streams.fetching
import streams.membership
import streams.transport
import streams.unpacking

# What is overridden or called, and whose it is.
SEAMS = {
    "_compile_decode": Topic,
    "_create_event": Topic,
    "_update_channels": TableManager,
    "_create_worker_consumer": driver.AIOKafkaConsumerThread,
    "_gather_remaining_tasks": driver.AIOKafkaConsumerThread,
    "_commit": driver.AIOKafkaConsumerThread,
    "_ensure_consumer": driver.AIOKafkaConsumerThread,
    "_drain_messages": driver.Consumer,
    "_get_active_partitions": driver.Consumer,
    "_create_fetch_waiter": Fetcher,
    "_get_conn": AIOKafkaClient,
    "_new_consumer_thread": driver.Consumer,
    "_start_thread": ServiceThread,
    "_stopped_set": ServiceThread,
    "_consumer_record": PartitionRecords,
}
# What is only there once an object is made; its class's source must name it.
ATTRIBUTES = {
    "_assignor": driver.AIOKafkaConsumerThread,
    "_close_thread_loop_on_stop": ServiceThread,
    "_consumer": driver.AIOKafkaConsumerThread,
    "_client": aiokafka.AIOKafkaConsumer,
    "_conns": AIOKafkaClient,
    "_writer": AIOKafkaConnection,
    "_member_id": JoinGroupRequest,
    "_thread": driver.Consumer.__mro__[1],
    "_fetcher": aiokafka.AIOKafkaConsumer,
    "_coordinator": aiokafka.AIOKafkaConsumer,
    "_closed": Fetcher,
    "_records": Fetcher,
    "_subscription": aiokafka.AIOKafkaConsumer,
    "_subscriptions": Fetcher,
    "_position": TopicPartitionState,
    "_partition_records": FetchResult,
    "_tp": PartitionRecords,
    "_aborted_transactions": PartitionRecords,
    "_check_crcs": PartitionRecords,
    "_isolation_level": PartitionRecords,
    "_records_iterator": PartitionRecords,
    "_sync_task": AIOKafkaClient,
}
OURS = {
    "_BATCHES_WAITING_MAX",
    "_CLOSE_S",
    "_COMMIT_S",
    "_HELD_WAIT_S",
    "_IDLE_WAIT_S",
    "_LISTEN_S",
    "_POLL_INTERVAL_MS",
}


# What carries no underscore and is no promise either. Ours take the place of these, and are called in it.
OVERRIDDEN: dict[type, set[str]] = {
    streams.transport.BatchTopic: {"decode"},
    streams.transport.PromptTableManager: {"on_start"},
    streams.transport.BatchConsumer: {
        "force_commit",
        "on_partitions_assigned",
        "on_partitions_revoked",
        "seek_to_committed",
        "wait_empty",
    },
    streams.transport.SilentProducer: {"flush", "on_start", "on_stop", "send"},
    streams.transport.BatchTransport: {"Consumer", "Producer"},
    streams.fetching.BatchConsumerThread: {
        "commit",
        "getmany",
        "on_crash",
        "on_thread_stop",
        "seek_to_committed",
        "shutdown_timeout",
        "verify_event_path",
    },
    streams.connecting.PatientClient: {"send"},
    streams.broadcast.Broadcast: {"on_start", "on_stop"},
}
# These are read or called, and set or made in the source of their owner.
PUBLIC = {
    "await_reset": TopicPartitionState,
    "can_resume_flow": FaustConsumer,
    "consumer_generation_id": driver.ConsumerRebalanceListener,
    "flow_active": FaustConsumer,
    "force_metadata_update": AIOKafkaClient,
    "generation": GroupCoordinator,
    "next_fetch_offset": PartitionRecords,
    "noack": faust.Stream,
    "on_before_shutdown": faust.app.base.App,
    "producer_transport": faust.app.base.App,
    "transport": faust.app.base.App,
}
# What `app.py` chooses. Faust takes any other name without a word.
SETTINGS = (
    "Topic",
    "TableManager",
    "autodiscover",
    "broker_commit_interval",
    "broker_request_timeout",
    "consumer_group_instance_id",
    "datadir",
    "stream_buffer_maxsize",
    "stream_wait_empty",
    "topic_allow_declare",
    "topic_disable_leader",
    "web_enabled",
)


@pytest.mark.parametrize(
    ("ours", "names"), OVERRIDDEN.items(), ids=lambda value: getattr(value, "__name__", "")
)
def test_what_ours_take_the_place_of_is_there_and_is_called_alike(ours: type, names: set[str]) -> None:
    theirs = ours.__mro__[1:]
    # mode writes these into every service.
    made = {"abstract", "logger", "mundane_level"}
    assert {
        name
        for name in vars(ours)
        if not name.startswith("_") and any(name in vars(owner) for owner in theirs)
    } - made == names
    for name in names:
        own, base = vars(ours)[name], getattr(ours.__mro__[1], name)
        assert inspect.iscoroutinefunction(own) == inspect.iscoroutinefunction(base), name


@pytest.mark.parametrize(("name", "owner"), PUBLIC.items())
def test_what_is_public_and_no_promise_is_there(name: str, owner: type) -> None:
    assert hasattr(owner, name) or re.search(rf"\b{name}\b", inspect.getsource(owner))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_an_app_is_made_with_is_there(name: str) -> None:
    assert name in inspect.getsource(streams.app)
    assert hasattr(faust.Settings, name)


def test_faust_calls_what_drains_and_waits_for_who_lets_the_flow_go_on() -> None:
    assert "await consumer.wait_empty()" in inspect.getsource(faust.app.base.App._consumer_wait_empty)  # noqa: SLF001
    assert "self.can_resume_flow.set()" in inspect.getsource(FaustConsumer.resume_flow)
    assert "self.can_resume_flow.clear()" in inspect.getsource(FaustConsumer.stop_flow)


def test_the_threads_that_a_worker_waits_for_at_its_end_are_modes() -> None:
    assert issubclass(WorkerThread, threading.Thread)
    assert ServiceThread.Worker in {None, WorkerThread}
    assert "WorkerThread" in inspect.getsource(ServiceThread)


@pytest.mark.parametrize(("name", "owner"), SEAMS.items())
def test_a_method_that_the_engine_leans_on_is_there(name: str, owner: type) -> None:
    assert callable(getattr(owner, name))


@pytest.mark.parametrize(("name", "owner"), ATTRIBUTES.items())
def test_an_attribute_that_the_engine_leans_on_is_there(name: str, owner: type) -> None:
    assert re.search(rf"\bself\.{name}\b|^    {name}: ", inspect.getsource(owner), re.MULTILINE)


def test_what_is_called_on_aiokafkas_own_objects_is_there() -> None:
    assert callable(Fetcher.fetched_records)
    assert isinstance(Fetcher.error_future, property)
    assert callable(SubscriptionState.fetch_context)
    assert isinstance(SubscriptionState.subscription, property)
    assert callable(Assignment.state_value)
    assert "self.highwater = None" in inspect.getsource(TopicPartitionState)
    source = inspect.getsource(GroupCoordinator)
    assert "self.generation" in source
    assert callable(GroupCoordinator.check_errors)
    # Whoever fails to hear of an error makes it wait for ever.
    assert "self._error_consumed_fut.set_result(None)" in source
    # The way on which a member that was replaced is noticed.
    assert "await self._client.send(" in source
    assert callable(AIOKafkaClient.send)
    assert {"error_code", "member_id"} <= set(JoinGroupResponse_v5.SCHEMA.names)


def test_aiokafka_still_does_not_know_that_a_member_was_replaced() -> None:
    """Once it does, `streams.membership` is to be looked at again."""
    assert for_code(82) is UnknownError


def test_no_other_private_name_is_leaned_on() -> None:
    modules = (
        streams.broadcast,
        streams.connecting,
        streams.continuity,
        streams.fetching,
        streams.transport,
        streams.membership,
        streams.unpacking,
    )
    tree = ast.parse("\n".join(_body_of(Path(module.__file__)) for module in modules))
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    defined = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    private = {name for name in used | defined if name.startswith("_") and not name.startswith("__")}
    methods_of_ours = {name for name in defined if not any(hasattr(owner, name) for owner in SEAMS.values())}
    of_objects = {
        "_committing",
        "_continuity",
        "_instance",
        "_kept",
        "_known_as",
        "_mending",
        "_on_fenced",
        "_options",
        "_partitions",
        "_reader",
        "_rescuer",
        "_unreadable_at",
    }
    assert private - methods_of_ours - OURS - of_objects <= SEAMS.keys() | ATTRIBUTES.keys()


def _body_of(module: Path) -> str:
    return module.read_text(encoding="utf-8").replace("from __future__ import annotations", "")


@pytest.mark.parametrize(("package", "tried"), [("faust-streaming", "0.15.3"), ("aiokafka", "0.14.0")])
def test_the_versions_are_those_that_the_seams_were_tried_with(package: str, tried: str) -> None:
    assert version(package) == tried
