"""The fault suite's ledger of inferences: what was needed, and what a kill may have cut off."""

from __future__ import annotations

from chaos.copies import Asked, Post, ledger, posts, unsettled_at

COUNT = 3_000


def test_four_events_in_ten_are_copies_and_some_texts_share_nothing() -> None:
    events = posts(COUNT, seed=1)
    assert len({post.id for post in events}) == len(events) == COUNT
    copies = 1 - len({post.text for post in events}) / COUNT
    assert 0.35 < copies < 0.45
    assert any("ignore all" in post.text for post in events)


def test_a_text_that_is_remembered_needs_one_inference_and_another_one_for_each_event() -> None:
    events = [Post("1", "a"), Post("2", "a"), Post("3", "b"), Post("4", "b")]
    found = ledger(events, {"2"}, [3, 4], completions=9)
    assert (found.reusable, found.uncacheable, found.needed, found.bound) == (1, 2, 3, 10)


def test_what_was_asked_and_not_settled_at_a_kill_may_be_asked_again() -> None:
    held = Asked(100.0, completions=10, in_flight=4)
    assert unsettled_at(held, [], settled_at_ms=[float(at) for at in range(10, 90, 10)]) == 14 - 8


def test_what_an_earlier_kill_cut_off_is_not_counted_for_the_next_one() -> None:
    settled = [10.0, 20.0, 30.0]
    quiet = Asked(50.0, completions=5, in_flight=0)
    assert unsettled_at(Asked(100.0, completions=6, in_flight=1), [quiet], settled) == 7 - 3 - 2
