"""Rows without a label: their label term is nothing, their pair terms count, no belief counts them.

Also labels are left out of estimates: the noise transition matrix, agreements and thresholds.
"""

import jax
import jax.numpy as jnp
import numpy as np
import paired_batch
import pytest

from jaxcmr import methods
from jaxcmr.methods import Outputs

LABELS = [0, 1, 2, 3, 0, 1]
WITHOUT = [0, 1, -1, 3, 0, -1]
ROWS = np.array(WITHOUT) < 0
CENTERS = jax.random.normal(jax.random.key(5), (4, 5))
# Method -> its terms that look at labels; in the warm-up where the members vote.
LABEL_TERMS = {
    "ce": {"ce"},
    "label_vote": {"label"},
    "matching": set(),
    "mmcd": {"label"},
    "mrl": {"rc"},
    "pairs": set(),
    "romo": {"rcll"},
    "rono": {"crc", "rdc"},
}


def _terms(name, outputs, labels, epoch=0):
    """The terms of one member, of its own vote on a batch with these labels."""
    method, numbers = paired_batch.jitted(name), {}
    if name in ("label_vote", "mmcd"):
        numbers = {"held_out_share": 0.0, "warmup_epochs": 5}
    hp, batch = paired_batch.hp(name, **numbers), paired_batch.batch(labels)
    progress = paired_batch.progress(epoch)
    stacked = jax.lax.stop_gradient(jax.tree.map(lambda leaf: leaf[None], outputs))
    if name == "matching":
        stacked = stacked.replace(centers=stacked.centers[:, :2])
    beliefs = method.beliefs(6, 4)
    _, targets = method.vote(stacked, jnp.ones(1, bool), beliefs, batch, progress, hp)
    targets = jax.tree.map(lambda leaf: leaf[0], targets)
    return method.losses(outputs, batch, targets, progress, hp)


def _outputs(name):
    drawn = paired_batch.outputs()
    return drawn.replace(centers=jnp.stack([CENTERS] * 2) if name == "matching" else CENTERS)


@pytest.mark.parametrize("name", methods.METHODS)
def test_a_row_without_a_label_has_no_label_term_and_its_pair_terms(name):
    assert set(LABEL_TERMS) == set(methods.METHODS)
    outputs = _outputs(name)
    every, some = _terms(name, outputs, LABELS), _terms(name, outputs, WITHOUT)
    for term, values in some.items():
        of_labels = term in LABEL_TERMS[name]
        expected = jnp.where(ROWS, 0.0, every[term]) if of_labels else every[term]
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-7)
        if of_labels:
            assert np.abs(every[term][ROWS]).min() > 0


@pytest.mark.parametrize("name", methods.METHODS)
def test_the_gradient_is_that_of_the_batch_with_the_label_terms_masked(name):
    outputs = _outputs(name)

    def total(outputs, labels, masked):
        terms = _terms(name, outputs, labels)
        masked = [
            jnp.where(masked & (term in LABEL_TERMS[name]), 0.0, terms[term]) for term in terms
        ]
        return sum(masked).mean()

    gradient = jax.grad(total)
    some = gradient(outputs, WITHOUT, np.zeros(6, bool))
    expected = gradient(outputs, LABELS, ROWS)
    for ours, theirs in zip(jax.tree.leaves(some), jax.tree.leaves(expected)):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)


def _vote(name, labels, outputs, mask=None, **numbers):
    """Three votes of two members on a batch after the warm-up; each label is hidden from one."""
    choices = {key: value for key, value in numbers.items() if isinstance(value, str)}
    method = paired_batch.jitted(name, 2, **choices)
    hp = paired_batch.hp(name, warmup_epochs=0, **numbers)
    beliefs, batch = method.beliefs(6, 4), paired_batch.batch(labels, mask)
    for _ in range(3):
        beliefs, targets = method.vote(
            outputs, jnp.ones(2, bool), beliefs, batch, paired_batch.progress(3), hp
        )
    return beliefs, targets


def _of_two():
    members = [paired_batch.outputs(seed=seed) for seed in (0, 1)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def test_mmcd_counts_no_row_without_a_label_and_believes_the_prediction():
    numbers = {"confident_share": 1.0, "transition_decay": 1.0, "memory_decay": 0.0}
    beliefs, targets = _vote("mmcd", WITHOUT, _of_two(), **numbers)
    np.testing.assert_allclose(beliefs.transitions.sum((1, 2)), [3 * 4] * 2)
    np.testing.assert_allclose(beliefs.transitions.sum(1)[0], 3 * np.array([2, 1, 0, 1]))
    np.testing.assert_allclose(beliefs.counted, [3 * 4] * 2)
    np.testing.assert_array_equal(beliefs.self_confidence[:, ROWS], 0)
    # The posterior is the softmax of the remembered votes at some sharpness, whatever T is.
    votes = np.moveaxis(np.asarray(beliefs.logits.value), 1, -1)[:, ROWS]
    found = np.asarray(targets.posterior)[:, ROWS]
    for member, row in zip(*np.nonzero(found.sum(-1))):
        ratio = np.log(found[member, row]) - np.log(found[member, row, 0])
        distances = votes[member, row] - votes[member, row, 0]
        sharpness = ratio[1:] / distances[1:]
        np.testing.assert_allclose(sharpness, sharpness[0], rtol=1e-3)
    np.testing.assert_array_equal(beliefs.labels[:, ROWS], votes.argmax(-1))


def test_the_most_confident_share_is_that_of_the_rows_with_a_label():
    """Half of four are two, and a tenth of them is one; the votes on the others are the surest."""
    loudness = np.array([3.0, 3.2, 5.0, 3.4, 3.6, 6.0])[:, None]
    logits = np.broadcast_to(loudness * np.eye(4)[LABELS], (2, 2, 6, 4))
    outputs = Outputs(jnp.ones((2, 2, 6, 5)), jnp.asarray(logits, jnp.float32))
    beliefs, _ = _vote("mmcd", WITHOUT, outputs, confident_share=0.5, transition_decay=1.0)
    np.testing.assert_allclose(beliefs.transitions.sum((1, 2)), [3 * 2] * 2)
    beliefs, _ = _vote("label_vote", WITHOUT, outputs, agreement_decay=1.0)
    np.testing.assert_array_equal(beliefs.confident.proposed, [3 * 1] * 2)


def test_label_vote_counts_no_row_without_a_label():
    sure = jnp.broadcast_to(5.0 * jax.nn.one_hot(jnp.array(LABELS), 4), (2, 2, 6, 4))
    outputs = Outputs(jax.random.normal(jax.random.key(0), (2, 2, 6, 5)), sure)
    beliefs, targets = _vote("label_vote", WITHOUT, outputs, agreement_decay=1.0)
    for agreement in (beliefs.agreement, beliefs.confident):
        np.testing.assert_array_equal(agreement.agreed, agreement.proposed)
        assert (agreement.proposed > 0).all() and (agreement.proposed <= 3 * 4).all()
    np.testing.assert_allclose(beliefs.thresholds.value[:, [0, 1, 3]], 1.0, rtol=1e-5)
    np.testing.assert_array_equal(beliefs.thresholds.count[0], [3, 3, 0, 3])
    assert (targets.labels[:, ROWS] == -1).all()  # nothing replaces them: no label was wrong
    assert (targets.labels[:, ~ROWS] >= 0).any()


def test_label_vote_may_give_a_row_its_class():
    """Votes that agree with nine of ten labels are trusted on the rows that have none."""
    labels = np.arange(60) % 4
    given = np.where(np.arange(60) < 10, (labels + 1) % 4, np.where(np.arange(60) < 20, -1, labels))
    sure = jnp.broadcast_to(9.0 * jax.nn.one_hot(jnp.array(labels), 4), (2, 2, 60, 4))
    outputs = Outputs(jnp.ones((2, 2, 60, 5)), sure)
    method = paired_batch.jitted("label_vote", 2)
    hp = paired_batch.hp("label_vote", warmup_epochs=0, min_precision=0.5)
    beliefs = method.beliefs(60, 4)
    for _ in range(5):
        beliefs, targets = method.vote(
            outputs, jnp.ones(2, bool), beliefs, paired_batch.batch(given),
            paired_batch.progress(3), hp,
        )  # fmt: skip
    np.testing.assert_array_equal(targets.labels[:, 10:20], [labels[10:20]] * 2)


def test_low_losses_are_told_from_high_ones_among_the_rows_with_a_label():
    """The loss of a row without a label, 0, would be the low component alone."""
    labels = [0, 0, 0, 0, -1, -1]
    logits = np.array([0.52, 0.5, -0.5, -0.52, 1.0, 1.0])[:, None] * np.eye(4, dtype=np.float32)[0]
    outputs = Outputs(jnp.ones((2, 2, 6, 5)), jnp.broadcast_to(jnp.asarray(logits), (2, 2, 6, 4)))
    vote = lambda mask: _vote("label_vote", labels, outputs, mask, ballots="losses")[0].ballots
    every, masked = vote(None), vote(np.array(labels) >= 0)
    np.testing.assert_allclose(every.value[:, :4], masked.value[:, :4], rtol=1e-5)
    assert (every.value[:, :2] > 0.9).all() and (every.value[:, 2:4] < 0.1).all()


def test_romo_notes_no_row_without_a_label_as_below_the_clip():
    method, outputs = paired_batch.jitted("romo"), paired_batch.outputs()
    stacked = jax.tree.map(lambda leaf: leaf[None], outputs.replace(logits=0 * outputs.logits))
    stacked = stacked.replace(logits=stacked.logits.at[..., 3].set(5.0))
    notes, _ = method.vote(
        stacked, jnp.ones(1, bool), method.beliefs(6, 4), paired_batch.batch(WITHOUT),
        paired_batch.progress(5), paired_batch.hp("romo"),
    )  # fmt: skip
    np.testing.assert_array_equal(
        notes.below_clip[0], [[True, True, False, False, True, False]] * 2
    )
