"""Ballots, votes, vote memory, thresholds, acceptance: by hand, and what may not matter."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.beliefs import belief

E, V, B, K, N = 3, 2, 6, 4, 10
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(E, V, B, K)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 0, -1])
REMEMBER, REMEMBER_CLASSES = jax.jit(belief.remember), jax.jit(belief.remember_classes)
PRESENT = np.array([[1, 1, 0, 1, 0, 1], [1, 0, 1, 1, 0, 1]], bool)


def scores_of(logits, labels, present):
    return belief.panel_mean(belief.ballots(logits, labels), present)


class TestVotes:
    def test_ballots_by_hand(self):
        logits = jnp.array([[[3.0, 1.0], [0.0, 2.0], [1.0, 1.0]]])
        np.testing.assert_array_equal(belief.ballots(logits, jnp.array([0, 0, 0])), [[1, 0, 1]])
        np.testing.assert_array_equal(belief.ballots(logits, jnp.array([-1, 1, 1])), [[0, 1, 0]])

    def test_votes_by_hand(self):
        logits = jnp.array([[1e4, -1e4, 0.0], [0.0, 0.0, -1.0], [-jnp.inf, 1.0, 5.0]])
        np.testing.assert_array_equal(belief.votes(logits), [[1, 0, 0], [1, 0, 0], [0, 0, 1]])

    def test_ballots_are_the_votes_for_the_given_label(self):
        share = belief.votes(LOGITS)[..., np.arange(B), np.maximum(LABELS, 0)]
        expected = np.where(LABELS >= 0, share, 0)
        np.testing.assert_array_equal(belief.ballots(LOGITS, LABELS), expected)


class TestPanel:
    def test_mean_by_hand(self):
        ballots = jnp.array(
            [[[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
        )
        np.testing.assert_allclose(belief.panel_mean(ballots), [3 / 4, 1 / 4, 2 / 4])
        present = jnp.array([[True, False, False], [True, True, False]])
        np.testing.assert_allclose(belief.panel_mean(ballots, present), [3 / 4, 1 / 2, 0])

    def test_peers_by_hand(self):
        ballots = jnp.array([[[1.0], [1.0]], [[0.0], [1.0]], [[0.0], [0.0]]])
        np.testing.assert_allclose(belief.peer_mean(ballots), [[1 / 4], [2 / 4], [3 / 4]])
        present = jnp.array([[True], [False]])
        np.testing.assert_allclose(belief.peer_mean(ballots, present), [[0], [1 / 2], [1 / 2]])

    def test_vote_shares_sum_to_one(self):
        votes = belief.votes(LOGITS)
        somebody = PRESENT.any(0).astype(float)
        np.testing.assert_allclose(belief.panel_mean(votes, PRESENT).sum(-1), somebody, atol=1e-6)
        peers = belief.peer_mean(votes, PRESENT)
        assert peers.shape == (E, B, K)
        np.testing.assert_allclose(peers.sum(-1), np.tile(somebody, (E, 1)), atol=1e-6)

    def test_one_member_is_its_own_peer(self):
        ballots = belief.ballots(LOGITS, LABELS)[:1]
        np.testing.assert_array_equal(
            belief.peer_mean(ballots, PRESENT), belief.panel_mean(ballots, PRESENT)[None]
        )

    def test_own_votes_do_not_reach_their_member(self):
        ballots = belief.ballots(LOGITS, LABELS)
        before, after = (
            belief.peer_mean(ballots),
            belief.peer_mean(ballots.at[1].set(1 - ballots[1])),
        )
        np.testing.assert_allclose(before[1], after[1], atol=1e-6)
        assert np.abs(before[0] - after[0]).max() > 0.1

    def test_missing_items_may_hold_anything(self):
        spoiled = jnp.where(PRESENT[None, :, :, None], LOGITS, jnp.nan)
        probabilities = jax.nn.softmax(spoiled)
        for mean in (belief.panel_mean, belief.peer_mean):
            found = mean(probabilities, PRESENT)
            assert np.isfinite(found).all()
            np.testing.assert_allclose(found, mean(jax.nn.softmax(LOGITS), PRESENT), atol=1e-6)

    def test_members_modalities_and_items_may_be_permuted(self):
        plain = scores_of(LOGITS, LABELS, PRESENT)
        close = partial(np.testing.assert_allclose, atol=1e-6)
        close(scores_of(LOGITS[[2, 0, 1]], LABELS, PRESENT), plain)
        close(scores_of(LOGITS[:, ::-1], LABELS, PRESENT[::-1]), plain)
        close(scores_of(LOGITS[:, :, ::-1], LABELS[::-1], PRESENT[:, ::-1]), plain[::-1])

    def test_permuting_members_permutes_peers(self):
        ballots = belief.ballots(LOGITS, LABELS)
        order = np.array([2, 0, 1])
        np.testing.assert_allclose(
            belief.peer_mean(ballots[order], PRESENT), belief.peer_mean(ballots, PRESENT)[order]
        )


class TestMemory:
    def test_by_hand(self):
        memory = belief.start_memory((3,), 0.5)
        for value in (1.0, 0.0, 1.0):
            memory = REMEMBER(memory, jnp.array([1]), jnp.array([value]), 0.5)
        # Weights 1/4, 1/2, 1 over their sum 7/4; the start value has none.
        np.testing.assert_allclose(memory.value, [0.5, (1 / 4 + 1) / (7 / 4), 0.5], rtol=1e-6)
        np.testing.assert_array_equal(memory.count, [0, 3, 0])

    @pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.999, 1.0])
    def test_equals_the_weighted_mean(self, decay):
        observed = np.random.default_rng(1).random((40, 2)).astype(np.float32)
        memory = belief.start_memory((2,))
        for values in observed:
            memory = REMEMBER(memory, jnp.arange(2), values, decay)
        weights = np.float64(decay) ** np.arange(39, -1, -1)
        expected = (weights[:, None] * observed).sum(0) / weights.sum()
        np.testing.assert_allclose(memory.value, expected, rtol=1e-5)

    def test_equal_observations_are_kept_to_the_last_bit(self):
        memory, value = belief.start_memory((1,)), jnp.array([0.7])
        for _ in range(20):
            memory = REMEMBER(memory, jnp.array([0]), value, 0.9)
        assert memory.value[0] == value[0]

    def test_masked_entries_change_nothing(self):
        memory = belief.start_memory((4,), 0.25)
        index, values = jnp.array([-7, 2, 99]), jnp.array([jnp.nan, 1.0, jnp.inf])
        after = REMEMBER(memory, index, values, 0.5, jnp.array([False, True, False]))
        np.testing.assert_allclose(after.value, [0.25, 0.25, 1, 0.25])
        np.testing.assert_array_equal(after.count, [0, 0, 1, 0])
        nothing = REMEMBER(memory, index, values, 0.5, jnp.zeros(3, bool))
        jax.tree.map(np.testing.assert_array_equal, nothing, memory)

    def test_copies_of_a_row_are_one_observation(self):
        memory = REMEMBER(belief.start_memory((3,)), jnp.array([0, 1]), jnp.ones(2), 0.5)
        copies = REMEMBER(memory, jnp.array([1, 0, 1]), jnp.array([0.0, 1.0, 0.5]), 0.5)
        single = REMEMBER(memory, jnp.array([0, 1]), jnp.array([1.0, 0.25]), 0.5)
        np.testing.assert_allclose(copies.value, single.value, rtol=1e-6)
        np.testing.assert_array_equal(copies.count, single.count)

    def test_members_each_have_their_own(self):
        index, values = jnp.array([4, 2, 9]), RNG.random((E, 3)).astype(np.float32)
        mask = jnp.array([True, False, True])
        memory = belief.start_memory((E, N))
        together = REMEMBER(memory, index, values, 0.9, mask)
        for member in range(E):
            alone = REMEMBER(belief.start_memory((N,)), index, values[member], 0.9, mask)
            np.testing.assert_allclose(together.value[member], alone.value)
            np.testing.assert_array_equal(together.count[member], alone.count)

    def test_works_on_donated_state(self):
        step = jax.jit(belief.remember, donate_argnums=0)
        memory = belief.start_memory((E, N))
        for _ in range(3):
            memory = step(memory, jnp.array([1, 8]), jnp.full((E, 2), 0.5), 0.9)
        np.testing.assert_allclose(memory.value[:, [1, 8]], 0.5)
        np.testing.assert_array_equal(memory.count.sum(1), [6] * E)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 4), st.floats(0, 1), st.booleans()), min_size=6, max_size=6
        )
    )
    def test_order_within_a_batch_does_not_matter(self, entries):
        index, values, mask = (jnp.array(column) for column in zip(*entries))
        start = belief.VoteMemory(jnp.linspace(0, 1, 5), jnp.arange(5, dtype=jnp.int32))
        plain = REMEMBER(start, index, values, 0.9, mask)
        mixed = REMEMBER(start, index[::-1], values[::-1], 0.9, mask[::-1])
        np.testing.assert_allclose(plain.value, mixed.value, atol=1e-6)
        np.testing.assert_array_equal(plain.count, mixed.count)
        touched = np.isin(np.arange(5), np.asarray(index)[np.asarray(mask)])
        np.testing.assert_array_equal(plain.count - start.count, touched)
        assert ((plain.value >= 0) & (plain.value <= 1)).all()


class TestThresholds:
    def test_class_means_by_hand(self):
        scores = jnp.array([0.2, 0.4, 1.0, 0.6, jnp.nan, 0.9])
        labels = jnp.array([0, 0, 2, 2, 0, -1])
        mask = jnp.array([True, True, True, True, False, True])
        found = belief.class_mean_thresholds(scores, labels, 4, mask)
        np.testing.assert_allclose(found, [0.3, 2.2 / 4, 0.8, 2.2 / 4], rtol=1e-6)

    def test_nothing_at_all(self):
        found = belief.class_mean_thresholds(jnp.ones(3), jnp.full(3, -1), 2)
        np.testing.assert_array_equal(found, [0, 0])

    def test_running_class_means_by_hand(self):
        memory = belief.start_memory((3,), 0.5)
        memory = REMEMBER_CLASSES(
            memory, jnp.array([0, 0, 1, -1]), jnp.array([0.2, 0.4, 0.9, 0.1]), 0.5
        )
        np.testing.assert_allclose(memory.value, [0.3, 0.9, 0.5], rtol=1e-6)
        memory = REMEMBER_CLASSES(
            memory, jnp.array([0, 1]), jnp.array([0.9, 0.0]), 0.5, jnp.array([True, False])
        )
        np.testing.assert_allclose(memory.value, [(0.5 * 0.3 + 0.9) / 1.5, 0.9, 0.5], rtol=1e-6)

    def test_accepted_set_by_hand(self):
        scores, labels = jnp.array([0.4, 0.6, 0.6, 0.9, 0.9]), jnp.array([0, 0, 1, 1, -1])
        found = belief.accept(scores, labels, jnp.array([0.5, 0.8]))
        np.testing.assert_array_equal(found, [False, True, False, True, False])
        masked = belief.accept(scores, labels, jnp.array([0.5, 0.8]), jnp.arange(5) < 3)
        np.testing.assert_array_equal(masked, [False, True, False, False, False])

    def test_majority_is_more_than_half(self):
        ballots = jnp.array([[0, 0], [1, 0], [1, 1]], jnp.float32)  # three members
        scores = belief.panel_mean(ballots[:, None])
        thresholds = belief.majority_thresholds(1)
        labels = jnp.zeros(2, jnp.int32)
        np.testing.assert_array_equal(belief.accept(scores, labels, thresholds), [True, False])
        np.testing.assert_array_equal(
            belief.accept(jnp.array([0.5, 0.51]), labels, thresholds), [False, True]
        )

    @pytest.mark.parametrize("score", [0.0, 1 / 3, 0.7, 1.0])
    def test_equal_scores_are_all_accepted(self, score):
        scores, labels = jnp.full(30, score), jnp.arange(30) % 3
        thresholds = belief.class_mean_thresholds(scores, labels, 3)
        assert belief.accept(scores, labels, thresholds).all()

    def test_each_member_may_have_its_own(self):
        scores = jnp.array([[0.4, 0.6], [0.4, 0.6]])
        thresholds = jnp.array([[0.5, 0.5], [0.3, 0.7]])
        found = belief.accept(scores, jnp.array([0, 1]), thresholds)
        np.testing.assert_array_equal(found, [[False, True], [True, False]])


class TestWhatIsNoVote:
    def test_a_voter_whose_logits_hold_nan_votes_for_nobody(self):
        logits = jnp.array([[jnp.nan, 1.0], [0.0, 1.0], [-jnp.inf, 1.0]])
        np.testing.assert_array_equal(belief.votes(logits), [[0, 0], [0, 1], [0, 1]])
        np.testing.assert_array_equal(belief.ballots(logits, jnp.array([0, 1, -1])), [0, 1, 0])

    def test_present_is_not_taken_the_wrong_way_round(self):
        values = jnp.ones((1, 2, 3))
        with pytest.raises(ValueError, match=r"present has shape \(3, 2\): give \[2, 3\]"):
            belief.panel_mean(values, jnp.ones((3, 2), bool))
        with pytest.raises(ValueError, match=r"present has shape \(3, 2\)"):
            belief.peer_mean(values, jnp.ones((3, 2), bool))

    def test_a_label_outside_the_classes_is_refused_and_none_where_it_cannot_be_seen(self):
        scores, labels, thresholds = jnp.ones(2), jnp.array([0, 2]), jnp.zeros(2)
        with pytest.raises(ValueError, match="labels hold 2 in row 1, beyond 1"):
            belief.accept(scores, labels, thresholds)
        accepted = jax.jit(belief.accept)(scores, labels, thresholds)
        np.testing.assert_array_equal(accepted, [True, False])
        memory = belief.start_memory((2,), 0.0)
        moved = jax.jit(belief.remember_classes)(memory, labels, scores, 0.5)
        np.testing.assert_array_equal(moved.count, [1, 0])
        means = jax.jit(lambda *args: belief.class_mean_thresholds(*args, 2))
        np.testing.assert_array_equal(means(jnp.array([1.0, 5.0]), labels), [1, 1])

    def test_a_row_that_does_not_exist_is_not_remembered(self):
        memory, values = belief.start_memory((3,)), jnp.zeros(2)
        with pytest.raises(ValueError, match="index holds -1"):
            belief.remember(memory, jnp.array([0, -1]), values, 0.5)
        moved = jax.jit(belief.remember)(memory, jnp.array([0, -1]), values, 0.5)
        np.testing.assert_array_equal(moved.count, [1, 0, 0])
        np.testing.assert_array_equal(moved.value, [0, 1, 1])
        members = belief.start_memory((2, 3))
        with pytest.raises(ValueError, match="index holds 3"):
            belief.remember(members, jnp.array([0, 3]), jnp.zeros((2, 2)), 0.5)
        moved = jax.jit(belief.remember)(members, jnp.array([0, 3]), jnp.zeros((2, 2)), 0.5)
        np.testing.assert_array_equal(moved.count, [[1, 0, 0]] * 2)
