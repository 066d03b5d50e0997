"""What the fault tests share: their size, a report of one line for each trial, and Kafkas that may be broken.

`--full` runs each scenario at its full size; without it each is short enough for `make test`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest
from chaos.trial import FULL, SHORT, WORKS, Setting, Size, Trials
from chaos.worker import Work

from infra.embedded import EmbeddedKafka
from schemas.settings import EmbeddedSettings

_LINES = pytest.StashKey[list[str]]()

MakeTrials = Callable[..., Trials]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Heard when this folder is named on the command line, as `make fault` does."""
    parser.addoption("--full", action="store_true", help="fault tests at their full size")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One kind of work with static members, the other with dynamic ones; in the full suite each with both."""
    if "static" in metafunc.fixturenames:
        kinds = WORKS if _is_full(metafunc.config) else WORKS[:1]
        metafunc.parametrize("static", [(kind,) for kind in kinds], ids=[f"static {kind}" for kind in kinds])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line for each trial, seen without `-s`."""
    for line in config.stash.get(_LINES, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def size(pytestconfig: pytest.Config) -> Size:
    return FULL if _is_full(pytestconfig) else SHORT


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """Give a Kafka of one broker, which no test outside of this folder shares."""
    with EmbeddedKafka(tmp_path_factory.mktemp("one") / "kafka", EmbeddedSettings()) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """Give a Kafka of three."""
    with EmbeddedKafka(tmp_path_factory.mktemp("three") / "kafka", EmbeddedSettings(brokers=3)) as kafka:
        yield kafka


@pytest.fixture
def trials(request: pytest.FixtureRequest, size: Size, topics_prefix: str, tmp_path: Path) -> MakeTrials:
    """Give what makes the two trials of a test, one of each kind of work."""
    lines = request.config.stash.setdefault(_LINES, [])
    name = request.node.name.removeprefix("test_").replace("_", " ")

    def made(kafka: EmbeddedKafka, *, static: Collection[Work] = WORKS, **timeouts: int) -> Trials:
        setting = Setting(
            bootstrap=kafka.bootstrap,
            prefix=topics_prefix,
            directory=tmp_path,
            static=static,
            replicas=len(kafka.brokers),
            **timeouts,
        )
        return Trials(name, setting, size, lines.append)

    return made


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Give what adds a line to the report."""
    return request.config.stash.setdefault(_LINES, []).append


def _is_full(config: pytest.Config) -> bool:
    return bool(config.getoption("--full", default=False))
