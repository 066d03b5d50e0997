"""What the fast path costs on a real Kafka, beside a plain loop and beside others who do the same work.

`python -m infra.bench.triage_suite` runs it on the arena of the engine's suite. All contenders decode, decide
and encode by the same functions (`work.py`); they differ in how records come and go.
"""
