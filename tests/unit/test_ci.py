"""What CI runs looks at its tools before it spends minutes: the script itself, with tools that say little."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ci(tmp_path: Path):
    """Give a run of `.ci/run` in a folder of its own where Node.js has this version; make only says what."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    tools = tmp_path / "tools"
    tools.mkdir()

    def run(node: str) -> subprocess.CompletedProcess[str]:
        scripts = {"node": f"echo {node}", "kcat": "", "npm": "", "python3": "", "make": 'echo "made $1"'}
        for name, script in scripts.items():
            (tools / name).write_text(f"#!/bin/sh\n{script}\n")
            (tools / name).chmod(0o755)
        return subprocess.run(
            [tmp_path / ".ci" / "run"],
            env={"PATH": f"{tools}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    return run


@pytest.mark.parametrize("version", ["v18.19.0", "v20.18.9", "v9.99.0", "nonsense"])
def test_a_node_that_is_too_old_is_told_before_anything_is_made(ci, version: str) -> None:
    done = ci(version)
    assert done.returncode == 1
    assert "made" not in done.stdout
    assert done.stderr.count("\n") == 1
    assert f"Node.js 20.19 or newer is needed, and this one is {version}" in done.stderr
    assert "CONTRIBUTING.md" in done.stderr


@pytest.mark.parametrize("version", ["v20.19.0", "v20.20.2", "v22.1.0"])
def test_a_node_that_is_new_enough_is_used(ci, version: str) -> None:
    done = ci(version)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("made")] == [
        "made lint",
        "made test",
        "made interop",
    ]
