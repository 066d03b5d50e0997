"""The command line: finds the command, runs it, and turns what it raises into a sentence and an exit code.

A command is a module of this package with `add_arguments(parser)` and `run(args) -> exit code`. It is
imported only when it is run, so that `penstock --help` answers at once; hence the table below is literal.
Flags that all commands share may stand before or after the command; `infra.settings` gives them meaning.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from infra.errors import READER_IS_GONE, ExitCode, Failure

# The name on the command line: (the module, its line in the help).
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("infra.cli.up", "Run everything: Kafka, the reference node, workers."),
    "worker": ("infra.cli.worker", "Run one worker."),
    "node": ("infra.cli.node", "Run the reference inference node."),
    "kafka": ("infra.cli.kafka", "Start, stop and look after the embedded Kafka."),
    "topics": ("infra.cli.topics", "Create, check and show the topics."),
    "policy": ("infra.cli.policy", "Check, publish and show policies."),
    "send": ("infra.cli.send", "Send a text, a file or JSON lines, and await the verdicts."),
    "verdicts": ("infra.cli.verdicts", "Follow the verdicts."),
    "dead-letters": ("infra.cli.dead_letters", "Look at what could not be judged, and why."),
    "status": ("infra.cli.status", "Show partitions, lag, lanes, nodes and the last error."),
    "nodes": ("infra.cli.nodes", "List the nodes, take one out of use, and bring it back."),
    "pause": ("infra.cli.pause", "Hold back a priority, or all of them, on every worker."),
    "resume": ("infra.cli.resume", "Let a priority, or all of them, go on."),
    "enforce": ("infra.cli.enforce", "Turn blocking on or off; off makes every block a review."),
    "cache": ("infra.cli.cache", "Look at remembered answers, and have them forgotten."),
    "doctor": ("infra.cli.doctor", "Check this machine and what Penstock needs, and say what to do."),
    "config": ("infra.cli.config", "Show the settings, and where each value comes from."),
    "version": ("infra.cli.version", "Show the version."),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the return value is the process's exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    status = _status_of(words)
    try:
        # Here rather than at exit, so that a reader that has gone is met where it is handled.
        sys.stdout.flush()
    except OSError as error:
        _discard_output()
        if error.errno not in READER_IS_GONE:
            return complain(f"The output cannot be written ({error.strerror}).", ExitCode.UNEXPECTED)
        return ExitCode.READER_GONE if status == ExitCode.OK else status
    return status


def _status_of(words: list[str]) -> int:
    try:
        return _run(words)
    except Failure as failure:
        return complain(failure.sentence, failure.exit_code)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return ExitCode.READER_GONE
    except Exception as error:
        # The last border: whatever it is, a user is told one sentence, unless it is asked for in full.
        if "--debug" in words:
            raise
        return complain(_confession(error), ExitCode.UNEXPECTED)


def _run(words: list[str]) -> int:
    # What follows a bare `--` is text, whatever it looks like.
    end = words.index("--") if "--" in words else len(words)
    shared, rest = _shared_flags().parse_known_args(words[:end], _Defaults())
    rest += words[end:]
    if not rest or rest[0].startswith("-"):
        _root_parser().parse_args(rest)
        _root_parser().print_help(sys.stderr)
        return ExitCode.USAGE
    name, *own = rest
    if name not in COMMANDS:
        raise Failure(_unknown(name), exit_code=ExitCode.USAGE)
    module = importlib.import_module(COMMANDS[name][0])
    parser = command_parser(name)
    module.add_arguments(parser)
    status: int = module.run(parser.parse_args(own, shared))
    return status


class _Parser(argparse.ArgumentParser):
    """An argparse parser whose complaints are ours: one sentence, and where to read more."""

    def error(self, message: str) -> NoReturn:
        sentence = f"{message}; see `{self.prog} --help`."
        raise Failure(sentence[0].upper() + sentence[1:], exit_code=ExitCode.USAGE)


class _Defaults(argparse.Namespace):
    """The shared flags where they are not given; filled beforehand, so that no parser fills them anew."""

    def __init__(self) -> None:
        super().__init__(config=None, data_dir=None, bootstrap=None, set=[], debug=False)


def _shared_flags() -> argparse.ArgumentParser:
    # Without abbreviations: a command's own `--settle` must never be taken for `--set`.
    parser = _Parser(prog="penstock", add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    flags = parser.add_argument_group("flags of all commands")
    flags.add_argument("--config", metavar="FILE", help="settings file (TOML)")
    flags.add_argument("--data-dir", metavar="DIR", help="directory of all local state")
    flags.add_argument("--bootstrap", metavar="HOST:PORT", help="Kafka to use instead of the embedded one")
    flags.add_argument("--set", metavar="PATH=VALUE", action="append", help="one setting; may be repeated")
    flags.add_argument("--debug", action="store_true", help="show the traceback of an unexpected error")
    return parser


def _root_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {name:<{width}}  {line}" for name, (_, line) in COMMANDS.items())
    parser = _Parser(
        prog="penstock",
        usage="penstock [flags] COMMAND …",
        description="Content moderation over Kafka: a fast path of rules, and language models for the rest.",
        epilog=f"commands:\n{table}\n\n`penstock COMMAND --help` says more of each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        parents=[_shared_flags()],
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from infra.version import version

        parser.exit(ExitCode.OK, f"{version()}\n")


def command_parser(name: str) -> argparse.ArgumentParser:
    """Make a command's parser, still without the command's own arguments."""
    return _Parser(
        prog=f"penstock {name}", description=COMMANDS[name][1], allow_abbrev=False, parents=[_shared_flags()]
    )


def _unknown(command: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(command, COMMANDS, n=1)
    advice = f"did you mean `{near[0]}`?" if near else "`penstock --help` lists them."
    return f"There is no command `{command}`; {advice}"


def _confession(error: Exception) -> str:
    # The type and the place, not the message: it may quote an event's content, and stderr ends in logs.
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" at {place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place else ""
    return f"Unexpected {type(error).__name__}{where}: a mistake of ours; --debug shows its traceback."


def complain(sentence: str, status: ExitCode) -> ExitCode:
    """Say on stderr, in one sentence, why a command could not do what was asked."""
    # A sentence may name a path or quote an argument: it must not be able to steer the terminal. A line break
    # cannot, and the settings' mistakes are told one to a line.
    safe = "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in sentence)
    # Where nobody reads it (the terminal is closed), the code still says it.
    with suppress(OSError):
        print(f"penstock: {safe}", file=sys.stderr)
    return status


def _discard_output() -> None:
    # Python flushes stdout once more at exit and would complain; from now on it goes nowhere.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
