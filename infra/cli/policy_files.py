"""`penstock policy check|test|score|explain`: policies as files, without any Kafka but for the active one."""

from __future__ import annotations

import argparse
from pathlib import Path

from infra.errors import ExitCode, Failure
from infra.policies import bad_policy, default_policy_path, read
from infra.terminal import safe
from schemas.event import Event, Moderate, Scan
from schemas.policy import Policy
from schemas.settings import Settings
from streams.core.explaining import Explained, explain
from streams.core.forms import FORM_NAMES
from streams.core.rules import BadPolicy, CompiledPolicy, compile_document
from streams.core.subjects import Subject, subject_of
from streams.core.triage import Decided, Undecided, triage

_QUOTED_CHARACTERS_MAX = 120


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    if args.what == "explain":
        return _explain(args)
    path = args.file or default_policy_path()
    compiled = read_or_fail(path)
    match args.what:
        case "check":
            print(f"{safe(str(path))}: no mistakes in {summary(compiled.policy)}")
        case "test":
            _print_examples(compiled.policy)
        case _:
            return _score(compiled, args)
    return ExitCode.OK


def read_or_fail(path: Path) -> CompiledPolicy:
    """The policy of a file, or a `Failure` that tells all its mistakes."""
    try:
        return read(path)
    except BadPolicy as bad:
        raise bad_policy(str(path), bad.problems) from None


def summary(policy: Policy) -> str:
    """A policy in a few words."""
    return f"{len(policy.labels)} labels, {len(policy.prompts)} prompts, {len(policy.rules)} rules"


def _print_examples(policy: Policy) -> None:
    """All examples of a policy that could be read are borne out: reading it has tried them."""
    for rule in policy.rules:
        print(f"{rule.id}: matches {len(rule.matches)}, lets pass {len(rule.passes)}, as it should")


# -- score --------------------------------------------------------------------------------------------------


def _score(compiled: CompiledPolicy, args: argparse.Namespace) -> int:
    from infra.samples import default_sample_path, read_sample, scored

    score = scored(compiled, read_sample(args.sample or default_sample_path()))
    print(*score.told(), sep="\n")
    if args.wrong:
        for post, decision in score.wrong:
            rules = ",".join(decision.rule_ids)
            print(f"{decision.action:<6} {rules}  truth {safe(post.truth)}  {_quoted(post.text)}")
    return ExitCode.OK


# -- explain ------------------------------------------------------------------------------------------------


def _explain(args: argparse.Namespace) -> int:
    from infra.settings import load
    from streams.core.digest import content_digest

    settings = load(args).settings
    compiled = read_or_fail(args.file) if args.file else _active(settings, args.id or settings.policy)
    event = _event(args)
    digest = content_digest(event, secret=settings.secret.reveal().encode(), scope="tenant")
    subject = subject_of(event, digest=digest)
    print(f"policy {compiled.ref.id} version {compiled.ref.version} ({compiled.ref.digest})")
    print(f"content digest {digest}")
    print(*_forms(subject), sep="\n")
    for one in explain(subject, compiled):
        print(_told(one, event.text))
    print(_decision(triage(event, compiled, digest=digest)))
    return ExitCode.OK


def _active(settings: Settings, policy_id: str) -> CompiledPolicy:
    from infra.policy_topic import read_book

    book = read_book(settings)
    pointer = book.pointer(policy_id)
    document = pointer and book.document(pointer.digest)
    if not document:
        raise Failure(
            f"No policy {safe(policy_id)} is active: name a FILE, or publish one with "
            "`penstock policy push FILE`.",
            exit_code=ExitCode.POLICY,
        )
    try:
        return compile_document(document)
    except BadPolicy as bad:
        raise bad_policy(f"The active policy {safe(policy_id)}", bad.problems) from None


def _event(args: argparse.Namespace) -> Event:
    if not args.text:
        raise Failure("--text must not be empty.", exit_code=ExitCode.USAGE)
    from infra.outgoing import pair, utf8

    shape = Scan if args.kind == "scan" else Moderate
    return shape(
        v=1,
        id="explained",
        text=utf8(args.text),
        author=utf8(args.author),
        tenant=utf8(args.tenant),
        context=dict(map(pair, args.context)),
    )


def _forms(subject: Subject) -> list[str]:
    forms = subject.forms
    shown = ((name, forms.text_of(name)) for name in FORM_NAMES)
    lines = [f"{name} {_quoted(text.strip())}" for name, text in shown if text is not None]
    if forms.flags:
        lines.append(f"hides {', '.join(forms.flags)}: obfuscation {forms.obfuscation:.2f}")
    return lines


def _told(one: Explained, text: str) -> str:
    finding, (start, end) = one.finding, one.span
    place = (
        f"{one.form} form, characters {start} to {end}: {_quoted(text[start:end])}"
        if one.form
        else (f"by the {finding.ground}" if finding.ground != "text" else "the whole text")
    )
    label = f" {finding.label}" if finding.label else ""
    return f"  {finding.mode:<6} {finding.rule_id}: {finding.action}{label}; {place}"


def _decision(decision: Decided | Undecided) -> str:
    match decision:
        case Decided():
            labels = f" ({', '.join(decision.labels)})" if decision.labels else ""
            return f"decided: {decision.action}{labels}, by {', '.join(decision.reasons)}"
        case Undecided():
            return "undecided: a model judges"


def _quoted(text: str) -> str:
    shown = safe(text)
    return f'"{shown}"' if len(shown) <= _QUOTED_CHARACTERS_MAX else f'"{shown[:_QUOTED_CHARACTERS_MAX]}…"'
