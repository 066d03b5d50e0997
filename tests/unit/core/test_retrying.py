"""Retrying: every fault of the node's port has a meaning, and every question comes to an end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams import ports
from streams.core.retrying import FAULTS, UNKNOWN_FAULT, Again, GiveUp, after_fault

CODES = {fault.code for fault in ports.NodeFault.__subclasses__()}


def test_the_table_knows_every_fault_of_the_port_and_no_other():
    assert set(FAULTS) == CODES
    assert len(CODES) == len(ports.NodeFault.__subclasses__())


def test_no_fault_of_the_port_has_a_finer_one_that_the_table_would_miss():
    assert [finer for fault in ports.NodeFault.__subclasses__() for finer in fault.__subclasses__()] == []


@pytest.mark.parametrize(
    ("fault", "attempts", "node"),
    [
        (ports.Overloaded, 0, "slow_down"),
        (ports.Unreachable, 1, "take_out"),
        (ports.TimedOut, 1, "keep"),
        (ports.BadAnswer, 1, "keep"),
        (ports.Misconfigured, 0, "take_out"),
    ],
)
def test_what_a_fault_means_for_the_question_and_for_the_node(fault, attempts, node):
    assert after_fault(fault.code, attempts=0, attempts_max=4) == Again(attempts)
    assert FAULTS[fault.code].node == node


def test_a_question_that_a_node_refuses_is_hopeless_at_once():
    assert after_fault(ports.Refused.code, attempts=0, attempts_max=4) == GiveUp("node_refused", 1)


def test_a_fault_that_nobody_knows_counts_and_leaves_the_node_alone():
    assert after_fault("node_fault", attempts=0, attempts_max=4) == Again(1)
    assert UNKNOWN_FAULT.node == "keep"


@given(code=st.sampled_from(sorted(CODES | {"new"})), attempts_max=st.integers(1, 20))
def test_after_so_many_attempts_there_is_no_other(code, attempts_max):
    """A node that is full, or that nobody has mended yet, is no reason to give up a question."""
    outcomes = [after_fault(code, attempts=made, attempts_max=attempts_max) for made in range(attempts_max)]
    if FAULTS.get(code, UNKNOWN_FAULT).is_attempt:
        assert outcomes[-1] == GiveUp(code, attempts_max)
    else:
        assert outcomes == [Again(made) for made in range(attempts_max)]


def test_attempts_made_before_the_bound_was_lowered_count():
    assert after_fault("node_overloaded", attempts=4, attempts_max=2) == GiveUp("node_overloaded", 4)
