"""Two-component Gaussian mixture in one dimension: which losses are low, which are high.

`jax.vmap` over the leading axes of the values fits the mixtures of several members, or modalities,
at once.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxcmr import guards
from jaxcmr.numerics import unit_of

_LEAST = 1e-14  # a variance of standardised values that float32 still distinguishes from 0
_MOST = 1e38
_FARTHEST = 1e30


class Mixture(NamedTuple):
    """Two Gaussians, component 0 with the lower mean.

    Attributes:
        means: `[2]` float32.
        variances: `[2]` float32, positive.
        weights: `[2]` float32, sum 1.
        iterations: int32, EM steps done.
    """

    means: jax.Array
    variances: jax.Array
    weights: jax.Array
    iterations: jax.Array


def fit_mixture(
    values: jax.Array,
    mask: jax.Array | None = None,
    *,
    max_iterations: int = 300,
    tolerance: float = 1e-5,
    floor: float = 1e-6,
) -> Mixture:
    """Fits `w_0 N(mu_0, v_0) + w_1 N(mu_1, v_1)` by expectation maximisation.

    Starts from the best split of the sorted values into two groups (the exact 2-means solution), so
    the result does not depend on a key or on the order of the rows. Works on standardised values,
    so large offsets cost no accuracy in float32. Stops when no mean or deviation moves by
    more than `tolerance` standard deviations of the data in a step (a vmapped fit: when all have
    stopped), or after `max_iterations`.

    Args:
        values: `[N]` losses. Not finite ones are left out, like masked ones, and those beyond 1e30.
        mask: `[N]` bool, False for rows to leave out; none if absent.
        max_iterations: most EM steps.
        tolerance: see above.
        floor: added to both variances in every step, in squared units of the values
            (scikit-learn's `reg_covar`, 1e-6 there as here; DivideMix has 5e-4).

    Returns:
        The mixture. Where the values are all equal (or none is left) both components coincide, at
        the value (at 0), with weights 1/2: the posterior is 1/2 everywhere, without information.

    Raises:
        UsageError: values or mask are not `[N]`, or a number is out of range.
    """
    values = guards.check_shape("values", values, "N")
    max_iterations = guards.check_whole("max_iterations", max_iterations, 0)
    guards.check_range("tolerance", tolerance, 0.0)
    guards.check_range("floor", floor, 0.0)
    mask = guards.row_mask(mask, np.shape(values))
    values = jnp.asarray(values, jnp.float32)
    if not len(values):  # as if the only one were masked
        values, mask = jnp.zeros(1, jnp.float32), jnp.zeros(1, bool)
    keep = mask & _usable(values)
    weight = keep.astype(jnp.float32)
    count = jnp.maximum(weight.sum(), 1)
    values = jnp.where(keep, values, 0)
    unit = jnp.maximum(unit_of(values), 1)
    values = values / unit
    center = values.sum() / count
    centered = jnp.where(keep, values - center, 0)
    scale = jnp.sqrt(jnp.square(centered).sum() / count)
    varied = scale > 1e-6 * jnp.abs(center)  # below this it is float32 rounding, not spread
    scale = jnp.where(varied, scale, 1)
    x = jnp.where(varied, centered / scale, 0)
    floor_scaled = jnp.maximum(floor / jnp.square(scale) / jnp.square(unit), _LEAST)

    start = _moments(x, weight * _lower_group(x, keep), weight, floor_scaled)

    def step(state):
        old, _, iteration = state
        low = weight * _posterior(old, x)
        new = _moments(x, low, weight, floor_scaled)
        moved = jnp.maximum(
            jnp.abs(new.means - old.means),
            jnp.abs(jnp.sqrt(new.variances) - jnp.sqrt(old.variances)),
        )
        return new, moved.max(), iteration + 1

    running = lambda state: (state[1] > tolerance) & (state[2] < max_iterations)
    fit, _, iterations = lax.while_loop(running, step, (start, jnp.float32(jnp.inf), jnp.int32(0)))
    order = jnp.argsort(fit.means)
    even = jnp.full(2, 0.5, jnp.float32)
    return Mixture(
        means=(fit.means[order] * scale + center) * unit,
        variances=jnp.clip(fit.variances[order] * jnp.square(scale * unit), floor, _MOST),
        weights=jnp.where(varied, fit.weights[order], even),
        iterations=iterations,
    )


def low_posterior(mixture: Mixture, values: jax.Array) -> jax.Array:
    """Returns the posterior of the low component, `w_0 N_0(x) / (w_0 N_0(x) + w_1 N_1(x))`.

    DivideMix (Li et al., ICLR 2020) and NRCL (2025) read it as the probability that a label is
    clean, given the losses. It is not monotone where the variances differ: far below both means
    the wider component wins.

    Args:
        mixture: from `fit_mixture`.
        values: `[...]` losses.

    Returns:
        `[...]` float32 in [0, 1]; 0 where the value is not finite, or beyond 1e30.
    """
    values = jnp.asarray(values, jnp.float32)
    usable = _usable(values)
    inside = jnp.where(usable, values, mixture.means[0])
    return jnp.where(usable, _posterior(mixture, inside), 0)


def _usable(values: jax.Array) -> jax.Array:
    """Returns which values a mixture can hold: not NaN, and no further out than 1e30."""
    return jnp.abs(values) <= _FARTHEST


def _posterior(mixture: Mixture, x: jax.Array) -> jax.Array:
    deviations = jnp.sqrt(mixture.variances)
    z0, z1 = ((x - mixture.means[k]) / deviations[k] for k in (0, 1))
    prior = jnp.log(mixture.weights[0]) - jnp.log(mixture.weights[1])
    prior += jnp.log(deviations[1]) - jnp.log(deviations[0])
    # z1^2 - z0^2 as a product: far out both squares overflow, their difference would be NaN.
    return jax.nn.sigmoid(prior + 0.5 * (z1 - z0) * (z1 + z0))


def _moments(x: jax.Array, low: jax.Array, weight: jax.Array, floor: jax.Array) -> Mixture:
    """The M step: weighted means, variances and shares of the two components."""
    share = jnp.stack([low, weight - low])
    mass = share.sum(1)
    safe = jnp.maximum(mass, 1e-6)
    means = (share * x[None]).sum(1) / safe
    variances = (share * jnp.square(x[None] - means[:, None])).sum(1) / safe + floor
    # A component that lost all its rows keeps a finite logarithm.
    weights = jnp.maximum(mass, 1e-6) / jnp.maximum(mass, 1e-6).sum()
    return Mixture(means, variances, weights, jnp.int32(0))


def _lower_group(x: jax.Array, keep: jax.Array) -> jax.Array:
    """Returns 1 for the lower group of the best split in two (least squares), else 0: `[N]`.

    For n sorted values with sum 0 the squared error of a split after m of them falls with
    `s^2 / m + s^2 / (n - m)`, s the sum of the first m.
    """
    ordered = jnp.sort(jnp.where(keep, x, jnp.inf))
    n = keep.sum()
    m = jnp.arange(1, len(x) + 1)
    total = jnp.cumsum(jnp.where(m <= n, ordered, 0))
    gain = jnp.square(total) * (1 / m + 1 / jnp.maximum(n - m, 1))
    split = jnp.where(m < n, gain, -1.0).argmax()
    return (keep & (x <= ordered[split])).astype(jnp.float32)
