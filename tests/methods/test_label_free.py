"""The label-free methods: contrast of pairs and copies, matching with memories and clusters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from paired_batch import NAMES, config

from jaxcmr import losses, presets
from jaxcmr.beliefs import cluster_number
from jaxcmr.methods import matching, mc
from jaxcmr.methods.base import Outputs, Progress
from jaxcmr.numerics import unit_rows
from jaxcmr.train import statistics
from jaxcmr.types import Batch


def _batch(rows: int, **present) -> Batch:
    names = ("image", "text")
    there = {name: jnp.asarray(present.get(name, np.ones(rows, bool))) for name in names}
    labels = dict.fromkeys(names, jnp.full(rows, -1))
    return Batch({}, labels, jnp.arange(rows), jnp.ones(rows, bool), there)


def _rows(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def test_without_copies_the_floor_is_the_multimodal_contrastive_loss():
    embeddings = {"image": _rows(6, 4), "text": _rows(6, 4, seed=1)}
    value = mc.modality_gap(Outputs(embeddings, {}), _batch(6), 0.3)
    pair = jnp.stack([embeddings["image"], embeddings["text"]])
    expected = losses.multimodal_contrastive(pair, temperature=0.3).mean(0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_copies_count_as_modalities():
    image, text = _rows(2, 6, 4), _rows(2, 6, 4, seed=1)
    embeddings = {"image": image.reshape(12, 4), "text": text.reshape(12, 4)}
    value = mc.modality_gap(Outputs(embeddings, {}), _batch(6), 0.3)
    four = jnp.concatenate([image, text])
    expected = losses.multimodal_contrastive(four, temperature=0.3).mean(0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def _clustered(members: int, rows: int = 60, classes: int = 3):
    """Embeddings of two modalities in tight groups, each modality and member turned differently."""
    truth = np.arange(rows) % classes
    turn = lambda seed: jnp.linalg.qr(_rows(5, 5, seed=seed))[0]
    codes = jnp.eye(5)[truth]
    make = lambda seed: codes @ turn(seed) + 0.05 * _rows(rows, 5, seed=seed + 50)
    embeddings = {
        name: jnp.stack([make(10 * v + e) for e in range(members)])
        for v, name in enumerate(("image", "text"))
    }
    return embeddings, truth


@pytest.mark.parametrize("members", [1, 3])
def test_a_cluster_is_the_same_in_all_modalities_and_members(members):
    embeddings, truth = _clustered(members)
    weights, units, classes = matching.cluster_members(jax.random.key(0), embeddings, 3, None)
    assert classes.shape == (members, 2, 60)
    assert (classes == classes[:1, :1]).all()
    assert len({(k, t) for k, t in zip(np.asarray(classes[0, 0]), truth)}) == 3
    for name, rows in units.items():
        assigned = jnp.einsum("end,ekd->enk", rows, weights[name]).argmax(-1)
        np.testing.assert_array_equal(assigned, classes[:, 0])


def test_clusters_made_anew_keep_their_names():
    embeddings, _ = _clustered(1)
    _, _, first = matching.cluster_members(jax.random.key(0), embeddings, 3, None)
    _, _, again = matching.cluster_members(jax.random.key(7), embeddings, 3, first)
    np.testing.assert_array_equal(first, again)


HP = {k: v for k, v in presets.ROMO_MATCHING.items() if not isinstance(v, str)}


def _vote(epoch: int, warmup: int = 1, present=None):
    """One vote of one member on two of four rows whose memories and clusters are axes."""
    eye = jnp.eye(3)
    memory = {name: eye[jnp.array([0, 1, 2, 0])][None] for name in ("image", "text")}
    beliefs = {"memory": memory, "classes": jnp.full((1, 2, 4), -1)}
    embeddings = {"image": 2.0 * eye[jnp.array([1, 1])][None], "text": eye[jnp.array([0, 0])][None]}
    centers = {"image": eye[None], "text": eye[None]}
    batch = _batch(2, **(present or {})).replace(index=jnp.array([0, 2]))
    progress = Progress(jnp.int32(0), jnp.int32(epoch), jnp.float32(0))
    return matching.vote(
        Outputs(embeddings, {}, centers), beliefs, batch, progress, HP | {"warmup_epochs": warmup}
    )


def test_a_vote_reads_the_memories_and_then_moves_them():
    beliefs, targets = _vote(epoch=1)
    np.testing.assert_array_equal(targets, [[[0, 2], [0, 2]]])
    np.testing.assert_array_equal(beliefs["classes"], [[[0, -1, 2, -1]] * 2])
    moved = unit_rows(jnp.array([[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]]))
    np.testing.assert_allclose(beliefs["memory"]["image"][0, jnp.array([0, 2])], moved, rtol=1e-5)
    np.testing.assert_array_equal(
        beliefs["memory"]["image"][0, jnp.array([1, 3])], jnp.eye(3)[jnp.array([1, 0])]
    )


def test_there_are_no_targets_in_the_warm_up_and_missing_items_leave_no_trace():
    beliefs, targets = _vote(epoch=0, present={"image": [False, True]})
    assert (targets == -1).all()
    np.testing.assert_array_equal(beliefs["memory"]["image"][0, 0], [1.0, 0.0, 0.0])


def test_of_a_missing_item_no_cluster_is_said():
    beliefs, targets = _vote(epoch=1, present={"image": [False, True]})
    np.testing.assert_array_equal(targets, [[[-1, 2], [0, 2]]])
    np.testing.assert_array_equal(beliefs["classes"][0, 0], [-1, -1, 2, -1])


def test_the_terms_of_matching_and_their_weights():
    logits = {"image": _rows(4, 3), "text": _rows(4, 3, seed=3)}
    outputs = Outputs({"image": _rows(4, 5), "text": _rows(4, 5, seed=1)}, logits)
    targets = jnp.array([[0, 1, 2, -1], [0, 0, 2, -1]])
    progress = Progress(jnp.int32(0), jnp.int32(3), jnp.float32(0))
    terms = matching.objective(outputs, _batch(4), targets, progress, HP)
    expected = sum(losses.cross_entropy(logits[n], targets[v]) for v, n in enumerate(logits))
    np.testing.assert_allclose(terms["ssm"], 0.75 * expected, rtol=1e-5)
    assert terms["ssm"][3] == 0 and (terms["information"] == 0).all()
    gap = mc.modality_gap(outputs, _batch(4), 0.05)
    np.testing.assert_allclose(terms["mlm"], 0.25 * gap, rtol=1e-5)


def test_the_number_of_clusters_is_the_one_on_which_modalities_agree():
    embeddings, _ = _clustered(1, rows=120, classes=4)
    features = [np.asarray(unit_rows(rows[0])) for rows in embeddings.values()]
    found, scores = cluster_number.estimate(features, seed=0, candidates=(2, 3, 4, 5, 6))
    assert found == 4 and scores[4] == pytest.approx(1.0)


def test_an_estimate_needs_two_modalities_of_the_same_rows():
    with pytest.raises(ValueError, match="two or more modalities"):
        cluster_number.estimate([np.zeros((10, 2))], seed=0)


@pytest.mark.parametrize("copies", [1, 2])
def test_parts_of_a_batch_come_back_in_the_order_of_the_whole(copies):
    """Without batch norm and chance a row does not know in which part it went through."""
    method = mc.build(config(presets.MC | {"copies": copies}), 4)
    draw = lambda key: {name: jax.random.normal(key, (6, 7)) for name in NAMES}
    inputs, key = draw(jax.random.key(0)), jax.random.key(1)
    variables = method.init(key, inputs)
    expected, _ = method.apply(variables, inputs, key=key, train=True)
    found, _ = statistics.by_parts(method, 3).apply(variables, inputs, key=key, train=True)
    for name in NAMES:
        assert len(expected.embeddings[name]) == 6 * copies
        np.testing.assert_allclose(
            found.embeddings[name], expected.embeddings[name], rtol=1e-5, atol=1e-5
        )
