"""What the engine costs beside what else there is: every contender in a process of its own, in turns.

`python -m infra.bench.engine_suite` starts a Kafka, runs the sections of `sections.py` and prints figures,
ratios and targets. Contenders read and write the same topics; each proves that all of its output is there.
"""
