"""What it costs to remember: `python -m infra.bench.memory_suite`, beside a plain dict and SQLite."""
