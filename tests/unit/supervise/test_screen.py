"""What `up` shows on a terminal and elsewhere."""

from __future__ import annotations

import io

from infra.load.tally import RunTally
from infra.supervise.hearing import Heard
from infra.supervise.screen import Screen
from infra.supervise.standing import Standing
from streams.clock import ManualClock


class FakeTerminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_status_line_is_written_anew_below_what_stays() -> None:
    out, clock = FakeTerminal(), ManualClock()
    screen = Screen(out, clock)
    screen.status("one")
    screen.say("stays")
    screen.status("two")
    screen.close()
    assert out.getvalue() == "one\r\x1b[2Kstays\none\r\x1b[2Ktwo\r\x1b[2K"


def test_a_hint_is_shown_on_a_terminal_only_and_taken_back() -> None:
    terminal, file = FakeTerminal(), io.StringIO()
    for out in (terminal, file):
        screen = Screen(out, ManualClock())
        screen.hint("kafka …")
        screen.say("kafka ready")
        screen.close()
    assert terminal.getvalue().startswith("kafka …\r\x1b[2Kkafka ready\n")
    assert file.getvalue() == "kafka ready\n"


def test_a_status_line_never_wraps() -> None:
    out = FakeTerminal()
    Screen(out, ManualClock()).status("x" * 500)
    assert len(out.getvalue()) < 200


def test_a_terminal_is_not_flooded_and_is_told_how_much_was_left_out() -> None:
    out, clock = FakeTerminal(), ManualClock()
    screen = Screen(out, clock)
    for number in range(100):
        screen.stream(f"line {number}")
    assert out.getvalue().count("line") == 12
    clock.advance(1_000)
    screen.stream("later")
    assert out.getvalue().endswith("… and 88 more\nlater\n")


def test_in_a_file_every_line_is_there_and_the_status_every_few_seconds() -> None:
    out, clock = io.StringIO(), ManualClock()
    screen = Screen(out, clock)
    for number in range(100):
        screen.stream(f"line {number}")
    assert screen.is_status_due
    screen.status("how it stands")
    assert not screen.is_status_due
    clock.advance(5_000)
    assert screen.is_status_due
    assert out.getvalue().count("line") == 100
    assert "\x1b" not in out.getvalue()


def test_the_status_says_children_verdicts_rate_waits_and_lag() -> None:
    standing = Standing(up=3, children=4, restarts=1, sent=7, tally=RunTally(), elapsed_s=2.0, heard=Heard(5))
    assert str(standing) == "3/4 up, 1 restart | 0 verdicts of 7 sent (0.0/s) | lag 5"


def test_the_status_says_why_the_lag_may_rest() -> None:
    heard = Heard(None, ("worker-2 does not answer", "paused: high"))
    standing = Standing(up=4, children=4, restarts=0, sent=7, tally=RunTally(), elapsed_s=2.0, heard=heard)
    assert str(standing).startswith("4/4 up | worker-2 does not answer | paused: high | 0 verdicts ")
    assert str(standing).endswith(" | lag ?")
