"""RoMo's second stage: its terms, when the clip counts, and what it notes for people."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import paired_batch
import pytest

from jaxcmr import losses, presets
from jaxcmr.errors import UsageError
from jaxcmr.labels import diagnosis
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


def test_diagnosis_by_hand():
    truth = paired_batch.dataset([0, 0, 1, 1])
    classes = np.array([[[1, 1, 0, 0], [1, 1, 0, 1]]])
    found = diagnosis.pseudo_labels(2, {"classes": classes}, truth)
    assert found["accuracy"] == 1.0 and found["NMI"] == pytest.approx(1.0)
    assert found["agreement"] == 0.75 and found["warning"].startswith("cluster 0 holds 50%")
    collapsed = diagnosis.pseudo_labels(3, {"classes": np.zeros((1, 2, 4), int)}, truth)
    assert "2 of 3 clusters are empty" in collapsed["warning"]
    assert diagnosis.pseudo_labels(2, {"classes": np.full((1, 2, 4), -1)}, truth) == {}


def test_diagnosis_without_the_truth_says_what_it_can():
    unknown = paired_batch.dataset([0, 0, 1, 1], known=False)
    found = diagnosis.pseudo_labels(2, {"classes": np.array([[[1, 1, 0, 0]] * 2])}, unknown)
    assert "accuracy" not in found and found["agreement"] == 1.0


def test_believed_labels_by_hand():
    train = paired_batch.dataset([0, 0, 1, 1]).with_labels(np.array([0, 1, 1, 0]))
    beliefs = {
        "labels": np.array([[0, 0, -1, 0]]),
        "classes": np.zeros((1, 2, 4), int),
        "thresholds": SimpleNamespace(value=np.array([[0.5, 0.7]])),
        "memory": SimpleNamespace(value=np.array([[1.0, 0.0, 0.95, 0.35]])),
    }
    found = diagnosis.believed_labels(beliefs, train)
    assert found["accepted"] == 0.5 and found["clarified"] == 0.25
    assert found["precision"] == 0.5 and found["recall"] == 0.5
    assert found["clarified accuracy"] == 1.0 and found["threshold"] == pytest.approx(0.6)
    assert found["votes clean"] == [0.0] * 9 + [1.0]  # rows 0 and 2
    assert found["votes wrong"] == [0.5, 0, 0, 0.5, 0, 0, 0, 0, 0, 0]  # rows 1 and 3
