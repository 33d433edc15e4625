"""RoMo's second stage: its terms, when the clip counts, and what it notes for reports."""

import jax
import jax.numpy as jnp
import numpy as np
import paired_batch

from jaxcmr import losses
from jaxcmr.methods.pairs import pair_contrast

HP = paired_batch.hp("romo")
LABELS = [0, 1, 2, 3, 0, 1]


def _method(**choices):
    return paired_batch.build("romo", **choices)


def test_the_terms_are_rcll_by_modality_and_the_pair_contrast():
    outputs, batch = paired_batch.outputs(), paired_batch.batch([0, 1, 2, 3, 0, -1])
    terms = _method().losses(outputs, batch, None, paired_batch.progress(epoch=5), HP)
    rcll = losses.robust_concentrating(outputs.logits, batch.labels, alpha=0.25).sum(0)
    np.testing.assert_allclose(terms["rcll"], 0.7 * rcll, rtol=1e-5)
    contrast = pair_contrast(outputs, batch, 0.15)
    np.testing.assert_allclose(terms["pair"], 0.7 * contrast, rtol=1e-5)
    assert terms["rcll"][5] == 0


def test_the_clip_counts_only_from_its_epoch_on():
    outputs, batch, method = paired_batch.outputs(), paired_batch.batch(LABELS), _method()

    def gradient(epoch):
        def total(logits):
            at = paired_batch.progress(epoch)
            return method.losses(outputs.replace(logits=logits), batch, None, at, HP)["rcll"].sum()

        return np.abs(jax.grad(total)(outputs.logits)[0]).sum(-1) > 0

    p = jax.nn.softmax(outputs.logits[0])[jnp.arange(6), batch.labels[0]]
    unlikely = np.asarray(p < 0.25)
    assert unlikely.any() and not unlikely.all()
    assert gradient(0).all()
    np.testing.assert_array_equal(gradient(2), ~unlikely)


def test_another_label_loss_may_take_its_place():
    outputs, batch = paired_batch.outputs(), paired_batch.batch(LABELS)
    method = _method(label_loss="cross_entropy")
    terms = method.losses(outputs, batch, None, paired_batch.progress(epoch=5), HP)
    expected = losses.cross_entropy(outputs.logits, batch.labels).sum(0)
    np.testing.assert_allclose(terms["rcll"], 0.7 * expected, rtol=1e-5)


def test_the_vote_notes_classes_and_labels_below_the_clip_of_living_members():
    one, method = paired_batch.outputs(), _method()
    outputs = jax.tree.map(lambda leaf: jnp.stack([leaf, jnp.nan * leaf]), one)
    batch, alive = paired_batch.batch(LABELS), jnp.array([True, False])
    beliefs = paired_batch.build("romo", members=2).beliefs(8, 4)
    notes, targets = method.vote(outputs, alive, beliefs, batch, paired_batch.progress(5), HP)
    assert targets is None
    np.testing.assert_array_equal(notes.classes[0, :, :6], one.logits.argmax(-1))
    np.testing.assert_array_equal(notes.classes[0, :, 6:], -1)
    np.testing.assert_array_equal(notes.classes[1], -1)
    p = jax.nn.softmax(one.logits[1])[jnp.arange(6), batch.labels[1]]
    np.testing.assert_array_equal(notes.below_clip[0, 1, :6], p < 0.25)
    assert not notes.below_clip[1].any()


def test_unit_centers_may_take_the_place_of_the_head():
    method = _method(classifier="centers")
    inputs = {name: jax.random.normal(jax.random.key(1), (3, 7)) for name in paired_batch.NAMES}
    variables = method.init(jax.random.key(0), inputs, 4)
    outputs, _ = method.apply(
        variables, inputs, HP | {"center_temperature": 0.1}, key=None, train=False
    )
    units = outputs.embeddings / jnp.linalg.norm(outputs.embeddings, axis=-1, keepdims=True)
    np.testing.assert_allclose(outputs.logits, units @ outputs.centers.T / 0.1, rtol=1e-4)
    assert set(variables["params"]) == {*paired_batch.NAMES, "centers"}
