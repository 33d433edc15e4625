"""The two-component mixture against scikit-learn, by hand, and where it degenerates."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture

from jaxcmr.beliefs.mixture import fit_mixture, low_posterior

fit_default = jax.jit(fit_mixture)
SIZE = 400
RNG = np.random.default_rng(0)
fit = jax.jit(partial(fit_mixture, max_iterations=3000, tolerance=1e-7))


def two(low, high, share):
    """Draws `SIZE` values, a share of them from `low` = (mean, deviation), the rest from `high`."""
    count = round(share * SIZE)
    values = [RNG.normal(*low, count), RNG.normal(*high, SIZE - count)]
    return RNG.permutation(np.concatenate(values)).astype(np.float32)


DATA = {
    "separated": two((0, 1), (8, 1), 0.6),
    "overlapping": two((0.5, 0.4), (2.2, 0.7), 0.6),
    "unbalanced": two((0.1, 0.05), (3, 0.8), 0.95),
    "narrow and wide": two((0, 0.01), (1, 2), 0.5),
    "nested": two((0, 0.3), (0.1, 3), 0.5),
    "losses": np.concatenate([RNG.exponential(0.1, 240), RNG.gamma(6, 0.5, 160)]),
    "offset": two((1000, 1), (1006, 1), 0.3),
    "two values": np.repeat([0.25, 0.75], [300, 100]),
    "one outlier": np.append(RNG.normal(0, 1, SIZE - 1), 50.0),
    "tiny": 1e-2 * two((0, 1), (8, 1), 0.6),
}


class TestAgainstScikitLearn:
    @pytest.mark.parametrize("name", DATA)
    def test_parameters_and_posterior(self, name):
        values = np.asarray(DATA[name], np.float32)
        found = jax.tree.map(np.asarray, fit(values))
        column = values.astype(np.float64)[:, None]
        # Each starts from its own 2-means, and both run to convergence.
        sk = GaussianMixture(2, tol=1e-12, max_iter=20_000, random_state=0, n_init=3).fit(column)
        order = sk.means_[:, 0].argsort()
        scale = values.std()
        close = partial(np.testing.assert_allclose, rtol=0)
        close(found.means / scale, sk.means_[order, 0] / scale, atol=1e-4)
        deviations = np.sqrt(sk.covariances_[order, 0, 0])
        close(np.sqrt(found.variances) / scale, deviations / scale, atol=1e-4)
        close(found.weights, sk.weights_[order], atol=1e-4)
        posterior = sk.predict_proba(column)[:, order[0]]
        close(low_posterior(fit(values), values), posterior, atol=5e-4)


class TestByHand:
    def test_two_points_mass(self):
        found = fit_default(jnp.array([1.0, 1.0, 1.0, 5.0]), floor=1e-4)
        np.testing.assert_allclose(found.means, [1, 5], atol=1e-5)
        np.testing.assert_allclose(found.variances, [1e-4, 1e-4], rtol=1e-3)
        np.testing.assert_allclose(found.weights, [0.75, 0.25], atol=1e-6)

    def test_posterior_is_bayes(self):
        mixture = fit_default(DATA["overlapping"])
        x = jnp.linspace(-1.0, 4.0, 9)
        m, v, w = (np.asarray(leaf, float)[:, None] for leaf in mixture[:3])
        density = w * np.exp(-((np.asarray(x)[None] - m) ** 2) / (2 * v)) / np.sqrt(v)
        expected = density[0] / density.sum(0)
        np.testing.assert_allclose(low_posterior(mixture, x), expected, rtol=1e-4)

    def test_low_losses_are_likely_clean(self):
        values = DATA["separated"]
        posterior = np.asarray(low_posterior(fit_default(values), values))
        np.testing.assert_array_equal(posterior > 0.5, values < 4)


class TestInvariances:
    def test_rows_may_be_permuted(self):
        values = DATA["overlapping"]
        plain, mixed = fit(values), fit(np.random.default_rng(1).permutation(values))
        for one, other in zip(plain[:3], mixed[:3]):
            np.testing.assert_allclose(one, other, atol=1e-4)

    def test_masked_rows_do_not_count(self):
        values = DATA["overlapping"]
        padded = np.concatenate([values, [np.nan, np.inf, -1e30, 7.0]]).astype(np.float32)
        mask = np.arange(len(padded)) < len(values)
        for one, other in zip(fit(values)[:3], fit(padded, mask)[:3]):
            np.testing.assert_allclose(one, other, atol=1e-4)

    def test_vmap_over_members_equals_a_loop(self):
        members = jnp.stack([jnp.asarray(DATA[name], jnp.float32) for name in list(DATA)[:4]])
        together = jax.jit(jax.vmap(fit_mixture))(members)
        for member, values in enumerate(members):
            alone = fit_default(values)
            for one, other in zip(together[:3], alone[:3]):
                np.testing.assert_allclose(one[member], other, rtol=1e-4, atol=1e-5)

    def test_scaling_the_values_scales_the_mixture(self):
        values = DATA["separated"]
        plain, scaled = fit(values, floor=1e-6), fit(1000 * values, floor=1.0)
        np.testing.assert_allclose(scaled.means, 1000 * plain.means, rtol=1e-4, atol=0.1)
        np.testing.assert_allclose(scaled.variances, 1e6 * plain.variances, rtol=1e-3)


class TestDegenerate:
    @pytest.mark.parametrize("value", [0.0, 2.3, -7.0, 1e6, 1e-20])
    def test_constant_losses_tell_nothing(self, value):
        values = jnp.full(SIZE, value, jnp.float32)
        found = fit(values)
        np.testing.assert_allclose(found.means, [value, value], rtol=1e-6)
        np.testing.assert_allclose(found.weights, 0.5)
        np.testing.assert_allclose(low_posterior(found, values), 0.5, atol=1e-3)

    @pytest.mark.parametrize("left", [0, 1, 2])
    def test_hardly_a_row_left(self, left):
        values = jnp.asarray(DATA["overlapping"])
        found = fit(values, jnp.arange(SIZE) < left)
        assert all(np.isfinite(leaf).all() for leaf in found)
        assert np.isfinite(low_posterior(found, values)).all()

    def test_losses_that_are_not_finite_are_never_clean(self):
        values = (
            jnp.asarray(DATA["overlapping"]).at[:3].set(jnp.array([jnp.nan, jnp.inf, -jnp.inf]))
        )
        found = fit(values)
        assert all(np.isfinite(leaf).all() for leaf in found)
        np.testing.assert_array_equal(low_posterior(found, values)[:3], 0)

    @pytest.mark.parametrize("outlier", [1e17, 1e25, -1e30])
    def test_one_loss_far_out_is_a_component_of_its_own(self, outlier):
        values = np.append(np.ones(9), outlier).astype(np.float32)
        found = jax.tree.map(np.asarray, fit_default(values))
        assert all(np.isfinite(leaf).all() for leaf in found)
        np.testing.assert_allclose(found.means[int(outlier > 0)], outlier, rtol=1e-5)
        expected = np.append(np.ones(9), 0) if outlier > 0 else np.append(np.zeros(9), 1)
        np.testing.assert_allclose(low_posterior(found, values), expected, atol=1e-5)

    def test_masks_and_options_are_looked_at(self):
        with pytest.raises(ValueError, match=r"mask has shape \(2,\): give \[3\]"):
            fit_mixture(jnp.arange(3.0), jnp.array([True, False]))
        with pytest.raises(ValueError, match=r"values have shape \(3, 1\): give \[N\], as values"):
            fit_mixture(jnp.ones((3, 1)))
        with pytest.raises(ValueError, match="floor is -1"):
            fit_mixture(jnp.arange(3.0), floor=-1.0)

    def test_far_values_keep_a_finite_posterior(self):
        found = fit(DATA["separated"])
        far = jnp.array([-1e38, -1e20, 1e20, 3e38])
        assert np.isfinite(low_posterior(found, far)).all()

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=8, max_size=8))
    def test_any_values_give_a_proper_mixture(self, values):
        values = jnp.array(values, jnp.float32)
        found = jax.tree.map(np.asarray, fit_default(values))
        assert all(np.isfinite(leaf).all() for leaf in found)
        assert (found.variances > 0).all()
        assert found.means[0] <= found.means[1]
        np.testing.assert_allclose(found.weights.sum(), 1, atol=1e-5)
        posterior = np.asarray(low_posterior(found, values))
        assert ((posterior >= 0) & (posterior <= 1)).all()
