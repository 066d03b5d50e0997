"""Retrying: every fault of the node's port has a meaning, and a question pays only for what is its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import ports
from streams.core.retrying import (
    FAULTS,
    UNKNOWN_FAULT,
    Again,
    Evidence,
    GiveUp,
    after_fault,
    backoff_ms,
    is_charged,
    node_trouble,
)

CODES = {fault.code for fault in ports.NodeFault.__subclasses__()}
AMONG_OTHERS = Evidence()
ALONE = Evidence(was_alone=True)
OTHERS_ANSWERED = Evidence(others_answered=True)
OUT = Evidence(others_answered=True, is_out=True)
NEVER_SENT = Evidence(was_sent=False, was_alone=True, others_answered=True)

evidence = st.builds(Evidence, st.booleans(), st.booleans(), st.booleans(), st.booleans())


def test_the_table_knows_every_fault_of_the_port_and_no_other():
    assert set(FAULTS) == CODES
    assert len(CODES) == len(ports.NodeFault.__subclasses__())


def test_no_fault_of_the_port_has_a_finer_one_that_the_table_would_miss():
    assert [finer for fault in ports.NodeFault.__subclasses__() for finer in fault.__subclasses__()] == []


@pytest.mark.parametrize(
    ("fault", "seen", "charged", "trouble"),
    [
        (ports.Overloaded, ALONE, False, "none"),
        (ports.Misconfigured, ALONE, False, "certain"),
        (ports.BadAnswer, AMONG_OTHERS, True, "maybe"),
        (ports.BadAnswer, OUT, False, "maybe"),
        (ports.Refused, AMONG_OTHERS, True, "none"),
        # A node that breaks off takes along whatever it was busy with.
        (ports.Unreachable, AMONG_OTHERS, False, "maybe"),
        (ports.Unreachable, OTHERS_ANSWERED, True, "maybe"),
        (ports.Unreachable, OUT, False, "maybe"),
        (ports.Unreachable, ALONE, True, "maybe"),
        (ports.Unreachable, NEVER_SENT, False, "certain"),
        # A node that hangs answers nobody; one that answers others is well.
        (ports.TimedOut, AMONG_OTHERS, False, "certain"),
        (ports.TimedOut, OTHERS_ANSWERED, True, "none"),
        (ports.TimedOut, ALONE, True, "certain"),
    ],
)
def test_what_a_fault_means_for_the_question_and_for_the_node(fault, seen, charged, trouble):
    assert is_charged(fault.code, seen) == charged
    assert node_trouble(fault.code, seen, is_repeated=False, was_cut=False) == trouble


def test_a_question_that_a_node_refuses_is_hopeless_at_once():
    assert after_fault("node_refused", ALONE, attempts=0, attempts_max=4) == GiveUp("node_refused", 1)


def test_one_question_that_fails_again_says_nothing_more_of_the_node():
    assert node_trouble("node_bad_answer", ALONE, is_repeated=True, was_cut=False) == "none"


def test_a_deadline_that_cuts_an_answer_short_proves_nothing():
    assert node_trouble("node_timed_out", ALONE, is_repeated=False, was_cut=True) == "maybe"


def test_rests_are_doubled_up_to_half_a_second():
    assert [backoff_ms(rests, 1.0) for rests in range(7)] == [25, 50, 100, 200, 400, 500, 500]
    assert backoff_ms(3, 0.5) == 100


def test_a_fault_that_nobody_knows_is_the_questions():
    assert UNKNOWN_FAULT == "question"
    assert after_fault("node_fault", AMONG_OTHERS, attempts=0, attempts_max=4) == Again(1)


@given(code=st.sampled_from(sorted(CODES | {"new"})), seen=evidence, attempts_max=st.integers(1, 20))
def test_a_question_ends_after_so_many_faults_of_its_own_and_never_by_others(code, seen, attempts_max):
    outcomes = [
        after_fault(code, seen, attempts=made, attempts_max=attempts_max) for made in range(attempts_max)
    ]
    if is_charged(code, seen):
        assert outcomes[-1] == GiveUp(code, attempts_max)
    elif code != "node_refused":
        assert outcomes == [Again(made) for made in range(attempts_max)]


@given(code=st.sampled_from(sorted(CODES | {"new"})), seen=evidence)
def test_what_a_node_never_saw_costs_a_question_nothing(code, seen):
    assert not is_charged(code, replace(seen, was_sent=False))


def test_attempts_made_before_the_bound_was_lowered_count():
    assert after_fault("node_overloaded", ALONE, attempts=4, attempts_max=2) == GiveUp("node_overloaded", 4)
