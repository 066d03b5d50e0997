"""Packs that gather: nothing lost or doubled, nobody beside whom they should not be, nobody for too long."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.core.batching import Batching, Go, Like, Traits, Wait
from streams.core.packing_pays import Patience, Pays

SIZE_MAX = 8
PATIENCE = Patience(share=0.1, ms_max=2_000)

likes = st.builds(
    Like,
    lane=st.integers(1, 3),
    policy=st.sampled_from(["p", "q"]),
    tenant=st.sampled_from(["a", "b"]),
    kind=st.sampled_from(["moderate", "scan"]),
)


class BatchingMachine(RuleBasedStateMachine):
    """Packs that gather beside a model of what is in them."""

    @initialize(is_per_request=st.booleans(), fixed_ms=st.integers(0, 2_000), post_ms=st.integers(1, 200))
    def start(self, is_per_request, fixed_ms, post_ms):
        self.pays = Pays(is_per_request=is_per_request)
        for posts in (1, 4, 8, 4, 8):
            self.pays.service.took(posts, fixed_ms + post_ms * (posts + 2 * (posts > 1)))
        self.batching: Batching[int] = Batching(self.pays)
        self.inside: dict[int, tuple[Like, int]] = {}
        self.now_ms = 0.0
        self.posts = 0

    @rule(ms=st.integers(1, 3_000))
    def time_passes(self, ms):
        self.now_ms += ms

    @rule(
        like=likes,
        size=st.integers(2, SIZE_MAX),
        left_ms=st.none() | st.integers(1, 5_000),
        earlier_ms=st.integers(0, 1_000),
        times=st.integers(1, 10),
        tokens=st.integers(1, 200),
    )
    def offer(self, like, size, left_ms, earlier_ms, times, tokens):
        for _ in range(times):
            self.posts += 1
            deadline_ms = None if left_ms is None else self.now_ms + left_ms
            self.inside[self.posts] = (like, tokens)
            traits = Traits(like, tokens, self.now_ms - earlier_ms, deadline_ms)
            joins = self.batching.would_join(traits, now_ms=self.now_ms, size=size)
            packs = repr(self.batching).count(" of lane ")
            offered = self.batching.offer(
                self.posts, traits, now_ms=self.now_ms, size=size, patience=PATIENCE
            )
            if isinstance(offered, Wait):
                assert repr(self.batching).count(" of lane ") == packs + (not joins)
            match offered:
                case Go(posts):
                    self._left(posts)
                case Wait(until_ms):
                    assert until_ms >= self.now_ms
                    self._nobody_waits_too_long(until_ms)

    @rule()
    def take(self):
        due_at_ms = self.batching.due_at_ms()
        posts = self.batching.take(self.now_ms)
        if due_at_ms is not None and due_at_ms <= self.now_ms:
            assert posts
            self._left(posts)
        else:
            assert posts == ()

    @rule(number=st.integers(0, 5))
    def remove(self, number):
        gone = self.batching.remove(lambda post: post % 6 == number)
        assert sorted(gone) == sorted(post for post in self.inside if post % 6 == number)
        for post in gone:
            del self.inside[post]

    def _left(self, posts):
        assert len(posts) <= SIZE_MAX
        assert len({self.inside[post][0] for post in posts}) == 1
        lengths = [self.inside[post][1] for post in posts]
        assert max(lengths) <= 2 * max(16, min(lengths))
        for post in posts:
            del self.inside[post]

    def _nobody_waits_too_long(self, until_ms):
        longest_ms = 0.1 * max(self.pays.service.pack_ms(SIZE_MAX), self.pays.service.single_ms)
        assert until_ms - self.now_ms <= longest_ms + 1e-6

    @invariant()
    def holds_what_it_was_given(self):
        assert sorted(self.batching) == sorted(self.inside)
        assert len(self.batching) == len(self.inside)


TestBatching = BatchingMachine.TestCase

LIKE = Like(2, "p", "a", "moderate")


def batching(*, fixed_ms: float = 1_000, post_ms: float = 100) -> Batching[str]:
    pays = Pays(is_per_request=False)
    for posts in (1, 4, 8, 4, 8):
        pays.service.took(posts, fixed_ms + post_ms * (posts + 2 * (posts > 1)))
    return Batching(pays)


def offer(gathering, post, *, now_ms=0.0, arrived_ms=None, like=LIKE, tokens=20, deadline_ms=None, size=8):
    traits = Traits(like, tokens, now_ms if arrived_ms is None else arrived_ms, deadline_ms)
    return gathering.offer(post, traits, now_ms=now_ms, size=size, patience=PATIENCE)


def test_what_is_at_hand_goes_at_once_and_together_where_nobody_is_expected():
    gathering = batching()
    for number, post in enumerate("abcde"):
        assert offer(gathering, post, now_ms=5_000.0, arrived_ms=1_000.0 * number) == Wait(5_000.0)
    assert gathering.take(5_000.0) == tuple("abcde")
    assert gathering.take(5_000.0) == ()


def test_a_full_pack_goes_without_being_asked_for():
    gathering = batching()
    for post in "abc":
        offer(gathering, post, size=4)
    assert offer(gathering, "d", size=4) == Go(tuple("abcd"))


def test_the_window_counts_from_the_first_and_not_from_the_latest():
    gathering = batching()
    for number in range(4):
        offer(gathering, str(number), now_ms=20.0 * number)
    # A tenth of 1,000 + 6 x 100, from the first on.
    assert gathering.due_at_ms() == pytest.approx(160.0)
    assert gathering.take(159.0) == ()
    assert gathering.take(160.1) == ("0", "1", "2", "3")


def test_few_posts_that_do_not_pay_together_go_one_by_one_and_others_may_still_join_them():
    gathering = batching(fixed_ms=100)
    for number, post in enumerate("ab"):
        offer(gathering, post, now_ms=1_000.0, arrived_ms=500.0 * number)
    assert gathering.take(1_000.0) == ("a",)
    for number, post in enumerate("cde"):
        offer(gathering, post, now_ms=2_500.0, arrived_ms=1_000.0 + 500.0 * number)
    assert gathering.take(2_500.0) == ("b", "c", "d", "e")


def test_nobody_joins_a_pack_that_would_be_done_after_its_deadline():
    gathering = batching()
    offer(gathering, "hurried", deadline_ms=1_350.0)
    offer(gathering, "b")
    assert gathering.take(10_000.0) == ("hurried",)
    assert gathering.take(10_000.0) == ("b",)


def test_the_most_urgent_pack_goes_first():
    gathering = batching()
    for post in "abc":
        offer(gathering, post, like=LIKE._replace(lane=3))
    for post in "def":
        offer(gathering, post, now_ms=1.0, like=LIKE._replace(lane=1))
    assert repr(gathering) == "<Batching [3 of lane 3, 3 of lane 1 open]>"
    assert gathering.take(5_000.0) == ("d", "e", "f")


def test_nobody_joins_a_pack_that_is_larger_than_packs_may_be_by_now():
    gathering = batching()
    for number in range(5):
        offer(gathering, number, now_ms=9_000.0, arrived_ms=1_000.0 * number)
    assert isinstance(offer(gathering, 5, now_ms=9_000.0, size=3), Wait)
    assert gathering.take(60_000.0) == (0, 1, 2, 3, 4)


def test_posts_of_like_length_go_together():
    gathering = batching()
    for number, tokens in enumerate((3, 16, 17, 32, 33, 60, 70)):
        offer(gathering, tokens, now_ms=9_000.0, arrived_ms=1_000.0 * number, tokens=tokens)
    assert [gathering.take(9_000.0), gathering.take(9_000.0)] == [(3, 16, 17, 32), (33, 60)]
