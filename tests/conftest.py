"""What all tests share: markers by folder, nobody's own settings, one embedded Kafka, no skips in CI.

`kafka` is the bootstrap address of a real broker. It is started by the first test that asks for it and
shared by all: a test takes `topics_prefix`, which no other test has, and is alone with its topics.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from infra.settings.sources import ENVIRONMENT_CONFIG, ENVIRONMENT_PREFIX
from schemas.settings import EmbeddedSettings

_HERE = Path(__file__).parent
_MARKED_FOLDERS = ("broker", "fault", "interop")
_IN_CI = os.environ.get("CI", "") not in {"", "0", "false"}


def pytest_configure() -> None:
    """Hypothesis without a deadline for one example: on a busy machine it would tell of the machine.

    And Ctrl-C for all that we start, which a shell takes from what it runs in the background.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    parent = hypothesis.settings.get_profile("ci" if _IN_CI else "default")
    hypothesis.settings.register_profile("penstock", parent=parent, deadline=None)
    hypothesis.settings.load_profile("penstock")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder, so that a forgotten mark cannot put a broker into `make check`."""
    for item in items:
        folder = item.path.relative_to(_HERE).parts[0] if item.path.is_relative_to(_HERE) else ""
        if folder in _MARKED_FOLDERS:
            item.add_marker(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a skipped test is a failed one: what is missing there must be installed."""
    report = yield
    if _IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: CI allows no skips. {report.longrepr[2]}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _nobodys_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the variables and the settings file of whoever runs the tests: these are about the defaults."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith(ENVIRONMENT_PREFIX) or name == ENVIRONMENT_CONFIG:
                patch.delenv(name)
        # Settings are looked for in the current directory, and state is kept below it.
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        yield


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a real broker: the one named, the one that `make broker` left, or a fresh one."""
    running = os.environ.get("PENSTOCK_TEST_BOOTSTRAP") or _left_running()
    if running:
        yield running
        return
    # Only here: most runs need no broker, nor the means to start one.
    from infra.embedded import EmbeddedKafka  # noqa: PLC0415

    broker = EmbeddedKafka(tmp_path_factory.mktemp("kafka"), EmbeddedSettings())
    bootstrap = broker.start()
    try:
        yield bootstrap
    finally:
        broker.stop()


@pytest.fixture
def topics_prefix() -> str:
    """Give a prefix for topics and groups that no other test has."""
    return f"t{uuid.uuid4().hex[:12]}."


def _left_running() -> str | None:
    data_dir = os.environ.get("PENSTOCK_TEST_DATA_DIR")
    if not data_dir:
        return None
    try:
        bootstrap = str(
            json.loads((_HERE.parent / data_dir / "kafka" / "instance.json").read_text())["bootstrap"]
        )
        host, _, port = bootstrap.partition(",")[0].rpartition(":")
        # A broker that was killed leaves its file behind: it counts only if somebody answers.
        with socket.create_connection((host, int(port)), timeout=1):
            return bootstrap
    except (OSError, ValueError, KeyError):
        return None
