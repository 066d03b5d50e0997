"""The layout keeps its promises: what is installed, what is pinned, who may import whom, what no file names.

These hold the files at the top of the repository to what CONTRIBUTING says of them.
"""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from infra import cli
from infra.policies import default_policy_path

ROOT = Path(__file__).parents[2]
PYPROJECT_TEXT = (ROOT / "pyproject.toml").read_text()
PYPROJECT = tomllib.loads(PYPROJECT_TEXT)
PACKAGES = ("schemas", "streams", "agents", "infra", "policies")
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


def _source_files() -> Iterator[Path]:
    """What git tracks: whatever else somebody keeps in the checkout is theirs."""
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=30).stdout
    # A file that was deleted and not yet committed is listed, too.
    yield from filter(Path.is_file, (ROOT / os.fsdecode(name) for name in listed.split(b"\0") if name))


def _pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ ;]+)", lock.read_text(), re.MULTILINE))


# -- what is installed --


def test_every_package_is_typed_and_installed() -> None:
    assert tuple(PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == PACKAGES
    assert [name for name in PACKAGES if not (ROOT / name / "py.typed").exists()] == []


def test_the_wheel_holds_the_packages_and_the_default_policy_and_no_tests(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert default_policy_path().relative_to(ROOT).as_posix() in names
    assert {f"{name}/py.typed" for name in PACKAGES} <= set(names)
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)


# -- what is pinned --


def test_every_dependency_stands_under_its_reason() -> None:
    block = PYPROJECT_TEXT.partition("[project.scripts]")[0] + PYPROJECT_TEXT.partition("dev = [")[2]
    lines = block.partition("build = [")[0].splitlines()
    wanted = [*PYPROJECT["project"]["dependencies"], *PYPROJECT["dependency-groups"]["dev"]]
    places = {text: lines.index(f'    "{text}",') for text in wanted}
    assert len(places) > 15
    assert [text for text, at in places.items() if not lines[at - 1].startswith("    # ")] == []


def test_an_extra_is_locked_by_itself_and_tried_by_the_tests() -> None:
    extras, groups = PYPROJECT["project"]["optional-dependencies"], PYPROJECT["dependency-groups"]
    for name, wanted in extras.items():
        assert groups[name] == wanted
        assert set(wanted) <= set(groups["dev"])
        assert len(_pins(ROOT / "requirements" / f"{name}.txt")) == len(wanted)


def test_every_package_that_is_imported_is_a_dependency_of_ours() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"].values()
    wanted = [*PYPROJECT["project"]["dependencies"], *(text for extra in extras for text in extra)]
    declared = {re.split(r"[\[~<>=; ]", text)[0] for text in wanted}
    provided_by = packages_distributions()
    undeclared = {
        (str(path.relative_to(ROOT)), name)
        for path in _source_files()
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PACKAGES
        for name in _imported(path) - sys.stdlib_module_names - set(PACKAGES)
        if not declared & {one.lower().replace("_", "-") for one in provided_by.get(name, ())}
    }
    # What we are measured beside has environments of its own.
    peers = {
        ("infra/bench/dispatch_suite/foreign.py", "litellm"),
        ("infra/bench/dispatch_suite/foreign.py", "openai"),
        ("infra/bench/triage_suite/quix_app.py", "quixstreams"),
        ("infra/bench/triage_suite/bytewax_flow.py", "bytewax"),
    }
    assert undeclared == peers


def _imported(path: Path) -> set[str]:
    """The top-level names of all that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_every_lint_exception_has_its_reason() -> None:
    section = PYPROJECT_TEXT.partition("[tool.ruff.lint]")[2].partition("[tool.ruff.lint.pydocstyle]")[0]
    exceptions = re.findall(r'^    "[A-Z]+[0-9]*",.*$', section, re.MULTILINE)
    assert len(exceptions) > 20
    assert [line for line in exceptions if " # " not in line] == []


def test_no_lock_names_an_address() -> None:
    assert [lock.stem for lock in LOCKS] == [
        "build",
        "dev",
        "llama",
        "lock",
        "peer-bytewax",
        "peer-clients",
        "peer-quixstreams",
        "runtime",
    ]
    for lock in LOCKS:
        assert "://" not in lock.read_text(), lock.name
        assert not re.search(r"^--(?!hash)", lock.read_text(), re.MULTILINE), lock.name


def test_every_pinned_requirement_has_hashes() -> None:
    for lock in LOCKS:
        blocks = re.split(r"^(?=[a-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]
        assert len(blocks) == len(_pins(lock)) > 0
        assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == [], lock.name


def test_no_two_locks_name_different_versions_of_one_package() -> None:
    # Peers have environments of their own.
    pins = [_pins(lock) for lock in LOCKS if not lock.stem.startswith("peer-")]
    seen = {name: {pin[name] for pin in pins if name in pin} for pin in pins for name in pin}
    assert [name for name, versions in seen.items() if len(versions) > 1] == []


def test_every_runtime_dependency_is_pinned() -> None:
    pinned = _pins(ROOT / "requirements" / "runtime.txt")
    names = [re.split(r"[\[~<>=; ]", text)[0] for text in PYPROJECT["project"]["dependencies"]]
    assert [name for name in names if name not in pinned] == []


# -- what no file names --


def test_no_file_names_this_machine() -> None:
    # A path of one part, as containers have them, could be an ordinary word.
    here = [f"{place}/".encode() for place in (ROOT, Path.home()) if len(place.parts) > 2]
    files = {path: path.read_bytes() for path in _source_files()}
    assert len(files) > 30
    naming = [path for path, text in files.items() if any(place in text for place in here)]
    assert [str(path.relative_to(ROOT)) for path in naming] == []


# -- the commands --


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_every_command_is_a_module_that_takes_arguments_and_runs(name: str) -> None:
    module = importlib.import_module(cli.COMMANDS[name][0])
    module.add_arguments(cli.command_parser(name))
    assert callable(module.run)
    assert module.__name__ == f"infra.cli.{name.replace('-', '_')}"
    assert cli.COMMANDS[name][1].endswith(".")


def test_every_module_that_runs_is_a_command() -> None:
    modules = [
        info.name for info in pkgutil.iter_modules(cli.__path__, "infra.cli.") if "__" not in info.name
    ]
    registered = {module for module, _ in cli.COMMANDS.values()}
    runs = {name for name in modules if hasattr(importlib.import_module(name), "add_arguments")}
    assert runs - registered == set()


def test_make_alone_explains_every_target() -> None:
    done = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=30)
    explained = set(re.findall(r"^  make ([a-z-]+) ", done.stdout, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert explained == set(phony[1].split()) - {"new-environment"}
    assert {"run", "test", "check", "interop", "bench", "reset", "lock"} <= explained


# -- who may import whom --


def test_the_command_line_is_imported_by_nobody() -> None:
    others = [path for path in (ROOT / "infra").rglob("*.py") if (ROOT / "infra" / "cli") not in path.parents]
    assert len(others) > 50
    importing = r"^\s*(from|import) infra\.cli\b|^\s*from infra import .*\bcli\b"
    assert [path for path in others if re.search(importing, path.read_text(), re.MULTILINE)] == []


SKELETON = {
    "schemas/__init__.py": "",
    "schemas/event.py": "",
    "streams/__init__.py": "",
    "streams/transport.py": "import faust\nimport schemas.event\nimport streams.core.watermark\n",
    "streams/core/__init__.py": "",
    "streams/core/watermark.py": "import dataclasses\nimport schemas.event\nimport streams.core.lanes\n",
    "streams/core/lanes.py": "",
    "agents/__init__.py": "",
    "agents/triage.py": "import asyncio\nimport streams.transport\n",
    "agents/judge.py": "import streams.core.lanes\n",
    "infra/__init__.py": "",
    "infra/worker.py": "import agents.judge\nimport agents.triage\n",
    "policies/__init__.py": "",
}


def _lint_imports(folder: Path, files: dict[str, str]) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(ROOT / "pyproject.toml", folder)
    # The copy must be found before the packages that are installed here.
    lint = (
        "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as run; run()"
    )
    return subprocess.run(
        [sys.executable, "-c", lint, "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_order_of_imports_lets_good_code_pass(tmp_path: Path) -> None:
    done = _lint_imports(tmp_path, SKELETON)
    assert "5 kept, 0 broken" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("schemas/event.py", "import streams.transport", "schemas <- streams <- agents <- infra"),
        ("streams/transport.py", "import agents.judge", "schemas <- streams <- agents <- infra"),
        ("agents/judge.py", "import infra", "schemas <- streams <- agents <- infra"),
        ("streams/core/lanes.py", "import streams.transport", "imports nothing else of streams"),
        ("streams/core/lanes.py", "import random", "is pure"),
        ("streams/core/lanes.py", "from time import monotonic", "is pure"),
        ("streams/core/lanes.py", "from opentelemetry.trace import Span", "is pure"),
        ("schemas/event.py", "import asyncio", "is pure"),
        ("agents/judge.py", "from agents import triage", "none imports another"),
        ("infra/worker.py", "from tests.deadline import until", "nothing imports tests"),
    ],
)
def test_an_import_against_the_order_is_found(module: str, line: str, broken: str, tmp_path: Path) -> None:
    done = _lint_imports(tmp_path, SKELETON | {module: SKELETON[module] + line + "\n"})
    assert done.returncode == 1
    report = " ".join(done.stdout.split())
    assert re.search(re.escape(broken) + r"[^|]{0,80} BROKEN", report), report
