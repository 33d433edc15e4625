"""Votes on labels: which labels members are trained on, by hand; and the terms made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import paired_batch
import pytest

from jaxcmr import losses
from jaxcmr.errors import UsageError
from jaxcmr.methods import Outputs

MEMBERS, CLASSES = 3, 4
LABELS = [0, 1, 2, 3]
ALL_ALIVE = jnp.ones(MEMBERS, bool)
NUMBERS = {
    "voters": "peers",
    "held_out_share": 0.0,
    "warmup_epochs": 1,
    "threshold": "majority",
    "label_loss": "generalized_cross_entropy",
    "clarified_loss": "mean_absolute_error",
    "label_weight": 1.0,
    "temperature": 0.3,
}


def _method(**numbers):
    choices = {name: value for name, value in (NUMBERS | numbers).items() if isinstance(value, str)}
    return paired_batch.jitted("label_vote", MEMBERS, **choices)


def _hp(**numbers):
    return paired_batch.hp("label_vote", **NUMBERS | numbers)


def _outputs(classes) -> Outputs:
    """Members `[E, B]` that are sure of these classes, in both modalities."""
    logits = 5.0 * jax.nn.one_hot(jnp.array(classes), CLASSES)
    embeddings = jax.random.normal(jax.random.key(0), (*logits.shape[:2], 5))
    return Outputs(jnp.stack([embeddings] * 2, 1), jnp.stack([logits] * 2, 1))


def _vote(classes, epoch=3, alive=ALL_ALIVE, outputs=None, **numbers):
    method = _method(**numbers)
    return method.vote(
        _outputs(classes) if outputs is None else outputs,
        alive,
        method.beliefs(8, CLASSES),
        paired_batch.batch(LABELS),
        paired_batch.progress(epoch),
        _hp(**numbers),
    )


# Row 0: all confirm; 1: all predict 2; 2: member 0 alone dissents; 3: member 0 alone confirms.
PREDICTED = [[0, 2, 0, 3], [0, 2, 2, 1], [0, 2, 2, 1]]


def test_in_the_warm_up_all_given_labels_are_targets_and_none_decides_a_positive():
    _, targets = _vote(PREDICTED, epoch=0)
    np.testing.assert_array_equal(targets.labels, [LABELS] * MEMBERS)
    np.testing.assert_array_equal(targets.weights, np.ones((MEMBERS, 4)))
    assert (targets.positives == -1).all() and not targets.clarified.any()


def test_a_member_uses_what_the_others_confirm():
    beliefs, targets = _vote(PREDICTED)
    np.testing.assert_array_equal(targets.labels[0], [0, -1, 2, -1])
    np.testing.assert_array_equal(targets.labels[1], [0, -1, -1, -1])
    np.testing.assert_allclose(targets.weights[0], [1, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(beliefs.ballots.value[1, :4], [1, 0, 0.5, 0.5], atol=1e-6)
    np.testing.assert_array_equal(beliefs.ballots.count[:, 4:], 0)


def test_with_voters_all_every_member_uses_the_votes_of_all():
    beliefs, targets = _vote(PREDICTED, voters="all")
    np.testing.assert_array_equal(targets.labels, [[0, -1, 2, -1]] * MEMBERS)
    np.testing.assert_allclose(beliefs.ballots.value[:, 2], 2 / 3, rtol=1e-5)


def test_precise_proposals_replace_labels_and_others_do_not():
    _, refused = _vote(PREDICTED, min_precision=1.5)
    _, trusted = _vote(PREDICTED, min_precision=0.0)
    assert not refused.clarified.any()
    np.testing.assert_array_equal(trusted.labels[:, 1], 2)
    assert trusted.clarified[:, 1].all() and not trusted.clarified[:, 0].any()


def _shown(min_precision: float):
    """Every row is held out; the members predict three labels of four."""
    method = _method(held_out_share=1.0, min_precision=min_precision, agreement_decay=1.0)
    hp = _hp(held_out_share=1.0, min_precision=min_precision, agreement_decay=1.0)
    beliefs = method.beliefs(8, CLASSES)
    outputs, batch = _outputs([[0, 1, 2, 1]] * MEMBERS), paired_batch.batch(LABELS)
    for _ in range(60):
        beliefs, targets = method.vote(
            outputs, ALL_ALIVE, beliefs, batch, paired_batch.progress(3), hp
        )
    return beliefs, targets


def test_the_precision_of_proposals_is_estimated_on_held_out_rows():
    """Three of four labels are predicted: the fourth is likely wrong, at the same confidence.

    eta = .25 by the most confident, which are all of them here; then u = .25 / 3, pi = 1, and
    against a label 1 x .25 / .25 are right, at the low end for 240 proposals .77.
    """
    _, shut = _shown(min_precision=0.8)
    assert (shut.labels == -1).all()
    beliefs, targets = _shown(min_precision=0.75)
    np.testing.assert_allclose(beliefs.agreement.agreed, 180)
    np.testing.assert_allclose(beliefs.agreement.proposed, 240)
    np.testing.assert_allclose(beliefs.confident.agreed, 180)
    np.testing.assert_array_equal(targets.labels, [[-1, -1, -1, 1]] * MEMBERS)


def _folded(classes, epoch=3, **numbers):
    return _vote(classes, epoch=epoch, voters="out_of_fold", **numbers)


def test_each_label_is_hidden_from_one_member_whose_vote_alone_counts():
    _, warm = _folded(PREDICTED, epoch=0)
    hidden = np.asarray(warm.labels < 0)  # [E, B]
    np.testing.assert_array_equal(hidden.sum(0), 1)
    _, targets = _folded(PREDICTED, min_precision=1.5)
    voter = hidden.argmax(0)
    for row, label in enumerate(LABELS):
        confirmed = PREDICTED[voter[row]][row] == label
        expected = np.where(hidden[:, row], -1, label if confirmed else -1)
        np.testing.assert_array_equal(targets.labels[:, row], expected)


def test_labels_of_linked_rows_are_hidden_from_the_same_member():
    method, hp = _method(voters="out_of_fold"), _hp(voters="out_of_fold")
    for first in range(3):
        batch = paired_batch.batch(LABELS).replace(group=jnp.full(4, first))
        _, targets = method.vote(
            _outputs(PREDICTED),
            ALL_ALIVE,
            method.beliefs(8, CLASSES),
            batch,
            paired_batch.progress(0),
            hp,
        )
        hidden = np.asarray(targets.labels < 0)  # [E, B]
        assert (hidden == hidden[:, :1]).all() and hidden[:, 0].sum() == 1


def test_a_member_may_be_trained_on_its_proposal_but_never_on_a_label_hidden_from_it():
    _, targets = _folded([[1, 2, 3, 0]] * MEMBERS, min_precision=0.0)
    np.testing.assert_array_equal(targets.labels, [[1, 2, 3, 0]] * MEMBERS)
    assert targets.clarified.all()


def test_low_losses_can_be_the_ballots():
    """Two rows fit their label and two do not: the mixture finds them for each voter alone."""
    beliefs, targets = _vote([[0, 1, 3, 2]] * MEMBERS, ballots="losses")
    np.testing.assert_allclose(beliefs.ballots.value[:, :4], [[1, 1, 0, 0]] * MEMBERS, atol=1e-3)
    np.testing.assert_array_equal(targets.labels, [[0, 1, -1, -1]] * MEMBERS)


def test_labels_of_held_out_rows_are_never_targets():
    for epoch in (0, 3):
        _, targets = _vote([[0, 1, 2, 3]] * MEMBERS, epoch=epoch, held_out_share=1.0)
        assert (targets.labels == -1).all() and (targets.positives == -1).all()


def test_the_order_of_members_and_rows_does_not_matter():
    _, targets = _vote(PREDICTED)
    _, turned = _vote([PREDICTED[2], PREDICTED[0], PREDICTED[1]])
    order = jnp.array([2, 0, 1])
    jax.tree.map(
        lambda one, other: np.testing.assert_array_equal(one[order], other), targets, turned
    )


def test_the_filter_can_be_left_out():
    _, targets = _vote(PREDICTED, threshold="none")
    np.testing.assert_array_equal(targets.labels, [LABELS] * MEMBERS)


def test_class_means_follow_the_votes_of_each_class():
    beliefs, targets = _vote(PREDICTED, threshold="class_mean")
    np.testing.assert_allclose(beliefs.thresholds.value[1], [1, 0, 0.5, 0.5], atol=1e-6)
    np.testing.assert_array_equal(targets.labels[1], LABELS)  # each row is its class's mean


def _terms(targets, **numbers):
    member = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)
    outputs = member(_outputs(PREDICTED))
    batch, hp = paired_batch.batch(LABELS), _hp(**numbers)
    terms = _method(**numbers).losses(outputs, batch, member(targets), paired_batch.progress(3), hp)
    return outputs, terms


def test_the_terms_are_a_weighted_label_loss_and_the_denoising_contrast():
    _, targets = _vote(PREDICTED)
    outputs, terms = _terms(targets)
    logits = outputs.logits[0]
    expected = losses.generalized_cross_entropy(logits, targets.labels[0])
    np.testing.assert_allclose(terms["label"], 2 * targets.weights[0] * expected, rtol=1e-5)
    contrast = losses.denoising_contrastive(
        outputs.embeddings, targets.labels[0], targets.weights[0], temperature=0.3
    )
    np.testing.assert_allclose(terms["dcl"], contrast.mean(0), rtol=1e-5)


def test_the_contrast_can_be_left_to_pairs_alone():
    _, targets = _vote(PREDICTED)
    positives = jnp.tile(jnp.array([0, 0, 2, 2]), (MEMBERS, 1))
    targets = targets.replace(positives=positives, weights=jnp.ones((MEMBERS, 4)))
    outputs, terms = _terms(targets, positives="pairs")
    plain = losses.denoising_contrastive(
        outputs.embeddings, jnp.full(4, -1), jnp.zeros(4), temperature=0.3
    )
    np.testing.assert_allclose(terms["dcl"], plain.mean(0), rtol=1e-5)
    assert not np.allclose(terms["dcl"], _terms(targets)[1]["dcl"])


def test_where_nothing_is_believed_the_contrast_is_label_free():
    _, targets = _vote([[1, 2, 3, 0]] * MEMBERS, min_precision=1.5)
    outputs, terms = _terms(targets)
    np.testing.assert_array_equal(terms["label"], 0.0)
    free = losses.multimodal_contrastive(outputs.embeddings, temperature=0.3).mean(0) / 2
    np.testing.assert_allclose(terms["dcl"], free, rtol=1e-5)


def test_the_loss_of_clarified_labels_is_the_mean_absolute_error():
    _, targets = _vote(PREDICTED, min_precision=0.0)
    outputs, terms = _terms(targets)
    mae = losses.mean_absolute_error(outputs.logits[0], targets.labels[0])
    np.testing.assert_allclose(terms["label"][1], 2 * targets.weights[0, 1] * mae[1], rtol=1e-5)


@pytest.mark.parametrize("voters", ["out_of_fold", "peers", "all"])
def test_a_dead_member_has_no_vote(voters):
    """Two members are left, each the other's voter and peer; the outputs of the third are NaN."""
    dead = jax.tree.map(lambda leaf: leaf.at[1].set(jnp.nan), _outputs(PREDICTED))
    alive = jnp.array([True, False, True])
    beliefs, targets = _vote(None, alive=alive, outputs=dead, voters=voters, held_out_share=0.0)
    for leaf in jax.tree.leaves((beliefs, targets)):
        assert np.isfinite(leaf).all()
    confirmed = np.array(PREDICTED) == LABELS  # [E, B]
    if voters == "peers":
        expected = confirmed[[2, 0]]
    elif voters == "all":
        expected = np.tile(confirmed[[0, 2]].mean(0), (2, 1))
    else:
        _, warm = _vote(None, 0, alive, dead, voters=voters, held_out_share=0.0)
        hidden = np.asarray(warm.labels < 0)[[0, 2]]
        np.testing.assert_array_equal(hidden.sum(0), 1)
        expected = np.tile((confirmed[[0, 2]] & hidden).any(0), (2, 1))
    np.testing.assert_allclose(beliefs.ballots.value[jnp.array([0, 2]), :4], expected)
    np.testing.assert_array_equal(beliefs.classes[1], -1)
    np.testing.assert_array_equal(beliefs.classes[0, :, :4], [PREDICTED[0]] * 2)


def test_a_label_must_not_be_hidden_from_all_members():
    with pytest.raises(UsageError, match=r"held_out_members is 3, but with 3 members"):
        paired_batch.build("label_vote", MEMBERS, held_out_members=3)


@pytest.mark.parametrize("voters", ["out_of_fold", "peers"])
def test_what_is_said_to_be_hidden_is_what_members_are_not_trained_on(voters):
    numbers = {"voters": voters, "held_out_share": 0.5}
    method, hp = _method(**numbers), _hp(**numbers)
    hidden = np.asarray(method.hidden(jnp.arange(8), ALL_ALIVE, hp))
    assert 0 < hidden.mean() < 1
    for rows in (jnp.arange(4), jnp.arange(4, 8)):
        _, targets = method.vote(
            _outputs(PREDICTED), ALL_ALIVE, method.beliefs(8, CLASSES),
            paired_batch.batch(LABELS).replace(index=rows), paired_batch.progress(0), hp,
        )  # fmt: skip
        np.testing.assert_array_equal(targets.labels < 0, hidden[:, rows])
