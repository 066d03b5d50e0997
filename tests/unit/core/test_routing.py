"""Routing: the least to do first, a cache only where it costs nothing, and nobody who cannot be in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.routing import Candidate, affinity, pick


def test_the_node_with_the_least_to_do_for_its_slots_is_asked():
    assert pick([Candidate("a", 2, 4), Candidate("b", 3, 8)], "", None) == 1


def test_a_heavier_node_gets_more():
    assert pick([Candidate("a", 2, 8), Candidate("b", 3, 8, weight=2.0)], "", None) == 1


def test_what_has_failed_at_the_question_is_asked_only_where_there_is_no_other():
    failed = Candidate("a", 0, 8, has_failed=True)
    assert pick([failed, Candidate("b", 7, 8)], "", None) == 1
    assert pick([failed], "", None) == 0


def test_a_node_that_cannot_be_in_time_is_not_asked():
    slow, fast = Candidate("a", 0, 8, takes_ms=400.0), Candidate("b", 7, 8, takes_ms=100.0)
    assert pick([slow, fast], "", 300.0) == 1
    assert pick([slow, fast], "", 100.0) is None
    assert pick([slow], "", 399.0) is None


def test_a_prompt_goes_home_among_nodes_within_one_slot_of_the_least_loaded():
    home = max("ab", key=lambda name: affinity("p", name))
    other = "b" if home == "a" else "a"
    assert pick([Candidate(home, 3, 8), Candidate(other, 2, 8)], "p", None) == 0
    assert pick([Candidate(home, 4, 8), Candidate(other, 2, 8)], "p", None) == 1


def test_prompts_have_different_homes():
    names = [f"gpu-{number}" for number in range(4)]
    homes = {max(names, key=lambda name: affinity(f"policy-{at}", name)) for at in range(40)}
    assert len(homes) == 4


candidates = st.lists(
    st.builds(
        lambda name, limit, running, weight, failed, takes: Candidate(
            name, min(running, limit - 1), limit, weight, failed, takes
        ),
        st.text("abc", max_size=3),
        st.integers(1, 9),
        st.integers(0, 8),
        st.sampled_from([0.5, 1.0, 2.0]),
        st.booleans(),
        st.sampled_from([0.0, 50.0, 500.0]),
    ),
    min_size=1,
    max_size=6,
)


@given(candidates, st.sampled_from(["", "p", "q"]), st.none() | st.sampled_from([10.0, 100.0, 1_000.0]))
def test_whoever_is_picked_is_in_time_fresh_and_within_one_slot_of_the_least_loaded(nodes, prefix, left_ms):
    at = pick(nodes, prefix, left_ms)
    in_time = [node for node in nodes if left_ms is None or node.takes_ms < left_ms]
    if not in_time:
        assert at is None
        return
    assert at is not None
    chosen = nodes[at]
    assert chosen in in_time
    assert not chosen.has_failed or all(node.has_failed for node in in_time)
    rivals = [node for node in in_time if node.has_failed == chosen.has_failed]
    least = min(node.running / (node.limit * node.weight) for node in rivals)
    assert (chosen.running - 1) / (chosen.limit * chosen.weight) <= least
