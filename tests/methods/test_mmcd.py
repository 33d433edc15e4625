"""MMCD: what the panel tells each member to believe, by hand; and the terms made of it."""

import jax
import jax.numpy as jnp
import numpy as np
import paired_batch
import pytest

from jaxcmr import losses, presets
from jaxcmr.beliefs.folds import untaught_members
from jaxcmr.errors import UsageError
from jaxcmr.methods import mmcd
from jaxcmr.methods.base import Outputs

MEMBERS, CLASSES = 3, 4
LABELS = [0, 1, 2, 3]
NUMBERS = presets.MMCD | {
    "believes": "labels",
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
    return mmcd.build(paired_batch.config(NUMBERS | numbers, MEMBERS), CLASSES)


def _hp(**numbers):
    every = NUMBERS | numbers
    return {k: jnp.float32(v) for k, v in every.items() if not isinstance(v, str | bool)}


def _outputs(classes) -> Outputs:
    """Members `[E, B]` that are sure of these classes, in both modalities."""
    logits = 5.0 * jax.nn.one_hot(jnp.array(classes), CLASSES)
    embeddings = jax.random.normal(jax.random.key(0), (*logits.shape[:2], 5))
    names = paired_batch.NAMES
    return Outputs(dict.fromkeys(names, embeddings), dict.fromkeys(names, logits))


def _vote(classes, epoch=3, **numbers):
    method = _method(**numbers)
    return method.vote(
        _outputs(classes),
        method.beliefs(8),
        paired_batch.batch(LABELS),
        paired_batch.progress(epoch),
        _hp(**numbers),
    )


# Row 0: all confirm; 1: all say 2; 2: member 0 alone dissents; 3: member 0 alone confirms.
PANEL = [[0, 2, 0, 3], [0, 2, 2, 1], [0, 2, 2, 1]]


def test_in_the_warm_up_every_given_label_is_taught_and_nobody_shares_a_class():
    _, targets = _vote(PANEL, epoch=0)
    np.testing.assert_array_equal(targets["labels"], [LABELS] * MEMBERS)
    np.testing.assert_array_equal(targets["weights"], np.ones((MEMBERS, 4)))
    assert (targets["positives"] == -1).all() and not targets["clarified"].any()


def test_a_member_is_told_what_the_others_confirm():
    beliefs, targets = _vote(PANEL)
    np.testing.assert_array_equal(targets["labels"][0], [0, -1, 2, -1])
    np.testing.assert_array_equal(targets["labels"][1], [0, -1, -1, -1])
    np.testing.assert_allclose(targets["weights"][0], [1, 0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(beliefs["memory"].value[1, :4], [1, 0, 0.5, 0.5], atol=1e-6)
    np.testing.assert_array_equal(beliefs["memory"].count[:, 4:], 0)


def test_if_everybody_votes_all_are_told_what_all_confirm():
    beliefs, targets = _vote(PANEL, voters="all")
    np.testing.assert_array_equal(targets["labels"], [[0, -1, 2, -1]] * MEMBERS)
    np.testing.assert_allclose(beliefs["memory"].value[:, 2], 2 / 3, rtol=1e-5)


def test_an_open_gate_clarifies_and_a_shut_one_does_not():
    _, shut = _vote(PANEL, gate=1.5)
    _, opened = _vote(PANEL, gate=0.0)
    assert not shut["clarified"].any()
    np.testing.assert_array_equal(opened["labels"][:, 1], 2)
    assert opened["clarified"][:, 1].all() and not opened["clarified"][:, 0].any()


def _shown(gate: float):
    """Every row is held out; the panel meets three labels of four."""
    method = _method(held_out_share=1.0, gate=gate, agreement_decay=1.0)
    hp = _hp(held_out_share=1.0, gate=gate, agreement_decay=1.0)
    beliefs = method.beliefs(8)
    batch, outputs = paired_batch.batch(LABELS), _outputs([[0, 1, 2, 1]] * MEMBERS)
    for _ in range(60):
        beliefs, targets = method.vote(outputs, beliefs, batch, paired_batch.progress(3), hp)
    return beliefs, targets


def test_the_gate_opens_by_what_held_out_rows_show():
    """Three of four labels met: the fourth is likely wrong, but every proposal is as sure.

    eta = .25 by the surest, which are all of them here; then u = .25 / 3, pi = 1, and against a
    label 1 x .25 / .25 are right, at the low end for 240 proposals .77.
    """
    _, shut = _shown(gate=0.8)
    assert (shut["labels"] == -1).all()
    beliefs, targets = _shown(gate=0.75)
    np.testing.assert_allclose(beliefs["witness"].proposals.agreed, 180)
    np.testing.assert_allclose(beliefs["witness"].proposals.proposed, 240)
    np.testing.assert_allclose(beliefs["witness"].surest.agreed, 180)
    np.testing.assert_array_equal(targets["labels"], [[-1, -1, -1, 1]] * MEMBERS)


def _untaught(classes, epoch=3, **numbers):
    return _vote(classes, epoch=epoch, voters="untaught", **numbers)


def test_each_label_is_hidden_from_one_member_and_judged_by_it_alone():
    _, warm = _untaught(PANEL, epoch=0)
    hidden = np.asarray(warm["labels"] < 0)  # [E, B]
    np.testing.assert_array_equal(hidden.sum(0), 1)
    _, targets = _untaught(PANEL, gate=1.5)
    judge = hidden.argmax(0)
    for row, label in enumerate(LABELS):
        confirmed = PANEL[judge[row]][row] == label
        expected = np.where(hidden[:, row], -1, label if confirmed else -1)
        np.testing.assert_array_equal(targets["labels"][:, row], expected)


def test_labels_of_linked_rows_are_hidden_from_the_same_member():
    method, hp = _method(voters="untaught"), _hp(voters="untaught")
    for first in range(3):
        batch = paired_batch.batch(LABELS).replace(group=jnp.full(4, first))
        _, targets = method.vote(
            _outputs(PANEL), method.beliefs(8), batch, paired_batch.progress(0), hp
        )
        hidden = np.asarray(targets["labels"] < 0)  # [E, B]
        assert (hidden == hidden[:, :1]).all() and hidden[:, 0].sum() == 1


def test_a_judge_may_be_taught_what_it_proposes_but_never_the_given_label():
    _, targets = _untaught([[1, 2, 3, 0]] * MEMBERS, gate=0.0)
    np.testing.assert_array_equal(targets["labels"], [[1, 2, 3, 0]] * MEMBERS)
    assert targets["clarified"].all()


def test_members_share_the_judging_and_draws_do_not_depend_on_the_batch():
    key, rows = jax.random.key(3), jnp.arange(3000)
    hidden = untaught_members(key, rows, 5, 2)
    np.testing.assert_array_equal(hidden.sum(0), 2)
    np.testing.assert_allclose(hidden.mean(1), 0.4, atol=0.04)
    np.testing.assert_array_equal(untaught_members(key, rows[70:80], 5, 2), hidden[:, 70:80])


def test_low_losses_can_be_the_ballots():
    """Two rows fit their label and two do not: the mixture finds them, whoever else fits better."""
    beliefs, targets = _vote([[0, 1, 3, 2]] * MEMBERS, ballots="losses")
    np.testing.assert_allclose(beliefs["memory"].value[:, :4], [[1, 1, 0, 0]] * MEMBERS, atol=1e-3)
    np.testing.assert_array_equal(targets["labels"], [[0, 1, -1, -1]] * MEMBERS)


def test_held_out_rows_are_never_taught_their_own_label():
    for epoch in (0, 3):
        _, targets = _vote([[0, 1, 2, 3]] * MEMBERS, epoch=epoch, held_out_share=1.0)
        assert (targets["labels"] == -1).all() and (targets["positives"] == -1).all()


def test_the_order_of_members_and_rows_does_not_matter():
    _, targets = _vote(PANEL)
    _, turned = _vote([PANEL[2], PANEL[0], PANEL[1]])
    for name, values in targets.items():
        np.testing.assert_array_equal(values[jnp.array([2, 0, 1])], turned[name])


def test_the_filter_can_be_left_out():
    _, targets = _vote(PANEL, threshold="none")
    np.testing.assert_array_equal(targets["labels"], [LABELS] * MEMBERS)


def test_class_means_follow_the_votes_of_each_class():
    beliefs, targets = _vote(PANEL, threshold="class_mean")
    np.testing.assert_allclose(beliefs["thresholds"].value[1], [1, 0, 0.5, 0.5], atol=1e-6)
    np.testing.assert_array_equal(targets["labels"][1], LABELS)  # each row is its class's mean


def _terms(targets, **numbers):
    member = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)
    outputs = member(_outputs(PANEL))
    batch, hp = paired_batch.batch(LABELS), _hp(**numbers)
    terms = _method(**numbers).losses(outputs, batch, member(targets), paired_batch.progress(3), hp)
    return outputs, terms


def test_the_terms_are_a_weighted_label_loss_and_the_denoising_contrast():
    _, targets = _vote(PANEL)
    outputs, terms = _terms(targets)
    logits = outputs.logits["image"]
    taught = losses.generalized_cross_entropy(logits, targets["labels"][0])
    np.testing.assert_allclose(terms["label"], 2 * targets["weights"][0] * taught, rtol=1e-5)
    both = jnp.stack([outputs.embeddings[name] for name in paired_batch.NAMES])
    contrast = losses.denoising_contrastive(
        both, targets["labels"][0], targets["weights"][0], temperature=0.3
    )
    np.testing.assert_allclose(terms["dcl"], contrast.mean(0), rtol=1e-5)


def test_the_contrast_can_be_left_to_pairs_alone():
    _, targets = _vote(PANEL)
    targets["positives"] = jnp.tile(jnp.array([0, 0, 2, 2]), (MEMBERS, 1))
    targets["weights"] = jnp.ones((MEMBERS, 4))
    outputs, terms = _terms(targets, positives="pairs")
    both = jnp.stack([outputs.embeddings[name] for name in paired_batch.NAMES])
    plain = losses.denoising_contrastive(both, jnp.full(4, -1), jnp.zeros(4), temperature=0.3)
    np.testing.assert_allclose(terms["dcl"], plain.mean(0), rtol=1e-5)
    assert not np.allclose(terms["dcl"], _terms(targets)[1]["dcl"])
    with pytest.raises(UsageError, match="positives is 'all'"):
        _method(positives="all")


def test_where_nothing_is_believed_the_contrast_is_label_free():
    _, targets = _vote([[1, 2, 3, 0]] * MEMBERS, gate=1.5)
    outputs, terms = _terms(targets)
    np.testing.assert_array_equal(terms["label"], 0.0)
    both = jnp.stack([outputs.embeddings[name] for name in paired_batch.NAMES])
    free = losses.multimodal_contrastive(both, temperature=0.3).mean(0) / 2
    np.testing.assert_allclose(terms["dcl"], free, rtol=1e-5)


def test_clarified_labels_are_taught_by_the_mean_absolute_error():
    _, targets = _vote(PANEL, gate=0.0)
    outputs, terms = _terms(targets)
    mae = losses.mean_absolute_error(outputs.logits["image"], targets["labels"][0])
    np.testing.assert_allclose(terms["label"][1], 2 * targets["weights"][0, 1] * mae[1], rtol=1e-5)


@pytest.mark.parametrize(
    "field, value",
    [
        ("label_loss", "hinge"),
        ("clarified_loss", "hinge"),
        ("threshold", "median"),
        ("ballots", "guesses"),
        ("voters", "friends"),
    ],
)
def test_a_choice_that_does_not_exist_is_a_sentence(field, value):
    with pytest.raises(UsageError, match=f"config.method.{field} is '{value}'"):
        _method(**{field: value})


def test_a_label_must_be_taught_to_somebody():
    with pytest.raises(UsageError, match=r"judges is 3, but with 3 members"):
        _method(voters="untaught", judges=3)


def test_labels_by_modality_are_refused():
    config = paired_batch.config(NUMBERS, MEMBERS)
    config.noise.per_modality = True
    with pytest.raises(UsageError, match="one label a pair"):
        mmcd.build(config, CLASSES)
