"""The doctor's round: everything in the order in which one thing needs another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from infra.doctor.findings import Finding, fail, ok
from infra.doctor.machine import of_machine
from infra.doctor.services import of_kafka, of_nodes, of_workers
from infra.embedded import checks
from infra.errors import ExitCode
from schemas.settings import Settings


def examine(settings: Settings) -> Iterator[Finding]:
    """All findings, each as soon as it is known."""
    yield from of_machine(settings)
    if not settings.kafka.bootstrap:
        for found in checks.findings(Path(settings.data_dir), settings.embedded):
            yield _of_embedded(found)
    yield from of_kafka(settings)
    yield from of_nodes(settings)
    yield from of_workers(settings)


def _of_embedded(found: checks.Finding) -> Finding:
    if found.ok:
        return ok(found.name, found.detail)
    if found.name in {"kafka jars", "kafka memory"}:
        # The first start fetches jars; memory that is promised is not always taken.
        return Finding(name=found.name, level="warn", detail=found.detail, advice=found.advice)
    code = ExitCode.EMBEDDED_KAFKA if found.name == "java" else ExitCode.TAKEN
    return fail(found.name, found.detail, found.advice, code)
