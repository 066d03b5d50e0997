"""A running process takes up what is live, names what needs a restart, and is not hurt by a broken file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from deadline import eventually
from hypothesis import given
from hypothesis import strategies as st

from infra.settings import Reloader, Sources, read
from infra.settings.checks import problems
from infra.settings.leaves import leaves, value_at
from infra.settings.reading import with_values
from infra.settings.reloading import Changes, decide, diff
from schemas.settings import NodeSettings, Secret, Settings

# Two values of each of some settings of either sort, of which some do not fit to each other.
CHOICES: dict[str, tuple[Any, ...]] = {
    "judge.attempts_max": (4, 5),
    "telemetry.log_level": ("info", "debug"),
    "limits.record_bytes_max": (1_000_000, 6_000_000),
    "kafka.message_bytes_max": (4 << 20, 16 << 20),
    "kafka.linger_ms": (5, 6),
    "secret": (Secret(), Secret("hunter2")),
    "nodes": ((), (NodeSettings(url="http://h:1"),)),
}
TREES = st.fixed_dictionaries({path: st.sampled_from(values) for path, values in CHOICES.items()}).map(
    lambda values: with_values(Settings(), values)
)


class TestTheDecision:
    def test_the_choices_are_of_both_sorts(self) -> None:
        assert {leaves()[path].reload for path in CHOICES} == {"live", "restart"}

    @given(TREES, TREES)
    def test_the_difference_is_every_leaf_that_differs_by_its_sort(
        self, old: Settings, new: Settings
    ) -> None:
        changes = diff(old, new)
        differing = {path for path in CHOICES if value_at(old, path) != value_at(new, path)}
        assert {*changes.live, *changes.restart} == differing
        assert all(leaves()[path].reload == "live" for path in changes.live)
        assert all(leaves()[path].reload == "restart" for path in changes.restart)

    @given(TREES.filter(lambda tree: not problems(tree)), TREES.filter(lambda tree: not problems(tree)))
    def test_what_runs_is_always_a_tree_that_a_start_would_accept(self, old: Settings, new: Settings) -> None:
        applied = decide(old, new)
        assert not problems(applied.settings)
        assert diff(old, applied.settings) == Changes(live=applied.changed)
        assert set(applied.changed) in (set(), set(diff(old, new).live))
        assert bool(applied.sentence) == (old != new)
        assert all(path in applied.sentence for path in (*diff(old, new).live, *diff(old, new).restart))

    def test_answers_that_would_outlive_their_topic_wait_for_a_restart(self) -> None:
        new = with_values(Settings(), {"memory.ttl_hours_max": 200, "topics.memory_retention_hours": 200})
        applied = decide(Settings(), new)
        assert applied.settings == Settings()
        assert applied.sentence.startswith("settings changed that only fit together after a restart")

    def test_what_only_fits_together_after_a_restart_waits_for_it(self) -> None:
        new = with_values(
            Settings(), {"limits.record_bytes_max": 6_000_000, "kafka.message_bytes_max": 16 << 20}
        )
        applied = decide(Settings(), new)
        assert applied.settings == Settings()
        assert applied.sentence == (
            "settings changed that only fit together after a restart: "
            "limits.record_bytes_max, kafka.message_bytes_max"
        )

    def test_both_sorts_are_told_in_one_sentence(self) -> None:
        new = with_values(Settings(), {"judge.attempts_max": 9, "kafka.linger_ms": 9})
        assert decide(Settings(), new).sentence == (
            "settings taken up: judge.attempts_max; "
            "settings that need a restart have changed: kafka.linger_ms"
        )


class Running:
    """A reloader at work on a file, with everything that it said."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "penstock.toml"
        self.changed: list[tuple[int, list[str]]] = []
        self.reported: list[str] = []
        self.reloader = Reloader(
            read(Sources(directory=directory)),
            lambda settings, paths: self.changed.append((settings.judge.attempts_max, paths)),
            report=self.reported.append,
            interval_s=0.01,
        )

    def write(self, text: str) -> None:
        """Replace the file, as an editor does: never seen half written."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.file)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    (tmp_path / "penstock.toml").write_text("[judge]\nattempts_max = 4\n")
    process = Running(tmp_path)
    task = asyncio.create_task(process.reloader.run())
    yield process
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_a_changed_file_is_taken_up(running: Running) -> None:
    running.write("[judge]\nattempts_max = 7\n")
    await eventually(lambda: running.reported, within_s=5)
    assert running.changed == [(7, ["judge.attempts_max"])]
    assert running.reported == ["settings taken up: judge.attempts_max"]
    assert running.reloader.settings.judge.attempts_max == 7


async def test_a_broken_file_changes_nothing_and_is_told(running: Running) -> None:
    running.write("[judge]\nattempts_max = 0\n")
    await eventually(lambda: running.reported, within_s=5)
    assert running.reported == [
        (
            "settings not reloaded, the running ones stay: settings: judge.attempts_max = 0 "
            f"({running.file}:2): must be a whole number from 1 to 20"
        )
    ]
    assert running.changed == []
    assert running.reloader.settings.judge.attempts_max == 4

    running.write("[judge]\nattempts_max = 5\n")
    await eventually(lambda: running.changed, within_s=5, what="a mended file is taken up")
    assert running.changed == [(5, ["judge.attempts_max"])]


async def test_a_file_that_is_gone_means_the_defaults(running: Running) -> None:
    running.write("[judge]\nattempts_max = 5\n")
    await eventually(lambda: running.changed, within_s=5)
    running.file.unlink()
    await eventually(lambda: len(running.changed) == 2, within_s=5)
    assert running.changed[1] == (4, ["judge.attempts_max"])


async def test_what_needs_a_restart_is_named_and_not_applied(running: Running) -> None:
    running.write("[judge]\nattempts_max = 4\n[kafka]\nlinger_ms = 9\n")
    await eventually(lambda: running.reported, within_s=5)
    assert running.reported == ["settings that need a restart have changed: kafka.linger_ms"]
    assert running.changed == []
    assert running.reloader.settings.kafka.linger_ms == 5


async def test_a_changed_secret_file_is_seen(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("one")
    (tmp_path / "penstock.toml").write_text("secret_file = 's'")
    process = Running(tmp_path)
    task = asyncio.create_task(process.reloader.run())
    (tmp_path / "s").write_text("two, longer")
    await eventually(lambda: process.reported, within_s=5)
    task.cancel()
    assert process.reported == ["settings that need a restart have changed: secret"]


async def test_a_signal_asks_at_once_and_is_answered_even_if_nothing_has_changed(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text("")
    process = Running(tmp_path)
    process.reloader = Reloader(
        read(Sources(directory=tmp_path)),
        lambda *_: None,
        report=process.reported.append,
        interval_s=3_600,
    )
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, process.reloader.ask)
    task = asyncio.create_task(process.reloader.run())
    try:
        os.kill(os.getpid(), signal.SIGHUP)
        await eventually(lambda: process.reported, within_s=5)
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        task.cancel()
    assert process.reported == ["settings read again: nothing has changed"]


async def test_cancelled_it_ends_and_leaves_the_settings_as_they_were(running: Running) -> None:
    task = asyncio.create_task(running.reloader.run())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running.reloader.settings.judge.attempts_max == 4
    assert repr(running.reloader) == "<Reloader watching 1 files>"
