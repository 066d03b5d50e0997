"""How many posts go in a pack: within bounds whatever happens, and led by what comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.core.pack_size import CLEAN_PACKS_TO_GROW, COMPARED_MIN, IN_VAIN_MAX, OFF_MS, PackSize


def size(size_max: int = 8) -> PackSize:
    return PackSize(size_max, disagreement_max=0.02)


def compare(sized: PackSize, disagreeing: int, of: int = COMPARED_MIN, now_ms: float = 0.0) -> None:
    for number in range(of):
        sized.compared(now_ms, agrees=number >= disagreeing)


@given(
    st.integers(1, 32), st.lists(st.sampled_from(["clean", "discarded", "agrees", "differs"]), max_size=300)
)
def test_whatever_happens_it_stays_within_its_bounds(size_max, happened):
    sized = size(size_max)
    for number, what in enumerate(happened):
        match what:
            case "clean":
                sized.clean()
            case "discarded":
                sized.discarded(0.0)
            case _:
                sized.compared(number, agrees=what == "agrees")
        assert 1 <= sized.now(number) <= size_max


def test_it_grows_by_one_with_every_twenty_clean_packs_up_to_the_most():
    sized = size()
    grown = []
    for _ in range(6):
        grown.append(sized.now(0))
        for _ in range(CLEAN_PACKS_TO_GROW):
            sized.clean()
    assert grown == [4, 5, 6, 7, 8, 8]


def test_a_discarded_pack_halves_it_and_begins_the_count_anew():
    sized = size(32)
    for _ in range(CLEAN_PACKS_TO_GROW - 1):
        sized.clean()
    sized.discarded(0.0)
    sized.clean()
    assert sized.now(0) == 2
    sized.discarded(0.0)
    assert sized.now(0) == 2


def test_disagreement_halves_the_limit_and_then_turns_packs_off():
    sized = size()
    seen = []
    for _ in range(3):
        compare(sized, disagreeing=3, of=3)
        seen.append(sized.now(0))
    assert seen == [4, 2, 1]


def test_after_a_while_small_packs_are_tried_again():
    sized = size()
    compare(sized, disagreeing=9, of=9, now_ms=100.0)
    assert sized.now(100.0 + OFF_MS - 1) == 1
    assert sized.now(100.0 + OFF_MS) == 2
    for _ in range(CLEAN_PACKS_TO_GROW):
        sized.clean()
    assert sized.now(100.0 + OFF_MS) == 2, "agreement alone lifts the limit"
    compare(sized, disagreeing=0)
    for _ in range(CLEAN_PACKS_TO_GROW):
        sized.clean()
    assert sized.now(100.0 + OFF_MS) == 3


def test_two_of_fifty_prove_nothing():
    sized = size()
    compare(sized, disagreeing=2)
    assert sized.now(0) == 4


def test_it_says_where_it_stands():
    sized = size()
    sized.clean()
    sized.compared(0.0, agrees=False)
    assert repr(sized) == "<PackSize 4 of at most 8 | 1 clean, 1 of 1 disagree>"


def test_a_model_that_answers_about_no_pack_gets_none_for_a_while():
    sized = size()
    for _ in range(IN_VAIN_MAX - 1):
        sized.discarded(0.0)
    assert sized.now(0.0) == 2
    sized.clean()
    for _ in range(IN_VAIN_MAX):
        sized.discarded(1_000.0)
    assert [sized.now(at_ms) for at_ms in (1_000.0, OFF_MS, OFF_MS + 1_000.0)] == [1, 1, 2]
