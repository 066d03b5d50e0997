"""Children of `up` are killed at random moments, ten times: all comes back, nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadline import until
from up_process import UpProcess

from infra.clients import Found, reach
from infra.errors import ExitCode
from infra.following import follow
from infra.supervise.processes import started_at
from schemas.effective import EffectiveVerdicts
from schemas.settings import Settings
from schemas.wire import decode_verdict, event_decoder
from streams.topics import Topics

KILLS = 10
SENT = 400
RATE_PER_S = 12
# More restarts of one child than ten kills in three kinds need, however the dice fall.
RESTARTS_MAX = 20


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_ten_kills_of_any_child_lose_and_double_nothing(data_dir: Path) -> None:
    chance = random.Random(20_260_101)
    words = (
        "--demo",
        f"--until={SENT}",
        f"--rate={RATE_PER_S}",
        f"--set=supervise.restarts_max={RESTARTS_MAX}",
    )
    with UpProcess(data_dir, "--workers=2", *words) as up:
        up.await_ready()
        killed = Counter(_kill_one(up, chance) for _ in range(KILLS))
        assert killed.total() == KILLS
        assert up.wait(within_s=240) == ExitCode.OK, up.said
    for name, times in killed.items():
        assert up.said.count(f"{name} died: SIGKILL") == times
    with UpProcess(data_dir) as after:
        after.await_ready()
        _assert_one_effective_verdict_each(data_dir)


def test_a_child_that_is_killed_again_and_again_is_given_up_with_a_reason(data_dir: Path) -> None:
    with UpProcess(data_dir) as up:
        up.await_ready()
        for _ in range(6):
            _kill(up, "node")
        assert up.wait(within_s=30) == ExitCode.CHILD_KEPT_DYING
        assert up.left() == []
    assert "penstock: node: it died 6 times within 60 s, at last: SIGKILL" in up.said
    assert up.said.count("starting it again") == 5


def _kill_one(up: UpProcess, chance: random.Random) -> str:
    """Kill a child at a moment of chance; which one it was."""
    # Not a wait for anything: the moment is the dice's.
    time.sleep(chance.uniform(0.2, 2.5))
    return _kill(up, chance.choice(("kafka", "node", "worker-1", "worker-2")))


def _kill(up: UpProcess, name: str) -> str:
    """Kill a child of this name as soon as there is one."""
    pid = until(lambda: _living(up, name), within_s=60, what=f"{name} runs\n{up.said}")
    os.kill(pid, signal.SIGKILL)
    until(lambda: _living(up, name) != pid, within_s=10)
    return name


def _living(up: UpProcess, name: str) -> int:
    pid = up.children().get(name, 0)
    return pid if pid and started_at(pid) else 0


def _assert_one_effective_verdict_each(data_dir: Path) -> None:
    settings = Settings(data_dir=str(data_dir))
    sent = Counter(_ids_sent(settings))
    effective = EffectiveVerdicts()
    topic = Topics.of(settings.topics).verdicts
    verdicts = [decode_verdict(found.value) for found in _all(settings, topic)]
    judged = Counter(verdict.id for verdict in verdicts if effective.add(verdict))
    assert len(sent) == SENT
    assert set(sent.values()) == {1}
    assert judged == sent


def _ids_sent(settings: Settings) -> Iterator[str]:
    decode = event_decoder(settings.limits.record_bytes_max)
    topics = Topics.of(settings.topics)
    for priority in ("critical", "high", "medium", "low"):
        for found in _all(settings, topics.content(priority)):
            yield decode(found.value).id


def _all(settings: Settings, topic: str) -> Iterator[Found]:
    return follow(settings, reach(settings), [topic], "start", on_and_on=False)
