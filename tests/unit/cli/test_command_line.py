"""The root of the command line: quick help, shared flags anywhere, one sentence and a code for a mistake.

Commands of the tests' own are put in the table by the loader's own means: a module in `sys.modules`.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from infra import cli
from infra.errors import ExitCode, Failure

# Everything that is slow to import, or that imports something slow.
SLOW = {"aiohttp", "aiokafka", "asyncio", "confluent_kafka", "faust", "httpx", "msgspec", "opentelemetry"}


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make `penstock try …` run the given function."""

    def install(run: Callable[[argparse.Namespace], int], *flags: str) -> None:
        def add_arguments(parser: argparse.ArgumentParser) -> None:
            for flag in flags:
                parser.add_argument(flag, **({"action": "store_true"} if flag.startswith("-") else {}))

        module = ModuleType("a_command_for_tests")
        module.run, module.add_arguments = run, add_arguments  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, "try", (module.__name__, "Only here."))

    return install


def _penstock(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.cli", *words], capture_output=True, text=True, check=False, timeout=30
    )


def test_help_answers_within_300_ms() -> None:
    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert "dead-letters" in _penstock("--help").stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    # CPU time, and the best of five: the machine may be busy with something else, the imports may not.
    assert min(once() for _ in range(5)) < 0.3


def test_help_imports_nothing_slow() -> None:
    code = "import sys\nfrom infra.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    imported = set(done.stderr.split())
    assert "infra.cli" in imported
    assert not imported & SLOW


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["--help"])
    assert stop.value.code == ExitCode.OK
    shown = capsys.readouterr().out
    assert [name for name in cli.COMMANDS if f"\n  {name} " not in shown] == []


def test_version_is_shown_by_the_command_and_by_the_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("penstock ")
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == ExitCode.OK


@pytest.mark.parametrize(
    "words",
    [
        ["--data-dir", "d", "--set", "a=1", "--set", "b=2", "try", "--wait", "text"],
        ["try", "--wait", "text", "--data-dir=d", "--set=a=1", "--set=b=2"],
        ["--set", "a=1", "try", "--data-dir", "d", "--wait", "--set", "b=2", "text"],
        ["--set", "a=1", "--set", "b=2", "try", "--data-dir", "d", "--wait", "--", "text"],
    ],
)
def test_shared_flags_stand_before_or_after_the_command(
    words: list[str], command: Callable[..., None]
) -> None:
    seen: list[argparse.Namespace] = []
    command(lambda args: seen.append(args) or ExitCode.OK, "--wait", "text")
    assert cli.main(words) == ExitCode.OK
    assert vars(seen[0]) == {
        "config": None,
        "data_dir": "d",
        "bootstrap": None,
        "set": ["a=1", "b=2"],
        "debug": False,
        "wait": True,
        "text": "text",
    }


def test_what_follows_two_dashes_is_never_a_flag(command: Callable[..., None]) -> None:
    seen: list[argparse.Namespace] = []
    command(lambda args: seen.append(args) or ExitCode.OK, "text")
    assert cli.main(["try", "--", "--debug"]) == ExitCode.OK
    assert (seen[0].text, seen[0].debug) == ("--debug", False)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["vers"], "penstock: There is no command `vers`; did you mean `version`?"),
        (["xyzzy"], "penstock: There is no command `xyzzy`; `penstock --help` lists them."),
        (["--frob"], "penstock: Unrecognized arguments: --frob; see `penstock --help`."),
        (["version", "--frob"], "penstock: Unrecognized arguments: --frob; see `penstock version --help`."),
        (["--config"], "penstock: Argument --config: expected one argument; see `penstock --help`."),
    ],
)
def test_a_mistake_in_the_words_is_one_sentence_and_the_usage_code(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == ExitCode.USAGE
    assert capsys.readouterr() == ("", sentence + "\n")


def test_no_words_at_all_show_the_help_as_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == ExitCode.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: penstock ")


def _raise(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


def test_a_failure_is_its_sentence_and_its_code(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(_raise(Failure("No broker at [::1]:1; start one.", exit_code=ExitCode.KAFKA_UNREACHABLE)))
    assert cli.main(["try"]) == 3
    assert capsys.readouterr() == ("", "penstock: No broker at [::1]:1; start one.\n")


def test_a_failure_cannot_steer_the_terminal(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(_raise(Failure("No file \x1b]0;x\x07\u202ea.", exit_code=ExitCode.USAGE)))
    cli.main(["try"])
    assert capsys.readouterr().err == "penstock: No file \\x1b]0;x\\x07\\u202ea.\n"


def test_ctrl_c_is_130_without_a_word(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(_raise(KeyboardInterrupt()))
    assert cli.main(["try"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_bug_is_one_sentence_that_names_the_place_but_not_the_message(
    command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(_raise(KeyError("somebody's post")))
    assert cli.main(["try"]) == ExitCode.UNEXPECTED
    err = capsys.readouterr().err
    assert err.startswith("penstock: Unexpected KeyError at ")
    assert "test_command_line.py:" in err
    assert "post" not in err
    assert err.count("\n") == 1


def test_a_bug_shows_its_traceback_when_asked(command: Callable[..., None]) -> None:
    command(_raise(KeyError("x")))
    with pytest.raises(KeyError):
        cli.main(["try", "--debug"])


def test_a_reader_that_has_gone_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.cli", "version"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    # Closed before anything is written: the interpreter takes longer to start.
    process.stdout.close()
    assert process.wait(timeout=30) == ExitCode.READER_GONE
    assert process.stderr.read() == b""
    process.stderr.close()


def test_no_exit_code_has_two_meanings() -> None:
    assert len(ExitCode) == len(ExitCode.__members__)
    # A shell gives 126 to 165 a meaning of its own; we use only those that mean the same.
    assert {code for code in ExitCode if code >= 126} == {ExitCode.INTERRUPTED, ExitCode.READER_GONE}
