"""The Node.js example does what it says, on a real broker, and is true to the generated types."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from upped import upped

from streams.core.partitioning import partition_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "node"
COPIED = ("produce.mjs", "messages.d.ts", "package.json", "package-lock.json", "tsconfig.json", ".npmrc")
WITHIN_S = 120
VERDICT, DEAD_LETTER, USAGE, LATE = 0, 1, 2, 10


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """Give a copy of the example with its packages installed, as a reader of the page would have it."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (Debian packages nodejs and npm)")
    copy = tmp_path_factory.mktemp("node-example")
    for name in COPIED:
        shutil.copy(EXAMPLE / name, copy / name)
    _run(copy, "npm", "ci")
    return copy


def _run(folder: Path, *command: str, expected: int = 0) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    assert done.returncode == expected, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_example_is_true_to_the_generated_types(example):
    _run(example, "npm", "run", "check")


def test_a_slip_against_the_generated_types_would_be_found(example):
    slip = example / "slip.mjs"
    slip.write_text("/** @type {import('./messages.js').Moderate} */\nexport const event = { v: 1, id: 1 }\n")
    settings = json.loads((example / "tsconfig.json").read_text())
    (example / "slip.json").write_text(json.dumps({**settings, "files": ["slip.mjs"]}))

    said = _run(example, "npx", "--no-install", "tsc", "-p", "slip.json", expected=2)

    assert "not assignable" in said


def test_the_lock_file_names_no_host():
    lock = (EXAMPLE / "package-lock.json").read_text()

    assert "://" not in lock
    assert '"integrity": "sha512-' in lock


def test_it_awaits_the_verdict_on_its_event(example, kafka, topics_prefix, tmp_path):
    with upped(tmp_path, kafka, topics_prefix):
        printed = _run(
            example,
            *("node", "produce.mjs", "--bootstrap", kafka, "--prefix", topics_prefix),
            *("--author", "author-42", "Have a nice day, everybody here."),
        )

    verdict = json.loads(printed)
    assert verdict["status"] == "final"
    assert verdict["priority"] == "critical"
    assert verdict["id"].startswith("example-")
    assert verdict["source"]["partition"] == partition_of(b"author-42", 2), "keyed as Java would"


def test_it_shows_the_dead_letter_of_an_event_that_cannot_be_judged(example, kafka, topics_prefix, tmp_path):
    with upped(tmp_path, kafka, topics_prefix, "--set=limits.text_bytes_max=256"):
        printed = _run(
            example,
            *("node", "produce.mjs", "--bootstrap", kafka, "--prefix", topics_prefix, "x" * 300),
            expected=DEAD_LETTER,
        )

    letter = json.loads(printed)
    assert letter["stage"] == "triage"
    assert letter["path"] == "$.text"


def test_it_gives_up_where_nobody_answers(example, kafka, topics_prefix, tmp_path):
    with upped(tmp_path, kafka, topics_prefix):
        pass  # The topics are there now, and no worker is.

    _run(
        example,
        *("node", "produce.mjs", "--bootstrap", kafka, "--prefix", topics_prefix, "--within", "2", "text"),
        expected=LATE,
    )


def test_it_says_how_it_is_used(example):
    _run(example, "node", "produce.mjs", expected=USAGE)
