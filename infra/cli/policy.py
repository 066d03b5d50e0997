"""`penstock policy`: checks and tries policy files, publishes them, and shows what is published."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from infra.errors import ExitCode, Failure
from infra.policies import bad_policy, default_policy_path, read
from infra.terminal import safe
from schemas.policy import ActivePolicy, Policy
from streams.core.policies import PolicyBook
from streams.core.rules import BadPolicy, CompiledPolicy, Document

_FILE_HELP = (
    "the policy file (TOML, or JSON by its ending); without one, the policy that Penstock brings along"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each thing that can be done."""
    parsers = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    for name, line in (
        ("check", "tell everything that is wrong with a file"),
        ("test", "run the examples that each rule carries"),
        ("push", "publish a file and make it active on every worker"),
    ):
        doing = parsers.add_parser(name, help=line, allow_abbrev=False)
        doing.add_argument("file", metavar="FILE", nargs="?", type=Path, help=_FILE_HELP)
        if name == "push":
            doing.add_argument(
                "--if-none",
                action="store_true",
                help="only if no policy of that id is active; otherwise fine",
            )
    showing = parsers.add_parser("show", help="what is active", allow_abbrev=False)
    showing.add_argument("id", metavar="ID", nargs="?", default="", help="one policy, with its rules")
    showing.add_argument("--json", action="store_true", help="as JSON; with ID the whole document")
    showing.add_argument(
        "--version", metavar="N", type=int, help="of ID, not the active document but that of this version"
    )
    telling = parsers.add_parser("history", help="what was active before", allow_abbrev=False)
    telling.add_argument("id", metavar="ID", nargs="?", default="default", help="which policy")


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    match args.what:
        case "check" | "test" | "push":
            path = args.file or default_policy_path()
            compiled = _read(path)
            if args.what == "check":
                print(f"{safe(str(path))}: no mistakes in {_summary(compiled.policy)}")
            elif args.what == "test":
                _print_examples(compiled.policy)
            else:
                _push(compiled, args)
        case "show":
            _show(args)
        case _:
            _history(args)
    return ExitCode.OK


def _read(path: Path) -> CompiledPolicy:
    try:
        return read(path)
    except BadPolicy as bad:
        raise bad_policy(str(path), bad.problems) from None


def _print_examples(policy: Policy) -> None:
    """All examples of a policy that could be read are borne out: reading it has tried them."""
    for rule in policy.rules:
        print(f"{rule.id}: matches {len(rule.matches)}, lets pass {len(rule.passes)}, as it should")


def _push(compiled: CompiledPolicy, args: argparse.Namespace) -> None:
    from infra.policy_topic import push, push_if_none
    from infra.settings import load

    ref = compiled.ref
    settings = load(args).settings
    if not args.if_none:
        state = push(compiled, settings)
    elif push_if_none(compiled, settings):
        state = "active"
    else:
        print(f"a policy {ref.id} is active already: nothing is published")
        return
    word = "is active already" if state == "already_active" else "is published and active"
    print(f"{ref.id} version {ref.version} ({ref.digest}) {word}")


def _show(args: argparse.Namespace) -> None:
    book = _book(args)
    if args.id:
        pointer = _pointer(book, args.id)
        digest = pointer.digest if args.version is None else _digest_of(book, pointer, args.version)
        document = _document(book, digest)
        print(_json(document.policy) if args.json else _told(document))
    elif args.version is not None:
        raise Failure("--version N is a policy's: name its ID, too.", exit_code=ExitCode.USAGE)
    elif args.json:
        rows = [{"id": one.id, "version": one.version, "digest": one.digest} for one in book.pointers()]
        print(json.dumps(rows))
    else:
        for one in book.pointers():
            print(f"{one.id}  version {one.version}  {one.digest}")


def _history(args: argparse.Namespace) -> None:
    """The newest first."""
    book = _book(args)
    pointer = _pointer(book, args.id)
    for digest in (pointer.digest, *reversed(pointer.history)):
        document = book.document(digest)
        version = f"version {document.ref.version}" if document else "no longer there"
        print(f"{digest}  {version}{'  active' if digest == pointer.digest else ''}")


def _book(args: argparse.Namespace) -> PolicyBook:
    from infra.policy_topic import read_book
    from infra.settings import load

    return read_book(load(args).settings)


def _pointer(book: PolicyBook, policy_id: str) -> ActivePolicy:
    pointer = book.pointer(policy_id)
    if pointer is None:
        known = ", ".join(one.id for one in book.pointers()) or "none"
        raise Failure(
            f"No policy {safe(policy_id)} is active (there are: {known}); publish one with "
            "`penstock policy push FILE`.",
            exit_code=ExitCode.POLICY,
        )
    return pointer


def _digest_of(book: PolicyBook, pointer: ActivePolicy, version: int) -> str:
    """The document of a version, as far as it is remembered."""
    versions = {
        document.ref.version: digest
        for digest in (*pointer.history, pointer.digest)
        if (document := book.document(digest)) is not None
    }
    if version not in versions:
        known = ", ".join(map(str, sorted(versions))) or "none"
        raise Failure(
            f"There is no version {version} of the policy {safe(pointer.id)} (there are: {known}).",
            exit_code=ExitCode.POLICY,
        )
    return versions[version]


def _document(book: PolicyBook, digest: str) -> Document:
    document = book.document(digest)
    if document is None:
        raise Failure(
            f"The active document {digest} is not in the topic: push the policy again.",
            exit_code=ExitCode.POLICY,
        )
    return document


def _told(document: Document) -> str:
    ref, policy = document.ref, document.policy
    lines = [f"{ref.id} version {ref.version} ({ref.digest}): {_summary(policy)}"]
    lines += [
        f"  label {label.name}: from {label.label_at:g}, review {label.review_at:g}, block {label.block_at:g}"
        for label in policy.labels
    ]
    lines += [
        f"  rule {rule.id}: {rule.action}{f' {rule.label}' if rule.label else ''}"
        f"{'' if rule.mode == 'live' else f' ({rule.mode})'}"
        for rule in policy.rules
    ]
    return "\n".join(lines)


def _summary(policy: Policy) -> str:
    return f"{len(policy.labels)} labels, {len(policy.prompts)} prompts, {len(policy.rules)} rules"


def _json(policy: Policy) -> str:
    from schemas.wire import encode

    return encode(policy).decode()
