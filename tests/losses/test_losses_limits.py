"""What the losses become at their limits, what does not change them, and their gradients."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxcmr import losses

MODALITIES, INSTANCES, SIZE, CLASSES = 2, 7, 5, 3
LABELS = jnp.array([0, 1, 2, 0, 1, 2, 0])
UNKNOWN = jnp.full(INSTANCES, -1)


@pytest.fixture(scope="module")
def embeddings():
    return jax.random.normal(jax.random.key(0), (MODALITIES, INSTANCES, SIZE))


def assert_same_function(first, second, x, atol=1e-6):
    """Compares values and gradients."""

    @jax.jit
    def both(x):
        return [_value_and_slope(function, x) for function in (first, second)]

    chex.assert_trees_all_close(*both(x), rtol=1e-5, atol=atol)


def _value_and_slope(function, x):
    total = lambda x: (lambda values: (jnp.sum(jnp.sin(values)), values))(function(x))
    slope, values = jax.grad(total, has_aux=True)(x)
    return values, slope


@pytest.mark.parametrize("intra_modal_weight", [1.0, 0.0])
def test_denoising_with_nothing_accepted_is_multimodal(embeddings, intra_modal_weight):
    options = {"temperature": 0.3, "intra_modal_weight": intra_modal_weight}
    assert_same_function(
        lambda z: 2 * losses.denoising_contrastive(z, UNKNOWN, **options),
        lambda z: losses.multimodal_contrastive(z, **options),
        embeddings,
    )


def test_denoising_with_everything_accepted_is_supervised(embeddings):
    # Written from the definition: rows of the other modality, positives of the same class.
    def supervised(z):
        z = z / jnp.linalg.norm(z, axis=-1, keepdims=True)
        same = (LABELS[:, None] == LABELS[None]).astype(z.dtype)
        log_p = [jax.nn.log_softmax(a @ b.T / 0.3, axis=1) for a, b in (z, z[::-1])]
        return jnp.stack([-(same * each).sum(1) / same.sum(1) for each in log_p])

    for loss in (losses.denoising_contrastive, losses.cross_modal_supervised_contrastive):
        assert_same_function(
            lambda z, loss=loss: loss(z, LABELS, temperature=0.3, intra_modal_weight=0.0),
            supervised,
            embeddings,
        )


def test_denoising_with_own_modality_leaves_out_its_class(embeddings):
    # Everything accepted, the same modality in the denominator: only its rows of other classes.
    z = embeddings / jnp.linalg.norm(embeddings, axis=-1, keepdims=True)
    scores = np.asarray(jnp.exp(jnp.einsum("vbd,uad->vbua", z, z) / 0.3))
    same = np.asarray(LABELS[:, None] == LABELS[None])
    actual = losses.denoising_contrastive(embeddings, LABELS, temperature=0.3)
    for v in range(2):
        for b in range(INSTANCES):
            across, within = scores[v, b, 1 - v], scores[v, b, v]
            total = across.sum() + within[~same[b]].sum()
            expected = -np.log(across[same[b]] / total).mean()
            np.testing.assert_allclose(actual[v, b], expected, rtol=1e-5)


def test_denoising_weights_fade_into_the_unlabelled_positives(embeddings):
    # Weight 0 leaves the same instance as the only positive.
    options = {"temperature": 0.3, "intra_modal_weight": 0.0}
    np.testing.assert_allclose(
        losses.denoising_contrastive(embeddings, LABELS, jnp.zeros(INSTANCES), **options),
        losses.denoising_contrastive(embeddings, UNKNOWN, **options),
        rtol=1e-5,
        atol=1e-6,
    )


def test_cross_modal_supervised_with_distinct_labels_is_info_nce(embeddings):
    options = {"temperature": 0.3, "intra_modal_weight": 0.0}
    np.testing.assert_allclose(
        2 * losses.cross_modal_supervised_contrastive(embeddings, jnp.arange(INSTANCES), **options),
        losses.multimodal_contrastive(embeddings, **options),
        rtol=1e-5,
    )


def test_robust_center_flips_its_sign_at_the_threshold():
    # Centers e1 and e2 and a row between them at angle a from e1: cos a and the mean cosine
    # decide. The threshold lies where exp(cos a) = exp((cos a + sin a) / 2) + margin.
    margin = 0.2
    centers = jnp.eye(2)

    def trust(angle):
        return np.exp(np.cos(angle)) - np.exp((np.cos(angle) + np.sin(angle)) / 2) - margin

    low, high = 0.0, np.pi / 4  # trusted, not trusted
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if trust(middle) > 0 else (low, middle)

    def loss(angle, ramp):
        row = jnp.array([[jnp.cos(angle), jnp.sin(angle)]])
        options = {"tau1": 1.0, "tau2": 1.0, "margin": margin}
        return losses.robust_center(row, jnp.array([0]), centers, ramp=ramp, **options)[0]

    slope, loss = jax.jit(jax.grad(loss)), jax.jit(loss)
    # A larger angle is farther from the labelled center: a positive slope attracts.
    assert slope(low - 1e-4, 1.0) > 0.1
    assert slope(low + 1e-4, 1.0) < -0.1
    assert float(loss(low, 1.0)) == pytest.approx(0.0, abs=1e-5)
    # The warm-up attracts on both sides.
    assert slope(low - 1e-4, 0.0) > 0.1
    assert slope(low + 1e-4, 0.0) > 0.1


def test_robust_concentrating_is_still_below_the_clip():
    p = jnp.array([0.02, 0.3, 0.36, 0.9])  # around 1 / K
    logits = jnp.log(jnp.stack([p, (1 - p) * 0.5, (1 - p) * 0.5], axis=1))
    labels = jnp.zeros(4, int)
    slopes = jax.jit(
        jax.grad(lambda z, clip: losses.robust_concentrating(z, labels, clip=clip).sum())
    )
    clipped, free = slopes(logits, 1 / 3), slopes(logits, 0.0)
    np.testing.assert_array_equal(jnp.any(clipped != 0, axis=1), [False, False, True, True])
    assert jnp.all(jnp.any(free != 0, axis=1))
    np.testing.assert_array_equal(clipped[2:], free[2:])
    values = losses.robust_concentrating(logits, labels)
    floor = np.log(3) ** 0.25 * (1 - 1 / 3)
    np.testing.assert_allclose(values[:2], [floor, floor], rtol=1e-6)


PAIRWISE = {
    "multimodal_contrastive": lambda z, y: losses.multimodal_contrastive(z, temperature=0.5),
    "supervised_contrastive": lambda z, y: losses.supervised_contrastive(z, y, temperature=0.5),
    "cross_modal_supervised_contrastive": lambda z, y: losses.cross_modal_supervised_contrastive(
        z, y, temperature=0.5
    ),
    "denoising_contrastive": lambda z, y: losses.denoising_contrastive(
        z, y, jnp.where(y == 1, 0.3, 0.9), temperature=0.5
    ),
    "cross_modal_margin": lambda z, y: losses.cross_modal_margin(z, margin=0.9),
    "modality_distance": lambda z, y: losses.modality_distance(z),
}


@jax.jit
def _pairwise(z, labels):
    return {name: loss(z, labels) for name, loss in PAIRWISE.items()}


def test_invariances_and_members():
    # Three modalities, two members, one instance without a label.
    z = jax.random.normal(jax.random.key(1), (2, 3, INSTANCES, SIZE))
    labels = LABELS.at[3].set(-1)
    order = np.array([3, 1, 6, 0, 2, 5, 4])
    modalities = np.array([2, 0, 1])
    alone = _pairwise(z[0], labels), _pairwise(z[1], labels)
    reordered = _pairwise(z[0][:, order], labels[order])
    rotated = _pairwise(z[0][modalities], labels)
    members = jax.jit(jax.vmap(_pairwise, in_axes=(0, None)))(z, labels)
    for name, values in alone[0].items():
        per_modality = values[modalities] if values.ndim == 2 else values
        for actual, expected in (
            (reordered[name], values[..., order]),
            (rotated[name], per_modality),
            (members[name], jnp.stack([each[name] for each in alone])),
        ):
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6, err_msg=name)


def test_members_of_the_other_losses():
    logits = jax.random.normal(jax.random.key(2), (2, 6, CLASSES))
    labels = LABELS[:6]

    @jax.jit
    def some(z):
        return [
            losses.cross_entropy(z, labels),
            losses.robust_clustering(z, labels),
            losses.robust_concentrating(z, labels),
            losses.center_distance(z, labels, z[:CLASSES]),
            losses.class_prior_penalty(z, mask=labels > 0),
        ]

    together = jax.jit(jax.vmap(some))(logits)
    alone = jax.tree.map(lambda *values: jnp.stack(values), some(logits[0]), some(logits[1]))
    chex.assert_trees_all_close(together, alone, rtol=1e-6, atol=1e-7)


def test_three_modalities_from_the_definition():
    z = jax.random.normal(jax.random.key(4), (3, 4, SIZE))
    rows = np.asarray((z / jnp.linalg.norm(z, axis=-1, keepdims=True)).reshape(12, SIZE))
    scores = np.exp(rows @ rows.T / 0.5)
    np.fill_diagonal(scores, 0.0)
    partners = np.tile(np.eye(4), (3, 3)) - np.eye(12)
    expected = -2 * np.log((partners * scores).sum(1) / scores.sum(1)).reshape(3, 4)
    grouped = jax.jit(lambda z: losses.multimodal_contrastive(z, temperature=0.5))
    actual = grouped(z)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    # The mean of the partners' logarithms lies above the logarithm of their sum.
    apart = losses.denoising_contrastive(z, jnp.full(4, -1), temperature=0.5)
    log_p = np.log(scores + np.eye(12)) - np.log(scores.sum(1, keepdims=True))
    np.testing.assert_allclose(apart, -(partners * log_p).sum(1).reshape(3, 4) / 2, rtol=1e-5)
    assert jnp.all(2 * apart > actual)


def test_another_number_compiles_nothing(embeddings):
    """All numbers may be arrays, as in a training step."""

    @jax.jit
    @functools.partial(chex.assert_max_traces, n=1)
    def some(x):
        z, logits, centers = embeddings, embeddings[0], embeddings[1, :CLASSES]
        return {
            "gce": losses.generalized_cross_entropy(logits, LABELS, q=x),
            "sce": losses.symmetric_cross_entropy(logits, LABELS, alpha=x, beta=x, log_zero=-x),
            "focal": losses.focal(logits, LABELS, gamma=x),
            "smooth": losses.label_smoothing(logits, LABELS, epsilon=x),
            "concentrating": losses.robust_concentrating(logits, LABELS, alpha=x, clip=x / 2),
            "center": losses.robust_center(
                logits, LABELS, centers, ramp=losses.warmup_ramp(1, 9 * x), tau1=x, tau2=x, margin=x
            ),
            "nrcl": losses.center_classification(logits, LABELS, centers, temperature=x, gamma=x),
            "pairs": losses.multimodal_contrastive(z, temperature=x, intra_modal_weight=x),
            "supervised": losses.supervised_contrastive(z, LABELS, temperature=x),
            "denoising": losses.denoising_contrastive(z, LABELS, temperature=x),
            "margin": losses.cross_modal_margin(z, margin=x),
        }

    one, other = some(jnp.float32(0.3)), some(jnp.float32(0.6))
    chex.assert_tree_all_finite((one, other))
    for name in one:
        assert (one[name] != other[name]).any(), name


def test_gradients_against_differences(embeddings):
    def some(z):
        return {
            "multimodal": losses.multimodal_contrastive(z, temperature=0.5, block_size=3),
            "denoising": losses.denoising_contrastive(z, LABELS, temperature=0.5),
            "robust_center": losses.robust_center(
                z[0], LABELS, z[1, :CLASSES], ramp=0.4, tau1=0.5, tau2=0.5, margin=0.3
            ),
            "center_classification": losses.center_classification(
                z[0], LABELS, z[1, :CLASSES], temperature=0.5
            ),
            "robust_concentrating": losses.robust_concentrating(z[0], LABELS, clip=0.0),
            "soft_focal": losses.soft_focal(z[0], jnp.full(z[0].shape, 1 / SIZE)),
            "class_prior_penalty": losses.class_prior_penalty(z[0]),
        }

    with jax.enable_x64(True):
        z = jnp.asarray(np.asarray(embeddings), "float64")
        check_grads(jax.jit(some), (z,), order=1, modes=["rev"])
