"""What is done about a child that died."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ExitCode
from infra.supervise.deciding import (
    Death,
    GiveUp,
    Restart,
    how,
    is_blameless,
    is_in_a_hurry,
    restart_or_give_up,
)
from schemas.settings import SuperviseSettings

SETTINGS = SuperviseSettings()


def _death(at_s: float = 0, status: int = -9, *, was_ever_ready: bool = True, last_words: str = "") -> Death:
    return Death(at_s * 1_000, status, was_ever_ready, last_words)


def test_a_first_death_is_followed_by_a_restart_after_a_short_pause() -> None:
    assert restart_or_give_up([_death()], 0, SETTINGS) == Restart(200)


def test_the_pause_doubles_with_each_death_in_the_window_up_to_a_bound() -> None:
    settings = SuperviseSettings(restarts_max=8)
    deaths = [_death(at_s) for at_s in range(8)]
    decided = [restart_or_give_up(deaths[: n + 1], n * 1_000, settings) for n in range(8)]
    assert decided == [Restart(ms) for ms in (200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000)]


def test_the_sixth_death_within_a_minute_is_the_last() -> None:
    deaths = [_death(at_s, last_words="out of ideas") for at_s in range(6)]
    assert isinstance(restart_or_give_up(deaths[:5], 4_000, SETTINGS), Restart)
    decided = restart_or_give_up(deaths, 5_000, SETTINGS)
    assert isinstance(decided, GiveUp)
    assert decided.exit_code == ExitCode.CHILD_KEPT_DYING
    assert decided.reason.startswith("it died 6 times within 60 s, at last: SIGKILL")
    assert "out of ideas" in decided.reason


def test_deaths_before_the_window_are_forgotten() -> None:
    deaths = [_death(at_s) for at_s in (0, 1, 2, 3, 4, 100)]
    assert restart_or_give_up(deaths, 100_000, SETTINGS) == Restart(200)


@pytest.mark.parametrize(
    "code",
    [
        ExitCode.USAGE,
        ExitCode.POLICY,
        ExitCode.TOPICS,
        ExitCode.POSITION_LOST,
        ExitCode.FENCED,
        ExitCode.FORBIDDEN,
        ExitCode.DAMAGED,
    ],
)
def test_a_mistake_is_not_tried_again_and_is_told_in_the_childs_own_words(code: ExitCode) -> None:
    death = _death(status=code, last_words="No such policy: push one.")
    assert restart_or_give_up([death], 0, SETTINGS) == GiveUp("No such policy: push one.", code)


def test_a_taken_port_is_a_mistake_at_the_first_start_only() -> None:
    first = _death(status=ExitCode.TAKEN, was_ever_ready=False)
    assert isinstance(restart_or_give_up([first], 0, SETTINGS), GiveUp)
    later = _death(status=ExitCode.TAKEN, was_ever_ready=True)
    assert isinstance(restart_or_give_up([later], 0, SETTINGS), Restart)


def test_who_only_says_that_what_it_needs_is_away_is_not_to_blame() -> None:
    assert is_blameless(ExitCode.KAFKA_UNREACHABLE, needs_are_up=False)
    assert not is_blameless(ExitCode.KAFKA_UNREACHABLE, needs_are_up=True)
    assert not is_blameless(-signal.SIGKILL, needs_are_up=False)


@given(
    # Whole milliseconds, so that the window's edge is where both sides compute it.
    st.lists(st.integers(0, 300_000), min_size=1, max_size=30).map(sorted),
    st.integers(0, 10),
    st.integers(1, 120),
)
def test_a_child_is_never_restarted_more_often_than_allowed_in_any_window(
    deaths_at_ms: list[int], restarts_max: int, window_s: int
) -> None:
    settings = SuperviseSettings(restarts_max=restarts_max, restart_window_s=window_s)
    window_ms = window_s * 1_000
    restarted_at_ms = []
    for count, at_ms in enumerate(deaths_at_ms, 1):
        history = [Death(earlier_ms, -9, was_ever_ready=True) for earlier_ms in deaths_at_ms[:count]]
        if isinstance(restart_or_give_up(history, at_ms, settings), GiveUp):
            break
        restarted_at_ms.append(at_ms)
    for end_ms in restarted_at_ms:
        assert sum(end_ms - window_ms < at_ms <= end_ms for at_ms in restarted_at_ms) <= restarts_max


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "exit code 0"),
        (3, "exit code 3, kafka unreachable"),
        (8, "exit code 8, taken or not writable"),
        (77, "exit code 77"),
        (-signal.SIGTERM, "SIGTERM"),
        (-signal.SIGKILL, "SIGKILL, by somebody or for want of memory"),
        (-64, "SIGRTMAX"),
        (-99, "signal 99"),
    ],
)
def test_an_end_is_told_in_words(status: int, words: str) -> None:
    assert how(status) == words


@pytest.mark.parametrize(
    ("number", "since_first_ms", "kills"),
    [
        (signal.SIGTERM, 5, False),
        (signal.SIGINT, 5, False),
        (signal.SIGTERM, 999, False),
        (signal.SIGTERM, 1_000, True),
        (signal.SIGINT, 3_000, True),
        (signal.SIGHUP, 3_000, False),
    ],
)
def test_a_second_signal_kills_at_once_unless_it_is_the_first_by_another_way(
    number: signal.Signals, since_first_ms: float, *, kills: bool
) -> None:
    assert is_in_a_hurry(number, since_first_ms=since_first_ms) == kills
