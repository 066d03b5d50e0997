"""`penstock policy push|show|history|rollback`: policies in Kafka."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime

from infra.cli.policy_files import read_or_fail, summary
from infra.errors import ExitCode, Failure
from infra.policies import default_policy_path
from infra.policy_topic import Published, push, push_if_none, read_book, read_published, roll_back
from infra.terminal import safe
from schemas.policy import ActivePolicy, Policy
from streams.core.policies import PolicyBook, active_key, document_key
from streams.core.rules import CompiledPolicy, Document


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    match args.what:
        case "push":
            _push(read_or_fail(args.file or default_policy_path()), args)
        case "show":
            _show(args)
        case "rollback":
            _rollback(args)
        case _:
            _history(args)
    return ExitCode.OK


def _push(compiled: CompiledPolicy, args: argparse.Namespace) -> None:
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
        print(_json(document.policy) if args.json else document_lines(document))
    elif args.version is not None:
        raise Failure("--version N is a policy's: name its ID, too.", exit_code=ExitCode.USAGE)
    elif args.json:
        rows = [{"id": one.id, "version": one.version, "digest": one.digest} for one in book.pointers()]
        print(json.dumps(rows))
    else:
        for one in book.pointers():
            print(f"{one.id}  version {one.version}  {one.digest}")


def _history(args: argparse.Namespace) -> None:
    from infra.settings import load

    published = read_published(load(args).settings)
    pointer = _pointer(published.book, args.id)
    print(*history_lines(pointer, published), sep="\n")


def history_lines(pointer: ActivePolicy, published: Published) -> Iterator[str]:
    """What is active, since when, and what was before: the newest first."""
    book, moments = published
    for at, digest in enumerate((pointer.digest, *reversed(pointer.history))):
        document = book.document(digest)
        if document is None:
            yield f"{digest}  no longer there"
            continue
        # One that came back is published once, and may have been active more than once.
        since = f"  active since {_moment(moments[active_key(pointer.id)])}" if at == 0 else ""
        first = _moment(moments[document_key(digest)])
        yield f"{digest}  version {document.ref.version}  published {first}{since}"


def _moment(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _rollback(args: argparse.Namespace) -> None:
    from infra.settings import load

    settings = load(args).settings
    book = _book(args)
    pointer = _pointer(book, args.id)
    digest = _target(book, pointer, args.to)
    if digest == pointer.digest:
        print(f"{args.id} version {pointer.version} ({digest}) is active already")
        return
    document = _document(book, digest)
    roll_back(pointer, document, settings)
    print(f"{document.ref.id} version {document.ref.version} ({digest}) is active again")


def _target(book: PolicyBook, pointer: ActivePolicy, wanted: str) -> str:
    """The digest of the document to go back to."""
    if not wanted:
        if (older := before(book, pointer)) is None:
            raise Failure(
                f"The policy {safe(pointer.id)} has no older document than this one in its history; "
                "`--to VERSION` goes to a newer one.",
                exit_code=ExitCode.POLICY,
            )
        return older
    if wanted in (*pointer.history, pointer.digest):
        return wanted
    if not wanted.isdecimal() or len(wanted) > _VERSION_DIGITS_MAX:
        raise Failure(
            f"No document {safe(wanted)} of the policy {safe(pointer.id)} was ever active: "
            f"`penstock policy history {pointer.id}` lists them.",
            exit_code=ExitCode.POLICY,
        )
    return _digest_of(book, pointer, int(wanted))


_VERSION_DIGITS_MAX = 10


def before(book: PolicyBook, pointer: ActivePolicy) -> str | None:
    """The newest document that was active and is older than the present one, as far as it is remembered.

    Not the one that was left last: after a rollback that is the very document that one went back from.
    """
    known = ((book.document(digest), digest) for digest in pointer.history)
    older = {document.ref.version: digest for document, digest in known if document is not None}
    return older[newest] if (newest := max(filter(pointer.version.__gt__, older), default=0)) else None


def _book(args: argparse.Namespace) -> PolicyBook:
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
            f"The document {digest} is not in the topic any more: push the policy again.",
            exit_code=ExitCode.POLICY,
        )
    return document


def document_lines(document: Document) -> str:
    """A document as a person reads it."""
    ref, policy = document.ref, document.policy
    lines = [f"{ref.id} version {ref.version} ({ref.digest}): {summary(policy)}"]
    lines += [
        f"  label {safe(label.name)}: from {label.label_at:g}, "
        f"review {label.review_at:g}, block {label.block_at:g}"
        for label in policy.labels
    ]
    lines += [
        # Nobody vetted what another program wrote to the topic.
        f"  rule {safe(rule.id)}: {rule.action}{f' {safe(rule.label)}' if rule.label else ''}"
        f"{'' if rule.mode == 'live' else f' ({rule.mode})'}"
        for rule in policy.rules
    ]
    return "\n".join(lines)


def _json(policy: Policy) -> str:
    from schemas.wire import encode

    return encode(policy).decode()
