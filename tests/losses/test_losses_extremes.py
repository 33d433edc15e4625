"""Every loss stays finite, with finite gradients, where naive formulas do not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr import losses

ROWS, CLASSES, MODALITIES, SIZE = 6, 4, 2, 3
LABELS = np.array([0, 1, 2, 0, 1, 2])  # class 3 is absent


def _by_modality(loss):
    """A loss of logits `[V, B, K]` fed with one modality twice."""
    return lambda logits, labels: loss(jnp.stack([logits, -logits]), labels)


def _soft(loss):
    return lambda logits, labels: loss(logits, jax.nn.one_hot(labels, CLASSES, dtype=logits.dtype))


LOGIT_LOSSES = {
    "cross_entropy": losses.cross_entropy,
    "mean_absolute_error": losses.mean_absolute_error,
    "unhinged": losses.unhinged,
    "generalized_cross_entropy": losses.generalized_cross_entropy,
    "symmetric_cross_entropy": losses.symmetric_cross_entropy,
    "focal": losses.focal,
    "focal, gamma .5": lambda z, y: losses.focal(z, y, gamma=0.5),
    "soft_focal": _soft(losses.soft_focal),
    "label_smoothing": losses.label_smoothing,
    "robust_clustering": losses.robust_clustering,
    "robust_concentrating": losses.robust_concentrating,
    "robust_concentrating, no clip": lambda z, y: losses.robust_concentrating(z, y, clip=0.0),
    "early_learning_regularization": _soft(losses.early_learning_regularization),
    "class_prior_penalty": lambda z, y: losses.class_prior_penalty(z, mask=y >= 0),
    "pure_label_loss": _by_modality(losses.pure_label_loss),
    "hard_label_loss": _by_modality(losses.hard_label_loss),
    "noisy_label_loss": _by_modality(lambda z, y: losses.noisy_label_loss(z)),
}

_signs = np.random.default_rng(0).choice([-1.0, 1.0], (ROWS, CLASSES))
_certain = np.where(np.eye(CLASSES, dtype=bool)[LABELS], 1e4, -1e4)
LOGIT_CASES = {
    "logits of 1e4": (1e4 * _signs, LABELS),
    "p_y = 1": (_certain, LABELS),
    "p_y = 0": (-_certain, LABELS),
    "p_y nearly 1": (_certain * 2e-3, LABELS),
    "zero logits": (np.zeros((ROWS, CLASSES)), LABELS),
    "one class only": (_signs, np.zeros_like(LABELS)),
    "duplicated rows": (np.repeat(_signs[:1], ROWS, 0), LABELS),
    "no labels": (1e4 * _signs, np.full_like(LABELS, -1)),
}


def _evaluate(functions, cases, dtype):
    """Values and gradients of all functions for all cases: name -> case -> (values, gradients).

    One program computes them all, because compiling one for each would take most of the time.
    """

    def all_at_once(floats, others):
        results = {}
        for name, function in functions.items():
            values, backward = jax.vjp(lambda x, f=function: f(x, others), floats)
            results[name] = values, backward(jnp.ones_like(values))[0]
        return results

    compiled = jax.jit(all_at_once)
    found = {name: {} for name in functions}
    for case, (floats, others) in cases.items():
        results = compiled(jax.tree.map(lambda x: jnp.asarray(x, dtype), floats), others)
        for name, result in results.items():
            found[name][case] = jax.tree.map(np.asarray, result)
    return found


def _assert_finite(results, dtype):
    for case, (values, gradients) in results.items():
        assert values.dtype == jnp.float32, case
        assert np.all(np.isfinite(values)), (case, values)
        for gradient in jax.tree.leaves(gradients):
            assert gradient.dtype == dtype, case
            assert np.all(np.isfinite(gradient.astype("float32"))), (case, gradient)


@functools.cache
def _of_logits(dtype):
    return _evaluate(LOGIT_LOSSES, LOGIT_CASES, jnp.dtype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", LOGIT_LOSSES)
def test_losses_of_logits(name, dtype):
    _assert_finite(_of_logits(dtype)[name], dtype)


CENTER_LOSSES = {
    "robust_center": lambda x, y: losses.robust_center(
        x[0], y, x[1], ramp=0.5, tau1=0.01, tau2=0.5, margin=0.2
    ),
    "center_classification": lambda x, y: losses.center_classification(
        x[0], y, x[1], temperature=0.01
    ),
    "center_distance": lambda x, y: losses.center_distance(x[0], y, x[1]),
}
_rng = np.random.default_rng(1)
_rows = _rng.standard_normal((ROWS, SIZE))
_centers = _rng.standard_normal((CLASSES, SIZE))
CENTER_CASES = {
    "ordinary": ((_rows, _centers), LABELS),
    "zero rows": ((0 * _rows, _centers), LABELS),
    "zero centers": ((_rows, 0 * _centers), LABELS),
    "huge": ((1e4 * _rows, 1e4 * _centers), LABELS),
    "tiny": ((1e-9 * _rows, 1e-9 * _centers), LABELS),
    "vanishing": ((1e-30 * _rows, 1e-30 * _centers), LABELS),
    "rows on their centers": ((_centers[LABELS], _centers), LABELS),
    "equal centers": ((_rows, np.repeat(_centers[:1], CLASSES, 0)), LABELS),
    "no labels": ((_rows, _centers), np.full_like(LABELS, -1)),
}


@functools.cache
def _against_centers(dtype):
    return _evaluate(CENTER_LOSSES, CENTER_CASES, jnp.dtype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CENTER_LOSSES)
def test_losses_against_centers(name, dtype):
    _assert_finite(_against_centers(dtype)[name], dtype)


PAIRWISE_LOSSES = {
    "multimodal_contrastive": lambda z, others: losses.multimodal_contrastive(
        z, temperature=0.01, present=others[-1]
    ),
    "multimodal_contrastive, raw": lambda z, others: losses.multimodal_contrastive(
        z, temperature=0.01, present=others[-1], normalize=False
    ),
    "supervised_contrastive": lambda z, others: losses.supervised_contrastive(
        z, others[0], temperature=0.01, present=others[-1]
    ),
    "cross_modal_supervised_contrastive": lambda z, others: (
        losses.cross_modal_supervised_contrastive(
            z, others[0], temperature=0.01, present=others[-1]
        )
    ),
    "denoising_contrastive": lambda z, others: losses.denoising_contrastive(
        z, others[0], others[1], temperature=0.01, present=others[-1], block_size=5
    ),
    "cross_modal_margin": lambda z, others: losses.cross_modal_margin(z, present=others[-1]),
    "modality_distance": lambda z, others: losses.modality_distance(z, present=others[-1]),
}


def _pairwise_cases(rows):
    labels = LABELS[:rows]
    weights = np.linspace(0, 1, rows, dtype=np.float32)
    present = np.ones((MODALITIES, rows), bool)
    z = _rng.standard_normal((MODALITIES, rows, SIZE))
    one_missing = present.copy()
    one_missing[0, 0] = False
    garbage = np.where(one_missing[..., None], z, np.nan)
    ordinary = (labels, weights, present)
    return {
        "ordinary": (z, ordinary),
        "zero rows": (0 * z, ordinary),
        "one zero row": (np.concatenate([0 * z[:1], z[1:]]), ordinary),
        "huge": (1e4 * z, ordinary),
        "vanishing": (1e-30 * z, ordinary),
        "duplicated rows": (np.repeat(z[:, :1], rows, 1), ordinary),
        "equal modalities": (np.repeat(z[:1], MODALITIES, 0), ordinary),
        "opposite modalities": (np.stack([z[0], -z[0]]), ordinary),
        "no labels": (z, (np.full_like(labels, -1), weights, present)),
        "one class": (z, (np.zeros_like(labels), weights, present)),
        "no trust": (z, (labels, 0 * weights, present)),
        "everything masked": (z, (labels, weights, ~present)),
        "one item missing, filled with NaN": (garbage, (labels, weights, one_missing)),
        "one modality missing": (z, (labels, weights, np.stack([present[0], ~present[0]]))),
    }


@functools.cache
def _of_pairs(dtype, rows):
    return _evaluate(PAIRWISE_LOSSES, _pairwise_cases(rows), jnp.dtype(dtype))


@pytest.mark.parametrize(("rows", "dtype"), [(ROWS, "float32"), (ROWS, "bfloat16"), (1, "float32")])
@pytest.mark.parametrize("name", PAIRWISE_LOSSES)
def test_pairwise_losses(name, dtype, rows):
    _assert_finite(_of_pairs(dtype, rows)[name], dtype)


def test_masked_rows_give_nothing_and_change_no_other_row():
    z, (labels, weights, present) = _pairwise_cases(ROWS)["ordinary"]
    kept = np.array([0, 2, 3, 5])
    mask = np.zeros_like(present)
    mask[:, kept] = True
    z = z.astype(np.float32)
    all_losses = jax.jit(lambda *args: {n: f(*args) for n, f in PAIRWISE_LOSSES.items()})
    masked = all_losses(np.where(mask[..., None], z, np.float32(7)), (labels, weights, mask))
    small = all_losses(z[:, kept], (labels[kept], weights[kept], present[:, kept]))
    for name, values in masked.items():
        np.testing.assert_allclose(
            values[..., kept], small[name], rtol=1e-5, atol=1e-5, err_msg=name
        )
        assert not np.any(np.delete(np.asarray(values), kept, axis=-1)), name


@pytest.mark.parametrize("rows", [0, 1])
def test_logits_of_one_row_and_of_no_row(rows):
    arguments = jnp.zeros((rows, CLASSES)), jnp.zeros(rows, int)
    all_losses = jax.jit(lambda *args: {n: f(*args) for n, f in LOGIT_LOSSES.items()})
    for name, values in all_losses(*arguments).items():
        assert jnp.all(jnp.isfinite(values)), name
