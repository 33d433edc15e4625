"""MMCD with posteriors: what the panel takes each label for, and the loss made of it."""

import jax
import jax.numpy as jnp
import numpy as np
import paired_batch
import pytest

from jaxcmr import losses, presets
from jaxcmr.errors import UsageError
from jaxcmr.methods import mmcd
from jaxcmr.methods.base import Outputs

MEMBERS, CLASSES = 3, 4
LABELS = [0, 1, 2, 3]
NUMBERS = presets.MMCD | {"warmup_epochs": 1, "label_weight": 0.5}


def _method(**numbers):
    return mmcd.build(paired_batch.config(NUMBERS | numbers, MEMBERS), CLASSES)


def _hp(**numbers):
    every = NUMBERS | numbers
    return {k: jnp.float32(v) for k, v in every.items() if not isinstance(v, str | bool)}


def _outputs(logits) -> Outputs:
    names = paired_batch.NAMES
    embeddings = jax.random.normal(jax.random.key(0), (*logits.shape[:2], 5))
    return Outputs(dict.fromkeys(names, embeddings), dict.fromkeys(names, logits))


def _vote(logits, epoch=3, beliefs=None, labels=LABELS, mask=None, fraction=0.0, **numbers):
    method = _method(**numbers)
    beliefs = method.beliefs(8) if beliefs is None else beliefs
    batch, progress = paired_batch.batch(labels, mask), paired_batch.progress(epoch, fraction)
    return method.vote(_outputs(logits), beliefs, batch, progress, _hp(**numbers))


def _draw(seed=1):
    return 2.0 * jax.random.normal(jax.random.key(seed), (MEMBERS, 4, CLASSES))


def _sure(classes, members=MEMBERS):
    """All members are sure of these classes."""
    logits = 5.0 * jax.nn.one_hot(jnp.array(classes), CLASSES)
    return jnp.broadcast_to(logits, (members, *logits.shape))


def test_in_the_warm_up_given_labels_are_taught_but_to_the_judge():
    _, targets = _vote(_draw(), epoch=0)
    taught = np.asarray(targets["posterior"].sum(-1) > 0)  # [E, B]
    np.testing.assert_array_equal(taught.sum(0), MEMBERS - 1)
    expected = np.eye(CLASSES)[None] * taught[..., None]
    np.testing.assert_array_equal(targets["posterior"], expected)
    assert (targets["positives"] == -1).all() and (targets["weights"] == 0).all()


def test_the_judge_alone_is_heard_and_is_taught_nothing():
    logits = _draw()
    _, targets = _vote(logits)
    taught = np.asarray(targets["posterior"].sum(-1) > 0)
    np.testing.assert_array_equal(taught.sum(0), MEMBERS - 1)
    np.testing.assert_array_equal(targets["positives"] >= 0, taught)
    for row, judge in enumerate((~taught).argmax(0)):
        others = jnp.arange(MEMBERS) != judge
        louder = jnp.where(others[:, None], logits[:, row] + 3.0, logits[:, row])
        _, same = _vote(logits.at[:, row].set(louder))
        np.testing.assert_allclose(same["posterior"], targets["posterior"], rtol=1e-5)


def test_votes_that_meet_their_labels_are_remembered_as_sums():
    """All rows count; each of the four labels was met, twice with nothing forgotten."""
    numbers = {"surest_share": 1.0, "agreement_decay": 1.0}
    beliefs, _ = _vote(_sure(LABELS), **numbers)
    beliefs, _ = _vote(_sure(LABELS), beliefs=beliefs, **numbers)
    np.testing.assert_allclose(beliefs["transitions"], [2 * np.eye(CLASSES)] * MEMBERS)
    np.testing.assert_allclose(beliefs["rows"], 8)


def test_the_posterior_by_hand():
    """Twenty rounds, one label of four against the votes: class 3 was given as 0 each time.

    With 5 pseudo-counts a class, of which m_0 = (40 + 1) / (80 + 4) are for the label 0:
    T_00 = T_30 = (20 + 5 m_0) / 25, and T_k0 = 5 m_0 / 25 for k = 1, 2. Logits are 3.75 for
    the class voted for and -1.25 for the others, of which the sharpness is chosen.
    """
    numbers = {"surest_share": 1.0, "agreement_decay": 1.0}
    beliefs = None
    for _ in range(20):
        beliefs, targets = _vote(_sure(LABELS), beliefs=beliefs, labels=[0, 1, 2, 0], **numbers)
    given = (np.array([20, 0, 0, 20]) + 5 * 41 / 84) / 25
    fitted = 4.0  # the sharpest: votes always meet what their class is given
    p = np.exp(fitted * np.array([-1.25, -1.25, -1.25, 3.75]))
    q = p * given / (p * given).sum()
    member = int(np.asarray(targets["posterior"][:, 3].sum(-1)).argmax())
    np.testing.assert_allclose(targets["posterior"][member, 3], q, atol=1e-6)
    np.testing.assert_array_equal(targets["positives"][member, 3], 3)
    np.testing.assert_allclose(targets["weights"][member, 3], q[3], rtol=1e-5)


def test_a_class_that_all_rows_lean_to_is_not_believed_more():
    _, targets = _vote(_draw())
    _, leaning = _vote(_draw() + jnp.array([[[0.0, 9.0, 0.0, 0.0]]]))
    np.testing.assert_allclose(leaning["posterior"], targets["posterior"], rtol=1e-3)


def test_settled_posteriors_stay_as_they_are_and_reach_every_member():
    """Whatever the members say now; up to then each label was hidden from its judge."""
    beliefs, before = _vote(_draw(), fraction=0.7, settle_from=0.75)
    other = {"beliefs": beliefs, "fraction": 0.75, "settle_from": 0.75}
    after, targets = _vote(_sure([3, 3, 3, 3]), **other)
    for name in beliefs.keys() - {"classes"}:
        jax.tree.map(np.testing.assert_array_equal, after[name], beliefs[name])
    taught = before["posterior"].sum(-1, keepdims=True) > 0
    np.testing.assert_allclose(
        jnp.where(taught, targets["posterior"], 0), before["posterior"], rtol=1e-5
    )
    np.testing.assert_allclose(targets["posterior"].sum(-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(targets["positives"], targets["posterior"].argmax(-1))


def test_padding_is_not_counted_nor_taught():
    mask = np.array([True, True, True, False])
    beliefs, targets = _vote(_draw(), mask=mask, surest_share=1.0)
    np.testing.assert_allclose(beliefs["transitions"].sum((1, 2)), 3)
    np.testing.assert_array_equal(targets["posterior"][:, 3], 0)
    _, other = _vote(_draw().at[:, 3].set(7.0), mask=mask, surest_share=1.0)
    np.testing.assert_allclose(other["posterior"], targets["posterior"], rtol=1e-5)


def test_the_order_of_members_does_not_matter():
    _, targets = _vote(_draw(), voters="peers", held_out_share=0.0)
    order = jnp.array([2, 0, 1])
    _, turned = _vote(_draw()[order], voters="peers", held_out_share=0.0)
    for name, values in targets.items():
        np.testing.assert_allclose(values[order], turned[name], rtol=1e-5)


def test_the_label_term_is_the_expected_loss():
    _, targets = _vote(_draw())
    member = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)
    outputs, targets = member(_outputs(_draw())), member(targets)
    batch, progress = paired_batch.batch(LABELS), paired_batch.progress(3)
    terms = _method().losses(outputs, batch, targets, progress, _hp())
    logits, q = outputs.logits["image"], targets["posterior"]
    linear = q.sum(-1) * logits.mean(-1) - (q * logits).sum(-1)
    np.testing.assert_allclose(terms["label"], 2 * 0.5 * linear, rtol=1e-4, atol=1e-6)
    both = jnp.stack([outputs.embeddings[name] for name in paired_batch.NAMES])
    contrast = losses.denoising_contrastive(
        both, targets["positives"], targets["weights"], temperature=NUMBERS["temperature"]
    )
    np.testing.assert_allclose(terms["dcl"], contrast.mean(0), rtol=1e-5)


def test_another_way_to_believe_is_a_sentence():
    with pytest.raises(UsageError, match=r"believes is 'hopes'"):
        _method(believes="hopes")
    with pytest.raises(UsageError, match=r"voters is 'friends'"):
        _method(voters="friends")
    with pytest.raises(UsageError, match=r"settle_from is 0.1, but the warm-up lasts 0.50"):
        mmcd.build(paired_batch.config(NUMBERS | {"settle_from": 0.1}, MEMBERS, epochs=2), CLASSES)
