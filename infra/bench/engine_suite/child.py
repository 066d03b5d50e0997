"""`python -m infra.bench.engine_suite.child JOB`: runs one contender and prints its outcome as JSON.

A module is imported only for its contender, so that nobody pays for the others' libraries.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import os
import sys

import msgspec

from infra.bench.engine_suite.jobs import Job, Stopwatch

CONTENDERS: dict[str, tuple[str, str]] = {
    "raw": ("infra.bench.engine_suite.raw", "flushing"),
    "raw, reports": ("infra.bench.engine_suite.raw", "reporting"),
    "aiokafka": ("infra.bench.engine_suite.aiokafka_loop", "run"),
    "stock take": ("infra.bench.engine_suite.faust_take", "run"),
    "asyncio": ("infra.bench.engine_suite.sleeping", "run"),
    "ours": ("infra.bench.engine_suite.ours", "run"),
    "plain loop": ("infra.bench.triage_suite.plain", "run"),
    "stage": ("infra.bench.triage_suite.stage", "run"),
    "Bytewax": ("infra.bench.triage_suite.bytewax_flow", "run"),
    "Quix Streams": ("infra.bench.triage_suite.quix_app", "run"),
}
_GC_THRESHOLDS = (5_000, 40, 50)


def main() -> None:
    """Run the job of the command line."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    if job.cpus:
        os.sched_setaffinity(0, job.cpus)
    module, name = CONTENDERS[job.contender]
    run = getattr(importlib.import_module(module), name)
    watch = Stopwatch(job)
    # As in a worker, and the same for everybody.
    gc.set_threshold(*_GC_THRESHOLDS)
    gc.freeze()
    if inspect.iscoroutinefunction(run):
        # A peer's environment has none, and needs none.
        importlib.import_module("uvloop").run(run(job, watch))
    else:
        run(job, watch)
    print(msgspec.json.encode(watch.outcome()).decode())


if __name__ == "__main__":
    main()
