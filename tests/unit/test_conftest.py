"""What the tests' own configuration promises: marks by folder, no skips in CI, nobody's own settings.

A copy of it is run on a handful of tests in a directory of their own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    shutil.copy(TESTS / "conftest.py", tmp_path)
    shutil.copy(TESTS.parent / "pyproject.toml", tmp_path)
    (tmp_path / "unit").mkdir()
    (tmp_path / "broker").mkdir()
    (tmp_path / "unit" / "test_one.py").write_text(
        "import pytest\n@pytest.mark.skip(reason='no tool')\ndef test_skipped(): ...\n"
        "def test_skips(): pytest.skip('no right')\n"
        "@pytest.mark.xfail\ndef test_known(): assert 0\n"
    )
    (tmp_path / "broker" / "test_two.py").write_text("def test_with_broker(): ...\n")
    return tmp_path


def _pytest(suite: Path, *flags: str, ci: str, **variables: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags, "."],
        cwd=suite,
        env=os.environ | {"CI": ci} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout


def test_at_home_a_skip_is_a_skip(suite: Path) -> None:
    status, out = _pytest(suite, ci="")
    assert "1 passed, 2 skipped, 1 xfailed" in out
    assert status == 0


def test_in_ci_a_skip_is_a_failure_and_an_expected_failure_is_not(suite: Path) -> None:
    status, out = _pytest(suite, ci="true")
    assert "1 failed, 1 passed, 1 xfailed, 1 error" in out
    assert "CI allows no skips. Skipped: no tool" in out
    assert "CI allows no skips. Skipped: no right" in out
    assert status == 1


def test_the_folder_marks_the_test(suite: Path) -> None:
    status, out = _pytest(suite, "-m", "broker", ci="")
    assert "1 passed, 3 deselected" in out
    assert status == 0


def test_running_nothing_is_a_failure(suite: Path) -> None:
    status, out = _pytest(suite, "-m", "interop", ci="")
    assert "4 deselected" in out
    assert status == 5


def test_the_settings_of_whoever_runs_the_tests_are_not_seen(suite: Path) -> None:
    (suite / "penstock.toml").write_text("[kafka]\nbootstrap = 'file:1'\n")
    (suite / "unit" / "test_one.py").write_text(
        "from argparse import Namespace\nfrom infra.settings import Sources, read\n"
        "from schemas.settings import Settings\n"
        "def test_defaults(): assert read(Sources.of(Namespace())).settings == Settings()\n"
    )
    theirs = {"PENSTOCK__KAFKA__BOOTSTRAP": "variable:1", "PENSTOCK_CONFIG": "missing.toml"}
    assert _pytest(suite, "unit", ci="")[1].splitlines()[-1].startswith("2 passed")
    assert _pytest(suite, "unit", ci="", **theirs)[1].splitlines()[-1].startswith("2 passed")


def test_figures_that_tests_measure_stand_in_the_report(suite: Path) -> None:
    (suite / "unit" / "test_one.py").write_text(
        "def test_measured(record_property): record_property('took_us', 4.2)\n"
    )
    status, _ = _pytest(suite, "unit", "--junitxml=report.xml", ci="")
    assert status == 0
    assert '<property name="took_us" value="4.2" />' in (suite / "report.xml").read_text()
