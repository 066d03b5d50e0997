"""What came of a run is counted once for each event, and percentiles are those of the samples."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from samples import VERDICT

from infra.load.tally import RunTally, percentiles, waited_ms
from schemas.verdict import Timing


def test_a_summary_says_who_decided_what_and_how_long_it_took() -> None:
    tally = RunTally()
    for number in range(3):
        tally.add(replace(VERDICT, id=str(number)))
    timing = Timing(kafka_ms=5, queue_ms=5, inference_ms=80, total_ms=90)
    tally.add(replace(VERDICT, id="m", decided_by="model", action="block", timing=timing))
    tally.dead_letters = 2
    assert tally.summary(elapsed_s=2.0).splitlines() == [
        "4 verdicts in 2.0 s (2.0/s), 2 dead letters",
        "  decided by  rule 3 (75 %), model 1 (25 %)",
        "  action      allow 3 (75 %), block 1 (25 %)",
        "  wait        p50 3 ms, p95 10 ms  (in Kafka and in the worker)",
        "  inference   p50 80 ms, p95 80 ms  (where a model decided)",
    ]


def test_a_summary_says_what_was_not_sent_and_one_of_a_thing_is_one() -> None:
    tally = RunTally()
    tally.add(VERDICT)
    tally.dead_letters = 1
    lines = tally.summary(elapsed_s=1.0, unsent=1).splitlines()
    assert lines[0] == "1 verdict in 1.0 s (1.0/s), 1 dead letter"
    assert lines[-1] == "  not sent    1 event, which Kafka did not take"


def test_a_run_without_verdicts_has_a_summary_too() -> None:
    assert RunTally().summary(elapsed_s=0.0) == "0 verdicts in 0.0 s (0.0/s), 0 dead letters"


def test_a_summary_says_of_how_many_that_were_sent_where_some_have_no_verdict_yet() -> None:
    tally = RunTally()
    tally.add(VERDICT)
    assert tally.summary(elapsed_s=1.0, sent=3).startswith("1 verdict of 3 sent in 1.0 s ")
    assert tally.summary(elapsed_s=1.0, sent=1).startswith("1 verdict in 1.0 s ")


def test_a_final_verdict_counts_instead_of_the_provisional_one() -> None:
    tally = RunTally()
    tally.add(replace(VERDICT, status="provisional", rev=1, decided_by="fallback", action="review"))
    assert tally.decided_by == {"fallback": 1}
    tally.add(replace(VERDICT, decided_by="model", action="allow"))
    assert tally.verdicts == 1
    assert "model 1" in tally.summary(elapsed_s=1)
    assert "fallback" not in tally.summary(elapsed_s=1)


def test_waiting_is_the_time_in_kafka_and_in_the_worker() -> None:
    assert waited_ms(VERDICT) == 3


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_a_percentile_is_the_smallest_sample_that_so_many_do_not_exceed(
    samples: list[float], rank: float
) -> None:
    (found,) = percentiles(samples, [rank])
    assert found in samples
    assert sum(sample <= found for sample in samples) >= rank * len(samples) - 1e-9
    assert sum(sample < found for sample in samples) < rank * len(samples)
