"""Values one can follow by hand, and what the edges of each loss mean."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr import losses

# softmax of log(p) is p.
P = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6]])
LOGITS = jnp.log(P)
LABELS = jnp.array([0, 0, 2])
P_Y = np.array([0.5, 0.1, 0.6])

CLASSIFICATION = {
    "cross_entropy": (losses.cross_entropy, -np.log(P_Y)),
    "mean_absolute_error": (losses.mean_absolute_error, 1 - P_Y),
    "unhinged": (losses.unhinged, np.log(P).mean(1) - np.log(P_Y)),
    "generalized_cross_entropy": (losses.generalized_cross_entropy, (1 - P_Y**0.7) / 0.7),
    "symmetric_cross_entropy": (
        losses.symmetric_cross_entropy,
        -0.1 * np.log(P_Y) + 4 * (1 - P_Y),
    ),
    "focal": (losses.focal, -((1 - P_Y) ** 2) * np.log(P_Y)),
    "label_smoothing": (
        losses.label_smoothing,
        -0.9 * np.log(P_Y) - 0.1 * np.log(P).mean(1),
    ),
    "robust_clustering": (losses.robust_clustering, np.log(1 - P_Y)),
    "robust_concentrating": (
        losses.robust_concentrating,
        (-np.log(np.maximum(P_Y, 1 / 3))) ** 0.25 * (1 - np.maximum(P_Y, 1 / 3)),
    ),
}


@jax.jit
def _classification(labels):
    """Values and gradients of all of them, in one program."""
    results = {}
    for name, (loss, _) in CLASSIFICATION.items():
        values, backward = jax.vjp(lambda logits, f=loss: f(logits, labels), LOGITS)
        results[name] = values, backward(jnp.ones_like(values))[0]
    return results


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_classification_value(name):
    values, _ = _classification(LABELS)[name]
    np.testing.assert_allclose(values, CLASSIFICATION[name][1], rtol=1e-5)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_a_row_without_a_label_gives_nothing(name):
    values, gradient = _classification(LABELS.at[1].set(-1))[name]
    np.testing.assert_allclose(values, CLASSIFICATION[name][1] * [1, 0, 1], rtol=1e-5)
    assert not jnp.any(gradient[1])


def test_a_label_beyond_the_classes_is_refused_and_no_label_where_it_cannot_be_seen():
    labels, rows = LABELS.at[1].set(3), jnp.eye(3)
    for loss in (
        lambda labels: losses.cross_entropy(LOGITS, labels),
        lambda labels: losses.center_distance(rows, labels, rows),
    ):
        with pytest.raises(ValueError, match="labels hold 3 in row 1, beyond 2"):
            loss(labels)
        np.testing.assert_array_equal(jax.jit(loss)(labels), loss(LABELS.at[1].set(-1)))


def test_leading_axes_of_any_number():
    many = losses.cross_entropy(jnp.stack([LOGITS, LOGITS]), jnp.stack([LABELS, LABELS]))
    np.testing.assert_array_equal(many, jnp.stack([losses.cross_entropy(LOGITS, LABELS)] * 2))
    assert losses.cross_entropy(LOGITS[0], LABELS[0]).shape == ()


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.cross_entropy(LOGITS, LABELS[:2]),
        lambda: losses.cross_entropy(LOGITS[:, :1], LABELS),
        lambda: losses.soft_focal(LOGITS, LOGITS[:2]),
        lambda: losses.early_learning_regularization(LOGITS, LOGITS[:2]),
        lambda: losses.class_prior_penalty(LOGITS, jnp.ones(4) / 4),
        lambda: losses.class_prior_penalty(LOGITS[0]),
        lambda: losses.center_distance(LOGITS, LABELS[:2], LOGITS),
        lambda: losses.center_distance(LOGITS, LABELS, LOGITS[:, :2]),
        lambda: losses.multimodal_contrastive(LOGITS, temperature=1.0),
        lambda: losses.multimodal_contrastive(LOGITS[None], temperature=1.0, block_size=0),
        lambda: losses.denoising_contrastive(LOGITS[None], LABELS[:2], temperature=1.0),
        lambda: losses.cross_modal_margin(LOGITS[None], present=jnp.ones(3, bool)),
    ],
)
def test_wrong_shapes_are_named(call):
    with pytest.raises(ValueError, match=r"give|stack"):
        call()


def test_limits_of_the_exponents():
    expected = losses.cross_entropy(LOGITS, LABELS)
    for same in (
        losses.generalized_cross_entropy(LOGITS, LABELS, q=0.0),
        losses.focal(LOGITS, LABELS, gamma=0.0),
        losses.label_smoothing(LOGITS, LABELS, epsilon=0.0),
        losses.symmetric_cross_entropy(LOGITS, LABELS, alpha=1.0, beta=0.0),
    ):
        np.testing.assert_allclose(same, expected, rtol=1e-6)
    error = losses.mean_absolute_error(LOGITS, LABELS)
    for same in (
        losses.generalized_cross_entropy(LOGITS, LABELS, q=1.0),
        losses.robust_concentrating(LOGITS, LABELS, alpha=0.0, clip=0.0),
    ):
        np.testing.assert_allclose(same, error, rtol=1e-6)


def test_uniformly_flipped_labels_only_scale_the_unhinged_loss():
    every = jnp.stack([losses.unhinged(LOGITS, jnp.full(3, label)) for label in range(3)])
    np.testing.assert_allclose(every.sum(0), 0.0, atol=1e-6)
    # A share r goes to the two other labels alike.
    others = every.sum(0) - losses.unhinged(LOGITS, LABELS)
    noisy = 0.6 * losses.unhinged(LOGITS, LABELS) + 0.4 * others / 2
    np.testing.assert_allclose(noisy, 0.4 * losses.unhinged(LOGITS, LABELS), rtol=1e-5)


def test_soft_targets_contain_the_hard_ones():
    hard = jax.nn.one_hot(LABELS, 3)
    np.testing.assert_allclose(
        losses.soft_focal(LOGITS, hard, gamma=2.0),
        losses.focal(LOGITS, LABELS, gamma=2.0),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        losses.early_learning_regularization(LOGITS, hard),
        losses.robust_clustering(LOGITS, LABELS),
        rtol=1e-6,
    )


def test_early_learning_regularization_value_and_constant_targets():
    targets = jnp.array([[0.2, 0.3, 0.5]] * 3)
    expected = np.log(1 - P @ np.array([0.2, 0.3, 0.5]))
    actual = losses.early_learning_regularization(LOGITS, targets)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    to_targets = jax.grad(lambda t: losses.early_learning_regularization(LOGITS, t).sum())
    assert not jnp.any(to_targets(targets))


def test_class_prior_penalty_value_and_mask():
    mean = P.mean(0)
    prior = np.array([0.5, 0.5, 0.0])
    expected = 0.5 * math.log(0.5 / mean[0]) + 0.5 * math.log(0.5 / mean[1])
    np.testing.assert_allclose(
        losses.class_prior_penalty(LOGITS, jnp.asarray(prior)), expected, rtol=1e-5
    )
    mask = jnp.array([True, True, False])
    np.testing.assert_allclose(
        losses.class_prior_penalty(LOGITS, mask=mask),
        losses.class_prior_penalty(LOGITS[:2]),
        rtol=1e-6,
    )


def test_warmup_ramp():
    assert [float(losses.warmup_ramp(epoch, 5)) for epoch in (0, 1, 3, 4, 9)] == [
        0.0,
        0.25,
        0.75,
        1.0,
        1.0,
    ]
    traced = jax.jit(losses.warmup_ramp)
    assert [float(traced(0, length)) for length in (0, 1, 2)] == [1.0, 1.0, 0.0]
    assert float(traced(0.5, 2.0)) == 0.5


def test_robust_center_value():
    # Two centers on the axes, so their mean is (1/2, 1/2); the row lies on the first axis.
    centers = jnp.array([[3.0, 0.0], [0.0, 0.1]])
    rows = jnp.array([[5.0, 0.0], [5.0, 0.0]])
    labels = jnp.array([0, 1])
    options = {"tau1": 0.5, "tau2": 0.25, "margin": 0.3}
    to_mean, to_label = math.exp(0.5), np.array([1.0, 0.0])
    warm = (to_mean - np.exp(1.5 * to_label)) / 0.5
    robust = -np.abs(to_mean - np.exp(to_label) + 0.3) / 0.25
    for ramp in (0.0, 0.25, 1.0):
        np.testing.assert_allclose(
            losses.robust_center(rows, labels, centers, ramp=ramp, **options),
            (1 - ramp) * warm + ramp * robust,
            rtol=1e-5,
        )


def test_center_distance_and_logits():
    rows, centers = jnp.array([[1.0, 2.0], [0.0, 3.0]]), jnp.array([[1.0, 0.0], [0.0, 2.0]])
    np.testing.assert_allclose(
        losses.center_distance(rows, jnp.array([0, 1]), centers), [4.0, 1.0], rtol=1e-6
    )
    root = math.sqrt(5)
    np.testing.assert_allclose(
        losses.center_logits(rows, centers, temperature=0.5),
        [[2 / root, 4 / root], [0.0, 2.0]],
        rtol=1e-6,
    )


def test_multimodal_contrastive_value():
    # Instances on two axes: an anchor meets its partner at cosine 1 and two others at 0.
    embeddings = jnp.stack([2 * jnp.eye(2), 5 * jnp.eye(2)])
    actual = losses.multimodal_contrastive(embeddings, temperature=0.5)
    expected = -2 * math.log(math.exp(2) / (math.exp(2) + 2))
    np.testing.assert_allclose(actual, np.full((2, 2), expected), rtol=1e-6)
    across = losses.multimodal_contrastive(embeddings, temperature=0.5, intra_modal_weight=0.0)
    expected = -2 * math.log(math.exp(2) / (math.exp(2) + 1))
    np.testing.assert_allclose(across, np.full((2, 2), expected), rtol=1e-6)


def test_supervised_contrastive_value():
    # Both instances are of one class: every other row is a positive.
    embeddings = jnp.stack([jnp.eye(2), jnp.eye(2)])
    total = math.log(math.e + 2)
    actual = losses.supervised_contrastive(embeddings, jnp.zeros(2, int), temperature=1.0)
    np.testing.assert_allclose(actual, np.full((2, 2), total - 1 / 3), rtol=1e-6)
    total = math.log(math.e + 1)
    actual = losses.cross_modal_supervised_contrastive(
        embeddings, jnp.zeros(2, int), temperature=1.0
    )
    np.testing.assert_allclose(actual, np.full((2, 2), total - 1 / 2), rtol=1e-6)


def test_denoising_contrastive_weighs_positives():
    # Row 1 shares the label of row 0 with trust 0.5 * 0.8; row 2 has no accepted label.
    embeddings = jnp.stack([jnp.eye(3), jnp.eye(3)])
    weights = jnp.array([0.5, 0.8, 1.0])
    actual = losses.denoising_contrastive(
        embeddings, jnp.array([1, 1, -1]), weights, temperature=1.0
    )
    # Contrast set of row 0: its partner (e), row 1 across (1), row 2 in both modalities (1 + 1);
    # row 1 of its modality shares the label and is left out.
    labelled = math.log(math.e + 3) - (1.0 * 1 + 0.4 * 0) / 1.4
    unlabelled = math.log(math.e + 4) - 1
    np.testing.assert_allclose(actual, [[labelled, labelled, unlabelled]] * 2, rtol=1e-6)


def test_cross_modal_margin_value():
    embeddings = jnp.stack([jnp.eye(2), jnp.eye(2)])
    # j = i: the margin; the other: max(0, 0 - 1 + 0.9) = 0. Mean over two, times V = 2.
    np.testing.assert_allclose(
        losses.cross_modal_margin(embeddings, margin=0.9), np.full((2, 2), 0.9), rtol=1e-6
    )
    one_pair = losses.cross_modal_margin(embeddings[:, :1], margin=0.9)
    np.testing.assert_allclose(one_pair.mean(), 2 * 0.9, rtol=1e-6)


def test_modality_distance_value():
    embeddings = jnp.array([[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 2.0]]])
    np.testing.assert_allclose(losses.modality_distance(embeddings), [(1 + 4 + 5) / 2], rtol=1e-6)
    present = jnp.array([[True], [True], [False]])
    np.testing.assert_allclose(
        losses.modality_distance(embeddings, present=present), [1 / 2], rtol=1e-6
    )


def test_consensus_and_its_label_terms():
    p = np.stack([P, P[::-1]])
    logits, labels = jnp.log(p), jnp.array([0, 1, -1])
    consensus = 1 - (1 - p[0]) * (1 - p[1])
    np.testing.assert_allclose(losses.consensus(logits), consensus, rtol=1e-5)
    pure = np.array([-np.log(p[0, 0, 0] * p[1, 0, 0]), -np.log(p[0, 1, 1] * p[1, 1, 1]), 0.0])
    np.testing.assert_allclose(losses.pure_label_loss(logits, labels), pure, rtol=1e-5)
    trust = np.array([consensus[0, 0], consensus[1, 1], 0.0])
    np.testing.assert_allclose(losses.hard_label_loss(logits, labels), trust * pure, rtol=1e-5)
    target = np.eye(3)[consensus.argmax(1)]
    noisy = np.abs(target - p[0]).sum(1) + np.abs(target - p[1]).sum(1)
    np.testing.assert_allclose(losses.noisy_label_loss(logits), noisy, rtol=1e-5)


def test_masked_mean():
    values = jnp.array([1.0, 5.0, jnp.nan])
    mask = jnp.array([True, True, False])
    assert float(losses.masked_mean(values, mask)) == 3.0
    np.testing.assert_array_equal(jax.grad(losses.masked_mean)(values, mask), [0.5, 0.5, 0.0])
    assert float(losses.masked_mean(values, jnp.zeros(3, bool))) == 0.0
    both = losses.masked_mean(jnp.stack([values, 2 * values]), mask)
    assert float(both) == (1 + 5 + 2 + 10) / 4
