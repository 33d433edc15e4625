"""Clarification by hand, and its estimated precision against simulated voters."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr.beliefs import clarify, votes

K = 10


class TestRule:
    def test_proposals_by_hand(self):
        shares = jnp.array([[4, 2, 0], [3, 3, 0], [6, 0, 0], [0, 0, 0]]) / 6
        confidence = jnp.array([[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.4, 0.3, 0.3], [0.0, 0, 0]])
        rule = partial(clarify.propose, shares, confidence)
        np.testing.assert_array_equal(rule(2 / 3, 0.5), [0, -1, -1, -1])
        np.testing.assert_array_equal(rule(2 / 3, 0.4), [0, -1, 0, -1])
        np.testing.assert_array_equal(
            rule(1 / 2, 0.0), [0, 1, 0, -1]
        )  # a tie: the class of higher confidence
        np.testing.assert_array_equal(rule(0.0, 0.0), [0, 1, 0, -1])  # no votes: no proposal

    def test_labels_by_hand(self):
        labels, proposals = jnp.array([0, 1, 2, 0]), jnp.array([1, 2, -1, 1])
        accepted = jnp.array([True, False, False, False])
        np.testing.assert_array_equal(
            clarify.clarify(labels, accepted, proposals, True), [0, 2, -1, 1]
        )
        np.testing.assert_array_equal(
            clarify.clarify(labels, accepted, proposals, jnp.array(False)), [0, -1, -1, -1]
        )

    def test_a_rejected_label_is_not_restored(self):
        labels = jnp.array([0, 1])
        found = clarify.clarify(labels, jnp.array([False, True]), labels, True)
        np.testing.assert_array_equal(found, [-1, 1])

    def test_each_member_may_trust_proposals_or_not(self):
        labels, proposals = jnp.array([0, 1]), jnp.array([[2, 2], [2, 2]])
        accepted = jnp.array([[True, False], [True, False]])
        found = clarify.clarify(labels, accepted, proposals, jnp.array([[True], [False]]))
        np.testing.assert_array_equal(found, [[0, 2], [0, -1]])

    def test_from_logits_to_labels(self):
        # Two members, two modalities; item 0 confirmed, item 1 outvoted, item 2 disputed.
        predicted = np.array([[[0, 2, 0], [0, 2, 1]], [[0, 2, 2], [1, 2, 0]]])
        logits = 8.0 * jax.nn.one_hot(predicted, 3)
        labels = jnp.array([0, 1, 2])
        scores = votes.ensemble_mean(votes.ballots(logits, labels))
        accepted = votes.accept(scores, labels, jnp.full(3, 0.51))
        shares = votes.ensemble_mean(votes.votes(logits))
        confidence = votes.ensemble_mean(jax.nn.softmax(logits))
        proposals = clarify.propose(shares, confidence, 2 / 3, 0.9)
        np.testing.assert_array_equal(
            clarify.clarify(labels, accepted, proposals, True), [0, 2, -1]
        )

    def test_vmap_over_rules_equals_a_loop(self):
        rng = np.random.default_rng(0)
        shares = jnp.asarray(rng.multinomial(6, [0.7, 0.2, 0.1], 50) / 6, jnp.float32)
        rule = lambda r, c: clarify.propose(shares, shares, r, c)
        rs, cs = jnp.array([0.5, 2 / 3, 1.0]), jnp.array([0.1, 0.7, 0.2])
        together = jax.jit(jax.vmap(rule))(rs, cs)
        np.testing.assert_array_equal(together, [rule(r, c) for r, c in zip(rs, cs)])


class TestCounting:
    def test_by_hand(self):
        proposals = jnp.array([[0, 1, -1, 2, 2], [0, 2, 1, -1, 2]])
        labels = jnp.array([0, 2, 1, 2, -1])
        held_out = jnp.array([True, True, True, False, True])
        found = clarify.count_agreement(proposals, labels, held_out)
        np.testing.assert_array_equal(found.agreed, [1, 3])
        np.testing.assert_array_equal(found.proposed, [2, 3])

    def test_without_noise_it_is_the_hit_rate_with_wilsons_interval(self):
        found = clarify.rule_precision(
            clarify.Agreement(jnp.float32(8), jnp.float32(10)), 0.0, K, 1.96
        )
        # Wilson at 8 of 10, z = 1.96: (8 + 1.9208 -+ 1.96 sqrt(1.6 + .9604)) / 13.8416
        half = 1.96 * np.sqrt(10 * 0.8 * 0.2 + 1.96**2 / 4)
        expected = [
            0.8,
            (8 + 1.96**2 / 2 - half) / (10 + 1.96**2),
            (8 + 1.96**2 / 2 + half) / (10 + 1.96**2),
        ]
        np.testing.assert_allclose(jnp.stack(found), expected, rtol=1e-5)

    def test_noise_is_taken_out_by_hand(self):
        # 90 % right proposals, 40 % wrong labels, 3 classes: .9 * .6 + .1 * .2 = .56 agree.
        agreement = clarify.Agreement(jnp.float32(5600), jnp.float32(10_000))
        right = clarify.rule_precision(agreement, 0.4, 3)
        np.testing.assert_allclose(right.estimate, 0.9, rtol=1e-5)
        # Of the 44 % that contradict the label, .9 * .4 are right.
        relabel = clarify.relabel_precision(agreement, 0.4, 3)
        np.testing.assert_allclose(relabel.estimate, 0.36 / 0.44, rtol=1e-5)
        assert relabel.low < relabel.estimate < relabel.high
        assert relabel.high - relabel.low < 0.1

    @pytest.mark.parametrize("precision", [clarify.rule_precision, clarify.relabel_precision])
    @pytest.mark.parametrize(
        "agreed, proposed, noise",
        [(0, 0, 0.4), (0, 50, 0.4), (50, 50, 0.4), (1e-30, 1e-30, 0.2), (3, 9, 0.9), (3, 9, 1.0)],
    )
    def test_extremes_stay_in_the_unit_interval(self, precision, agreed, proposed, noise):
        agreement = clarify.Agreement(jnp.float32(agreed), jnp.float32(proposed))
        found = jnp.stack(precision(agreement, noise, K))
        assert ((found >= 0) & (found <= 1)).all()
        assert found[1] <= found[2]

    def test_without_evidence_the_precision_is_low(self):
        for agreement in (
            clarify.Agreement(jnp.float32(0), jnp.float32(0)),
            clarify.Agreement(jnp.float32(2), jnp.float32(2)),
        ):
            assert clarify.relabel_precision(agreement, 0.4, K).low < 0.5

    def test_clean_labels_are_never_worth_replacing(self):
        agreement = clarify.Agreement(jnp.float32(900), jnp.float32(1000))
        assert clarify.relabel_precision(agreement, 0.0, K).high == 0


def simulate(skill, noise, rows=30_000, memorised=0.0, seed=0):
    """Draws six voters that share half of their mistakes, and noisy labels.

    A voter is right with probability `skill`; on rows that are not held out it repeats the
    given label with probability `memorised`.
    """
    rng = np.random.default_rng(seed)
    true = rng.integers(0, K, rows)
    wrong = rng.random(rows) < noise
    given = np.where(wrong, (true + rng.integers(1, K, rows)) % K, true)
    guess = (true + rng.integers(1, K, rows)) % K  # the mistake that voters share
    held_out = rng.random(rows) < 0.2
    voters = []
    for _ in range(6):
        mistake = np.where(rng.random(rows) < 0.5, guess, rng.integers(0, K, rows))
        vote = np.where(rng.random(rows) < skill, true, mistake)
        voters.append(np.where(~held_out & (rng.random(rows) < memorised), given, vote))
    shares = votes.ensemble_mean(jax.nn.one_hot(np.stack(voters), K)[:, None])
    return shares, jnp.asarray(given), jnp.asarray(true), jnp.asarray(held_out)


class TestSimulatedVoters:
    @pytest.mark.parametrize("skill", [0.4, 0.7, 0.9])
    @pytest.mark.parametrize("noise", [0.2, 0.4, 0.6])
    def test_estimate_is_the_precision_of_relabelling(self, skill, noise):
        shares, given, true, held_out = simulate(skill, noise)
        proposals = clarify.propose(shares, shares, 2 / 3, 0.0)
        agreement = clarify.count_agreement(proposals, given, held_out)
        overall = (proposals == true)[proposals >= 0].mean()
        np.testing.assert_allclose(
            clarify.rule_precision(agreement, noise, K).estimate, overall, atol=0.04
        )
        replaced = (proposals >= 0) & (proposals != given)
        actual = (proposals == true)[replaced].mean()
        found = clarify.relabel_precision(agreement, noise, K)
        np.testing.assert_allclose(found.estimate, actual, atol=0.06)
        assert found.low - 0.02 <= actual <= found.high + 0.02

    def test_the_rule_looks_better_on_rows_it_was_trained_on_than_on_held_out_rows(self):
        shares, given, true, held_out = simulate(0.4, 0.4, memorised=0.5)
        proposals = clarify.propose(shares, shares, 2 / 3, 0.0)
        scores = shares[jnp.arange(len(given)), given]
        accepted = votes.accept(scores, given, jnp.full(K, 0.51))
        rows = accepted & ~held_out & (proposals >= 0)
        assert (proposals == given)[rows].mean() > 0.99  # which overestimates the rule
        # On held-out rows no wrong label is memorised, so agreement shows the precision.
        replaced = held_out & (proposals >= 0) & (proposals != given)
        actual = (proposals == true)[replaced].mean()
        agreement = clarify.count_agreement(proposals, given, held_out)
        found = clarify.relabel_precision(agreement, 0.4, K)
        np.testing.assert_allclose(found.estimate, actual, atol=0.08)
        trained = ~held_out & (proposals >= 0) & (proposals != given)
        assert (proposals == true)[trained].mean() > found.low


def test_the_most_confident_proposals_show_the_noise_of_labels():
    """Simulated: 40 % wrong labels; half of the proposals are right, of the sure ones 95 %."""
    keys = jax.random.split(jax.random.key(0), 5)
    rows = (200, 500)  # batches
    truth = jax.random.randint(keys[0], rows, 0, K)

    def draw_classes(key, right):
        draw, shift = jax.random.split(key)
        wrong = truth + jax.random.randint(shift, truth.shape, 1, K)
        return jnp.where(jax.random.uniform(draw, truth.shape) < right, truth, wrong % K)

    labels = draw_classes(keys[1], 0.6)
    sure = jax.random.uniform(keys[2], rows) < 0.1
    proposals = draw_classes(keys[3], jnp.where(sure, 0.95, 0.5))
    noise = 0.2 * jax.random.uniform(keys[4], rows)
    confidence = jnp.repeat((jnp.where(sure, 0.8, 0.3) + noise)[..., None], K, -1)
    everywhere = jnp.ones(rows, bool)
    best = clarify.most_confident(proposals, confidence, everywhere)
    np.testing.assert_allclose((best >= 0).mean(), 0.1, atol=1e-3)
    seen = clarify.count_agreement(best, labels, everywhere)
    agreed, proposed = (counts.sum() for counts in seen)
    np.testing.assert_allclose(1 - agreed / proposed, 0.43, atol=0.03)


def test_the_most_confident_proposals_by_hand():
    proposals = jnp.array([[0, 1, -1, 2, 1], [-1, -1, -1, -1, -1]])
    value = jnp.array([0.5, 0.7, 0.99, 0.6, 0.9])
    confidence = jnp.broadcast_to(value[None, :, None], (2, 5, 3))
    rows = jnp.array([[True, True, True, True, False]] * 2)
    kept = partial(clarify.most_confident, proposals, confidence, rows)
    np.testing.assert_array_equal(kept(0.1), [[-1, 1, -1, -1, -1], [-1] * 5])
    np.testing.assert_array_equal(kept(0.6), [[-1, 1, -1, 2, -1], [-1] * 5])
    np.testing.assert_array_equal(kept(1.0), [[0, 1, -1, 2, -1], [-1] * 5])


def test_a_proposal_of_no_known_confidence_is_not_among_the_most_confident():
    confidence = jnp.array([[0.9, 0.1], [jnp.nan, 0.1], [0.8, 0.2]])
    kept = clarify.most_confident(jnp.array([0, 0, 0]), confidence, jnp.ones(3, bool), 0.5)
    np.testing.assert_array_equal(kept, [0, -1, -1])


def test_wrong_arguments_are_named():
    agreement = clarify.Agreement(jnp.float32(3), jnp.float32(4))
    for call, words in (
        (lambda: clarify.rule_precision(agreement, 0.4, 1), "num_classes is 1"),
        (lambda: clarify.relabel_precision(agreement, jnp.nan, 3), "noise_rate is nan"),
        (lambda: clarify.propose(jnp.ones((3, 2)), jnp.ones((2, 2)), 0.5, 0.5), "confidence has"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
