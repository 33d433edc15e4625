"""Ballots, votes, their means, acceptance: by hand, and what may not matter."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr.beliefs import votes

E, V, B, K = 3, 2, 6, 4
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(E, V, B, K)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 0, -1])
PRESENT = np.array([[1, 1, 0, 1, 0, 1], [1, 0, 1, 1, 0, 1]], bool)


def scores_of(logits, labels, present):
    return votes.ensemble_mean(votes.ballots(logits, labels), present)


class TestVotes:
    def test_ballots_by_hand(self):
        logits = jnp.array([[[3.0, 1.0], [0.0, 2.0], [1.0, 1.0]]])
        np.testing.assert_array_equal(votes.ballots(logits, jnp.array([0, 0, 0])), [[1, 0, 1]])
        np.testing.assert_array_equal(votes.ballots(logits, jnp.array([-1, 1, 1])), [[0, 1, 0]])

    def test_votes_by_hand(self):
        logits = jnp.array([[1e4, -1e4, 0.0], [0.0, 0.0, -1.0], [-jnp.inf, 1.0, 5.0]])
        np.testing.assert_array_equal(votes.votes(logits), [[1, 0, 0], [1, 0, 0], [0, 0, 1]])

    def test_ballots_are_the_votes_for_the_given_label(self):
        share = votes.votes(LOGITS)[..., np.arange(B), np.maximum(LABELS, 0)]
        expected = np.where(LABELS >= 0, share, 0)
        np.testing.assert_array_equal(votes.ballots(LOGITS, LABELS), expected)


class TestMeans:
    def test_mean_by_hand(self):
        ballots = jnp.array(
            [[[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]]
        )
        np.testing.assert_allclose(votes.ensemble_mean(ballots), [3 / 4, 1 / 4, 2 / 4])
        present = jnp.array([[True, False, False], [True, True, False]])
        np.testing.assert_allclose(votes.ensemble_mean(ballots, present), [3 / 4, 1 / 2, 0])

    def test_peers_by_hand(self):
        ballots = jnp.array([[[1.0], [1.0]], [[0.0], [1.0]], [[0.0], [0.0]]])
        np.testing.assert_allclose(votes.peer_mean(ballots), [[1 / 4], [2 / 4], [3 / 4]])
        present = jnp.array([[True], [False]])
        np.testing.assert_allclose(votes.peer_mean(ballots, present), [[0], [1 / 2], [1 / 2]])

    def test_vote_shares_sum_to_one(self):
        each = votes.votes(LOGITS)
        voted = PRESENT.any(0).astype(float)
        np.testing.assert_allclose(votes.ensemble_mean(each, PRESENT).sum(-1), voted, atol=1e-6)
        peers = votes.peer_mean(each, PRESENT)
        assert peers.shape == (E, B, K)
        np.testing.assert_allclose(peers.sum(-1), np.tile(voted, (E, 1)), atol=1e-6)

    def test_one_member_is_its_own_peer(self):
        ballots = votes.ballots(LOGITS, LABELS)[:1]
        np.testing.assert_array_equal(
            votes.peer_mean(ballots, PRESENT), votes.ensemble_mean(ballots, PRESENT)[None]
        )

    def test_own_votes_do_not_reach_their_member(self):
        ballots = votes.ballots(LOGITS, LABELS)
        before, after = (
            votes.peer_mean(ballots),
            votes.peer_mean(ballots.at[1].set(1 - ballots[1])),
        )
        np.testing.assert_allclose(before[1], after[1], atol=1e-6)
        assert np.abs(before[0] - after[0]).max() > 0.1

    def test_missing_items_may_hold_anything(self):
        spoiled = jnp.where(PRESENT[None, :, :, None], LOGITS, jnp.nan)
        probabilities = jax.nn.softmax(spoiled)
        for mean in (votes.ensemble_mean, votes.peer_mean):
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
        ballots = votes.ballots(LOGITS, LABELS)
        order = np.array([2, 0, 1])
        np.testing.assert_allclose(
            votes.peer_mean(ballots[order], PRESENT), votes.peer_mean(ballots, PRESENT)[order]
        )

    def test_members_that_are_not_alive_have_no_vote_whatever_they_predict(self):
        probabilities = jax.nn.softmax(LOGITS)
        dead, alive = probabilities.at[1].set(jnp.nan), np.array([True, False, True])
        two = probabilities[alive]
        found = votes.ensemble_mean(dead, PRESENT, alive)
        np.testing.assert_allclose(found, votes.ensemble_mean(two, PRESENT), atol=1e-6)
        peers = votes.peer_mean(dead, PRESENT, alive)
        np.testing.assert_allclose(peers[alive], votes.peer_mean(two, PRESENT), atol=1e-6)
        np.testing.assert_allclose(peers[1], found, atol=1e-6)
        last = votes.peer_mean(dead, PRESENT, np.array([False, False, True]))
        np.testing.assert_allclose(
            last[2], votes.ensemble_mean(probabilities[2:], PRESENT), atol=1e-6
        )


class TestAcceptance:
    def test_accepted_set_by_hand(self):
        scores, labels = jnp.array([0.4, 0.6, 0.6, 0.9, 0.9]), jnp.array([0, 0, 1, 1, -1])
        found = votes.accept(scores, labels, jnp.array([0.5, 0.8]))
        np.testing.assert_array_equal(found, [False, True, False, True, False])
        masked = votes.accept(scores, labels, jnp.array([0.5, 0.8]), jnp.arange(5) < 3)
        np.testing.assert_array_equal(masked, [False, True, False, False, False])

    def test_scores_that_differ_from_the_threshold_by_rounding_are_accepted(self):
        scores = votes.ensemble_mean(jnp.array([1.0, 0.0, 1.0])[:, None, None])
        assert votes.accept(scores, jnp.array([0]), jnp.array([1 - 1 / 3])).all()

    def test_each_member_may_have_its_own(self):
        scores = jnp.array([[0.4, 0.6], [0.4, 0.6]])
        thresholds = jnp.array([[0.5, 0.5], [0.3, 0.7]])
        found = votes.accept(scores, jnp.array([0, 1]), thresholds)
        np.testing.assert_array_equal(found, [[False, True], [True, False]])


class TestWhatIsNoVote:
    def test_a_voter_whose_logits_hold_nan_has_no_vote(self):
        logits = jnp.array([[jnp.nan, 1.0], [0.0, 1.0], [-jnp.inf, 1.0]])
        np.testing.assert_array_equal(votes.votes(logits), [[0, 0], [0, 1], [0, 1]])
        np.testing.assert_array_equal(votes.ballots(logits, jnp.array([0, 1, -1])), [0, 1, 0])

    def test_present_is_not_taken_the_wrong_way_round(self):
        values = jnp.ones((1, 2, 3))
        with pytest.raises(ValueError, match=r"present has shape \(3, 2\): give \[2, 3\]"):
            votes.ensemble_mean(values, jnp.ones((3, 2), bool))
        with pytest.raises(ValueError, match=r"present has shape \(3, 2\)"):
            votes.peer_mean(values, jnp.ones((3, 2), bool))

    def test_a_label_outside_the_classes_is_refused_and_none_where_it_cannot_be_seen(self):
        scores, labels, thresholds = jnp.ones(2), jnp.array([0, 2]), jnp.zeros(2)
        with pytest.raises(ValueError, match="labels hold 2 in row 1, beyond 1"):
            votes.accept(scores, labels, thresholds)
        accepted = jax.jit(votes.accept)(scores, labels, thresholds)
        np.testing.assert_array_equal(accepted, [True, False])
