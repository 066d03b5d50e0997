"""A record's `traceparent`: exactly version 00 is read, all else is no trace, and a glance is cheap."""

from __future__ import annotations

import time
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.traceparent import (
    HEADER,
    HEADERS_LOOKED_AT_MAX,
    TraceParent,
    header,
    parse,
    sampled_header,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{SPAN}-01".encode()
UNSAMPLED = f"00-{TRACE}-{SPAN}-00".encode()

ids = st.tuples(st.integers(1, (1 << 128) - 1), st.integers(1, (1 << 64) - 1), st.booleans())


@given(ids)
def test_what_is_formatted_is_parsed_again(place):
    context = TraceParent(f"{place[0]:032x}", f"{place[1]:016x}", place[2])

    assert parse(context.format()) == context


def test_the_example_of_the_standard_is_read():
    assert parse(SAMPLED) == TraceParent(TRACE, SPAN, sampled=True)
    assert parse(UNSAMPLED) == TraceParent(TRACE, SPAN, sampled=False)


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)
def test_only_the_lowest_flag_means_something(flags, sampled):
    place = parse(f"00-{TRACE}-{SPAN}-{flags}".encode())

    assert place is not None
    assert place.sampled is sampled


@pytest.mark.parametrize(
    "hostile",
    [
        None,
        b"",
        b"00",
        f"01-{TRACE}-{SPAN}-01".encode(),
        f"ff-{TRACE}-{SPAN}-01".encode(),
        f"00-{TRACE.upper()}-{SPAN}-01".encode(),
        f"00-{'0' * 32}-{SPAN}-01".encode(),
        f"00-{TRACE}-{'0' * 16}-01".encode(),
        f"00-{TRACE}-{SPAN}-0G".encode(),
        f"00-{TRACE}-{SPAN}-01-more".encode(),
        f"00-{TRACE}-{SPAN}-01\n".encode(),
        f"00-{TRACE}-{SPAN}-1\n".encode(),
        f" 00-{TRACE}-{SPAN}-1".encode(),
        f"00_{TRACE}_{SPAN}_01".encode(),
        "00-٤bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01".encode(),
        b"\xff" * 55,
        b"0" * 10_000_000,
    ],
)
def test_anything_else_is_no_trace(hostile):
    assert parse(hostile) is None
    assert hostile is None or sampled_header([(HEADER, hostile)]) is None


@given(st.binary(max_size=80))
def test_no_bytes_make_it_fail(value):
    place = parse(value)

    assert place is None or len(place.trace_id) == 32
    assert (sampled_header([(HEADER, value)]) is not None) == (place is not None and place.sampled)


def test_a_child_stays_in_the_trace_and_keeps_its_sampling():
    parent = TraceParent(TRACE, SPAN, sampled=True)

    assert parent.child("b7ad6b7169203331") == TraceParent(TRACE, "b7ad6b7169203331", sampled=True)


def test_the_sampled_header_is_given_as_it_stands():
    assert sampled_header([("other", b"x"), (HEADER, SAMPLED)]) == SAMPLED


def test_an_unsampled_header_is_not_worth_a_span():
    assert sampled_header([(HEADER, UNSAMPLED)]) is None
    assert header([(HEADER, UNSAMPLED)]) == UNSAMPLED


def test_a_record_without_headers_has_no_trace():
    assert sampled_header([]) is None
    assert header(()) is None


def test_of_several_headers_only_the_first_is_believed():
    assert sampled_header([(HEADER, UNSAMPLED), (HEADER, SAMPLED)]) is None
    assert sampled_header([(HEADER, b"garbage"), (HEADER, SAMPLED)]) is None


def test_thousands_of_headers_are_not_walked_through():
    filler = [("x", b"")] * HEADERS_LOOKED_AT_MAX

    assert sampled_header([*filler[:-1], (HEADER, SAMPLED)]) == SAMPLED
    assert sampled_header([*filler, (HEADER, SAMPLED)]) is None


def test_an_unsampled_event_costs_next_to_nothing(record_property):
    """The budget is 1.5 us; of CPU time, and ten times as much, because the test shares its machine."""
    headers = [("source", b"app"), (HEADER, UNSAMPLED)]
    costs = {
        "glance_us": _us_per_call(lambda: sampled_header(headers)),
        "parse_us": _us_per_call(lambda: parse(UNSAMPLED)),
    }
    for name, cost_us in costs.items():
        record_property(name, round(cost_us, 2))

    assert costs["glance_us"] < 15
    assert costs["parse_us"] < 15


def _us_per_call(call) -> float:
    times = 5_000
    return min(timeit.repeat(call, time.process_time, number=times, repeat=5)) / times * 1e6
