"""The fault suite's audit finds what it is there for: losses, repeats, commits that run ahead or go back."""

from __future__ import annotations

from random import Random

from chaos.audit import Audit, Sample, Told, audit
from chaos.numbers import Copy, Place, ends_of, offsets_of, place_of

EVENTS = 200
PLACE = place_of(1)


def copies(*, but: tuple[int, ...] = (), maker: str = "a.0") -> list[Copy]:
    """A copy of each number, written in the millisecond of its number."""
    offsets = offsets_of(EVENTS)
    return [
        Copy(number, place_of(number), offsets[number], maker, number)
        for number in range(EVENTS)
        if number not in but
    ]


def of_place(place: Place) -> list[Copy]:
    return [copy for copy in copies() if copy.place == place]


def judged(
    made: list[Copy],
    *samples: Sample,
    cut_off: tuple[str, ...] = (),
    brokers_cut_off_at_ms: tuple[float, ...] = (),
    told: list[Told] | None = None,
) -> Audit:
    return audit(EVENTS, made, samples, cut_off, brokers_cut_off_at_ms, told or [])


def test_a_clean_run_has_nothing_to_complain_of() -> None:
    found = judged(copies(), Sample(EVENTS, ends_of(EVENTS)))
    assert (found.events, found.repeated, found.samples) == (EVENTS, 0, 1)
    complaints = (found.lost, found.misplaced, found.unexplained, found.went_back, found.ran_ahead)
    assert not any(complaints)


def test_a_number_without_a_copy_is_lost() -> None:
    assert judged(copies(but=(7, 9))).lost == [7, 9]


def test_a_repeat_is_explained_by_a_run_that_was_cut_off_and_by_nothing_else() -> None:
    twice = [*copies(), *copies(maker="b.0")[:3]]
    assert judged(twice).repeated == 3
    assert len(judged(twice).unexplained) == 3
    assert judged(twice, cut_off=("a.0",)).unexplained == []
    assert judged([*copies(), *copies()[:1]], cut_off=("b.0",)).unexplained != []


def told(made: list[Copy], *, after_ms: float) -> list[Told]:
    """Each worker hears of each of its copies so much later."""
    return [Told(copy.maker, copy.number, copy.written_at_ms + after_ms) for copy in made]


def test_a_repeat_is_explained_by_a_broker_that_was_killed_before_it_told_of_it_and_by_no_other() -> None:
    first = copies()
    again = [copy._replace(written_at_ms=copy.written_at_ms + 5_000) for copy in first[:3]]
    heard = told([*first[3:], *again], after_ms=5)
    assert judged([*first, *again], brokers_cut_off_at_ms=(100,), told=heard).unexplained == []
    before_the_first = (-1_000,)
    assert len(judged([*first, *again], brokers_cut_off_at_ms=before_the_first, told=heard).unexplained) == 3
    thrice = [*first, *again, *(copy._replace(written_at_ms=9_000) for copy in again)]
    heard = told(thrice[3:], after_ms=5)
    assert len(judged(thrice, brokers_cut_off_at_ms=(100,), told=heard).unexplained) == 3


def test_what_its_maker_was_told_of_before_the_kill_may_not_come_twice() -> None:
    first = copies()
    again = [copy._replace(written_at_ms=copy.written_at_ms + 5_000) for copy in first]
    heard = told([*first, *again], after_ms=5)
    # What was written in the last 5 ms before the kill, and as the broker died, had not been told.
    found = judged([*first, *again], brokers_cut_off_at_ms=(100,), told=heard).unexplained
    assert len(found) == 96


def test_a_live_worker_that_doubles_everything_is_found_between_kills_a_second_apart() -> None:
    """The broker is up for half a second to one and a half, is killed, and comes back, again and again."""
    chance, offsets, made, kills, began_ms = Random(1), offsets_of(2_000), [], [], 0.0
    for cut in range(10):
        kills.append(began_ms + chance.uniform(500, 1_500))
        for number in range(cut * 200, cut * 200 + 200):
            for _ in range(2):
                at_ms = int(chance.uniform(began_ms, kills[-1]))
                made.append(Copy(number, place_of(number), offsets[number], "a.0", at_ms))
        began_ms = kills[-1] + 2_500
    found = audit(2_000, made, [], (), kills, told(made, after_ms=20))
    assert found.repeated == 2_000
    assert len(found.unexplained) > 1_800


def test_a_copy_that_names_another_original_is_misplaced() -> None:
    first, *rest = copies()
    assert judged([first._replace(offset=99), *rest]).misplaced
    assert judged([first._replace(place=Place("patient", 1)), *rest]).misplaced


def test_a_commit_beyond_what_is_written_ran_ahead_even_if_the_copy_comes_later() -> None:
    third = of_place(PLACE)[2]
    in_time = Sample(third.written_at_ms, {PLACE: 3})
    early = Sample(third.written_at_ms - 10, {PLACE: 3})
    assert not judged(copies(), in_time).ran_ahead
    assert judged(copies(), early).ran_ahead
    assert judged(copies(but=(third.number,)), in_time).ran_ahead
    assert judged(copies(), Sample(EVENTS, {PLACE: 1_000})).ran_ahead


def test_the_first_copy_counts_not_the_last() -> None:
    third = of_place(PLACE)[2]
    again = third._replace(written_at_ms=10_000)
    assert not judged([*copies(), again], Sample(third.written_at_ms, {PLACE: 3})).ran_ahead


def test_a_commit_that_goes_back_is_seen() -> None:
    samples = [Sample(EVENTS, {PLACE: offset}) for offset in (5, 6, 6, 4)]
    assert len(judged(copies(), *samples).went_back) == 1
    assert not judged(copies(), *samples[:3]).went_back


def test_a_writer_that_gave_up_is_excused_of_what_it_had_not_heard_of_before_it_wrote_again() -> None:
    again = [copy._replace(written_at_ms=copy.written_at_ms + 5_000) for copy in copies()[:3]]
    twice = [*copies(), *again]

    def unexplained(told: list[Told], *, writers_gave_up: bool = True) -> int:
        return len(audit(EVENTS, twice, [], (), told=told, writers_gave_up=writers_gave_up).unexplained)

    assert unexplained(told(again, after_ms=1)) == 0
    assert unexplained(told(again, after_ms=1), writers_gave_up=False) == 3
    assert unexplained(told(copies(), after_ms=1)) == 3, "it knew"
    assert unexplained([*told(again, after_ms=1), *told(copies()[:1], after_ms=4_999)]) == 1
