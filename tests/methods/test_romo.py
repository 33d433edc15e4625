"""RoMo's second stage: its terms, when the clip counts, and what it notes for people."""

import jax
import jax.numpy as jnp
import numpy as np
import paired_batch
import pytest

from jaxcmr import losses, presets
from jaxcmr.errors import UsageError
from jaxcmr.methods import mc, romo

HP = {k: jnp.float32(v) for k, v in presets.ROMO.items() if not isinstance(v, str)}
LABELS = [0, 1, 2, 3, 0, 1]


def _method(**numbers):
    return romo.build(paired_batch.config(presets.ROMO | numbers), 4)


def test_the_terms_are_rcll_by_modality_and_the_gap():
    outputs, batch = paired_batch.outputs(), paired_batch.batch([0, 1, 2, 3, 0, -1])
    terms = _method().losses(outputs, batch, None, paired_batch.progress(epoch=5), HP)
    rcll = sum(
        losses.robust_concentrating(outputs.logits[name], batch.labels[name], alpha=0.25)
        for name in outputs.logits
    )
    np.testing.assert_allclose(terms["rcll"], 0.7 * rcll, rtol=1e-5)
    gap = mc.modality_gap(outputs, batch, 0.15)
    np.testing.assert_allclose(terms["mlm"], 0.7 * gap, rtol=1e-5)
    assert terms["rcll"][5] == 0


def test_the_clip_counts_only_from_its_epoch_on():
    outputs, batch, method = paired_batch.outputs(), paired_batch.batch(LABELS), _method()

    def gradient(epoch):
        def total(logits):
            at = paired_batch.progress(epoch)
            return method.losses(outputs.replace(logits=logits), batch, None, at, HP)["rcll"].sum()

        return np.abs(jax.grad(total)(outputs.logits)["image"]).sum(-1) > 0

    p = jax.nn.softmax(outputs.logits["image"])[jnp.arange(6), batch.labels["image"]]
    unlikely = np.asarray(p < 0.25)
    assert unlikely.any() and not unlikely.all()
    assert gradient(0).all()
    np.testing.assert_array_equal(gradient(2), ~unlikely)


def test_another_label_loss_may_take_its_place():
    outputs, batch = paired_batch.outputs(), paired_batch.batch(LABELS)
    method = _method(label_loss="cross_entropy")
    terms = method.losses(outputs, batch, None, paired_batch.progress(epoch=5), HP)
    expected = sum(losses.cross_entropy(outputs.logits[n], batch.labels[n]) for n in batch.labels)
    np.testing.assert_allclose(terms["rcll"], 0.7 * expected, rtol=1e-5)
    with pytest.raises(UsageError, match=r"config\.method\.label_loss is 'hinge'"):
        _method(label_loss="hinge")


def test_the_vote_notes_classes_and_who_is_below_the_clip():
    outputs = jax.tree.map(lambda leaf: leaf[None], paired_batch.outputs())
    batch, method = paired_batch.batch(LABELS), _method()
    beliefs, targets = method.vote(
        outputs, method.beliefs(8), batch, paired_batch.progress(epoch=5), HP
    )
    assert targets is None
    classes = outputs.logits["image"][0].argmax(-1)
    np.testing.assert_array_equal(beliefs["classes"][0, 0, :6], classes)
    np.testing.assert_array_equal(beliefs["classes"][0, :, 6:], -1)
    p = jax.nn.softmax(outputs.logits["text"][0])[jnp.arange(6), batch.labels["text"]]
    np.testing.assert_array_equal(beliefs["below_clip"][0, 1, :6], p < 0.25)
