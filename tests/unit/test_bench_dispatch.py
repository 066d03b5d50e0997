"""The bench of the dispatch: its ground is what it says, its search finds the best, its peers are there."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import infra.bench.dispatch_suite as suite
from infra.bench.dispatch_suite import __main__ as command
from infra.bench.dispatch_suite.contenders import POLICY, post
from infra.bench.dispatch_suite.grounds import Ground, backlog, best_fixed, ours, plain
from infra.bench.dispatch_suite.serving import engines
from infra.bench.dispatch_suite.simulated import Engine
from infra.nodes.engines.wires import reply_in
from infra.nodes.reference.chat import MODEL
from infra.nodes.responses import judgement_in
from streams.core.formats import general
from streams.core.requests import OPENAI_DIALECT

SMALL = Ground(Engine(slots=4, alpha_ms=200.0))
GROWING = Ground(Engine(slots=64, alpha_ms=200.0, beta_ms=40.0), goal_ms=600.0)
FOREIGN = Path(suite.__file__).with_name("foreign.py")


def test_a_semaphore_of_all_slots_fills_them():
    assert plain(SMALL, 4, backlog, 20.0).per_s(10.0, 20.0) == pytest.approx(20, abs=1)


def test_the_dispatch_fills_them_too():
    assert ours(SMALL, backlog, 20.0).per_s(10.0, 20.0) == pytest.approx(20, abs=1)


def test_the_search_finds_the_largest_limit_that_meets_the_goal():
    # 200 + 40 x 10 is 600.
    limit, per_s = best_fixed(GROWING)
    assert limit == 10
    assert per_s == pytest.approx(10 / 0.6, rel=0.05)


def test_engines_slow_down_when_they_are_told_to():
    log = ours(SMALL, backlog, 40.0, slow_at_s=20.0)
    assert log.per_s(10.0, 20.0) == pytest.approx(2 * log.per_s(30.0, 40.0), rel=0.05)


def test_the_engine_on_a_wire_gives_an_answer_that_our_client_takes():
    asking = general.asking(POLICY, "moderate", MODEL, OPENAI_DIALECT)
    with engines(1, 1.0) as urls:
        (body,) = asking.build(post(0, tokens=10).event)
        request = urllib.request.Request(f"{urls[0]}/v1/chat/completions", data=body)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            judgement = judgement_in(asking, [reply_in(response.read(), "openai")])
    assert judgement.confidence > 0


def test_a_peer_is_measured_by_a_script_that_needs_nothing_of_ours():
    with engines(1, 1.0) as urls:
        command_line = (sys.executable, "-P", str(FOREIGN), "httpx", "4", "40", *urls)
        done = subprocess.run(
            command_line, capture_output=True, text=True, timeout=60, check=True, env={"PATH": ""}
        )
    assert json.loads(done.stdout).keys() == {"cpu_us", "per_s"}


def test_a_section_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["--only", "nothing"])
    assert "invalid choice" in capsys.readouterr().err
