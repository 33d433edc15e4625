"""The methods without labels: contrast of pairs and copies, matching with memories and clusters."""

import jax
import jax.numpy as jnp
import numpy as np
import paired_batch
import pytest

from jaxcmr import losses
from jaxcmr.beliefs.cluster_scores import number_of_clusters
from jaxcmr.errors import UsageError
from jaxcmr.methods import Outputs, matching
from jaxcmr.methods.pairs import pair_contrast
from jaxcmr.numerics import unit_rows

UNLABELLED = [-1] * 6


def _rows(*shape, seed=0):
    return jax.random.normal(jax.random.key(seed), shape)


def test_without_copies_it_is_the_multimodal_contrastive_loss():
    rows = _rows(2, 6, 4)
    value = pair_contrast(Outputs(rows), paired_batch.batch(UNLABELLED), 0.3)
    expected = losses.multimodal_contrastive(rows, temperature=0.3).mean(0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_copies_count_as_modalities():
    four = _rows(4, 6, 4)
    value = pair_contrast(Outputs(four.reshape(2, 12, 4)), paired_batch.batch(UNLABELLED), 0.3)
    expected = losses.multimodal_contrastive(four, temperature=0.3).mean(0)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("copies", [1, 2])
def test_copies_of_a_batch_follow_one_another(copies):
    method = paired_batch.build("pairs", copies=copies)
    inputs = {name: _rows(6, 7, seed=v) for v, name in enumerate(paired_batch.NAMES)}
    variables = method.init(jax.random.key(0), inputs, 0)
    key = jax.random.key(1)
    outputs, _ = method.apply(variables, inputs, {}, key=key, train=True)
    seen, _ = method.apply(variables, inputs, {}, key=key, train=False)
    assert outputs.embeddings.shape == (2, 6 * copies, 5)
    np.testing.assert_allclose(outputs.embeddings[:, -6:], seen.embeddings, rtol=1e-5, atol=1e-6)


def _clustered(members: int, rows: int = 60, classes: int = 3):
    """Embeddings of two modalities in tight groups, each modality and member turned differently."""
    truth = np.arange(rows) % classes
    turn = lambda seed: jnp.linalg.qr(_rows(5, 5, seed=seed))[0]
    codes = jnp.eye(5)[truth]
    make = lambda seed: codes @ turn(seed) + 0.05 * _rows(rows, 5, seed=seed + 50)
    embeddings = [[make(10 * v + e) for v in range(2)] for e in range(members)]
    return jnp.array(embeddings), truth


@pytest.mark.parametrize("members", [1, 3])
def test_a_cluster_is_the_same_in_all_modalities_and_members(members):
    embeddings, truth = _clustered(members)
    centers, memories = matching.cluster_members(jax.random.key(0), embeddings, 3, None)
    classes = memories.classes
    assert classes.shape == (members, 2, 60)
    assert (classes == classes[:1, :1]).all()
    assert len({(k, t) for k, t in zip(np.asarray(classes[0, 0]), truth)}) == 3
    assigned = jnp.einsum("evnd,evkd->evnk", memories.rows, centers).argmax(-1)
    np.testing.assert_array_equal(assigned, classes)


def test_clusters_made_again_keep_their_numbers():
    embeddings, _ = _clustered(1)
    _, first = matching.cluster_members(jax.random.key(0), embeddings, 3, None)
    _, again = matching.cluster_members(jax.random.key(7), embeddings, 3, first.classes)
    np.testing.assert_array_equal(first.classes, again.classes)


@pytest.mark.parametrize("lost", [jnp.nan, 0.0])
def test_a_member_that_is_dead_or_not_finite_decides_no_cluster(lost):
    embeddings, _ = _clustered(2)
    dead = jnp.concatenate([embeddings[:1], embeddings[1:] * lost])
    centers, found = matching.cluster_members(jax.random.key(0), dead, 3, None)
    alone, expected = matching.cluster_members(jax.random.key(0), embeddings[:1], 3, None)
    np.testing.assert_array_equal(found.classes[0], expected.classes[0])
    np.testing.assert_allclose(centers[0], alone[0], rtol=1e-5, atol=1e-6)
    assert (found.classes[1] == -1).all()
    with pytest.raises(UsageError, match="nothing to cluster: the embeddings of every member"):
        matching.cluster_members(jax.random.key(0), dead[1:], 3, None)


HP = paired_batch.hp("matching", warmup_epochs=1)
EYE = jnp.eye(3)


def _vote(epoch: int, alive=True, **present):
    """One vote of one member on two of four rows whose memories and clusters are axes."""
    rows = jnp.tile(EYE[jnp.array([0, 1, 2, 0])], (1, 2, 1, 1))
    memories = matching.Memories(rows, jnp.full((1, 2, 4), -1))
    embeddings = jnp.stack([2.0 * EYE[jnp.array([1, 1])], EYE[jnp.array([0, 0])]])[None]
    outputs = Outputs(embeddings, None, jnp.tile(EYE, (1, 2, 1, 1)))
    batch = paired_batch.batch([-1, -1], **present).replace(index=jnp.array([0, 2]))
    alive = jnp.array([alive])
    return matching.vote(outputs, alive, memories, batch, paired_batch.progress(epoch), HP)


def test_a_vote_reads_the_memories_and_then_moves_them():
    memories, targets = _vote(epoch=1)
    np.testing.assert_array_equal(targets, [[[0, 2], [0, 2]]])
    np.testing.assert_array_equal(memories.classes, [[[0, -1, 2, -1]] * 2])
    moved = unit_rows(jnp.array([[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]]))
    np.testing.assert_allclose(memories.rows[0, 0, jnp.array([0, 2])], moved, rtol=1e-5)
    np.testing.assert_array_equal(memories.rows[0, 0, jnp.array([1, 3])], EYE[jnp.array([1, 0])])


def test_there_are_no_targets_in_the_warm_up_and_missing_items_leave_no_trace():
    memories, targets = _vote(epoch=0, image=[False, True])
    assert (targets == -1).all()
    np.testing.assert_array_equal(memories.rows[0, 0, 0], [1.0, 0.0, 0.0])


def test_missing_items_and_dead_members_have_no_clusters():
    memories, targets = _vote(epoch=1, image=[False, True])
    np.testing.assert_array_equal(targets, [[[-1, 2], [0, 2]]])
    np.testing.assert_array_equal(memories.classes[0, 0], [-1, -1, 2, -1])
    memories, targets = _vote(epoch=1, alive=False)
    assert (targets == -1).all() and (memories.classes == -1).all()


def test_the_terms_of_matching_and_their_weights():
    outputs = Outputs(_rows(2, 4, 5), _rows(2, 4, 3, seed=3))
    targets = jnp.array([[0, 1, 2, -1], [0, 0, 2, -1]])
    batch, progress = paired_batch.batch([-1] * 4), paired_batch.progress(3)
    terms = matching.objective(outputs, batch, targets, progress, HP)
    expected = losses.cross_entropy(outputs.logits, targets).sum(0)
    np.testing.assert_allclose(terms["ssm"], 0.75 * expected, rtol=1e-5)
    assert terms["ssm"][3] == 0 and (terms["information"] == 0).all()
    np.testing.assert_allclose(terms["pair"], 0.25 * pair_contrast(outputs, batch, 0.05), rtol=1e-5)


def test_the_number_of_clusters_is_the_one_on_which_modalities_agree():
    embeddings, _ = _clustered(1, rows=120, classes=4)
    features = [np.asarray(unit_rows(rows)) for rows in embeddings[0]]
    found, scores = number_of_clusters(features, seed=0, candidates=(2, 3, 4, 5, 6))
    assert found == 4 and scores[4] == pytest.approx(1.0)


def test_an_estimate_needs_two_modalities_of_the_same_rows():
    with pytest.raises(ValueError, match="two or more modalities"):
        number_of_clusters([np.zeros((10, 2))], seed=0)
