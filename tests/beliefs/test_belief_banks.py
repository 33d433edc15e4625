"""Banks by row: by hand, copies, masks, donation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr.beliefs import banks


class TestEma:
    def test_by_hand(self):
        bank = jnp.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
        values = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        found = banks.ema_rows(bank, jnp.array([0, 2]), values, 0.9)
        np.testing.assert_allclose(found, [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]], rtol=1e-6)

    def test_copies_of_a_row_take_their_mean_in_any_order(self):
        bank, index = jnp.zeros((4, 2)), jnp.array([3, 1, 3, 3])
        values = jnp.array([[1.0, 0.0], [5.0, 5.0], [4.0, 0.0], [1.0, 6.0]])
        for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]):
            found = banks.ema_rows(bank, index[jnp.array(order)], values[jnp.array(order)], 0.5)
            np.testing.assert_allclose(found, [[0, 0], [2.5, 2.5], [0, 0], [1, 1]], rtol=1e-6)

    @pytest.mark.parametrize("update", [banks.ema_rows, banks.ema_unit_rows])
    def test_masked_entries_change_nothing(self, update):
        bank = jnp.eye(3)
        index, values = jnp.array([1, -1, 77]), jnp.full((3, 3), jnp.nan)
        found = update(bank, index, values, 0.9, jnp.zeros(3, bool))
        np.testing.assert_array_equal(found, bank)

    def test_one_decay_an_entry(self):
        found = banks.ema_rows(
            jnp.ones(3), jnp.array([2, 0]), jnp.zeros(2), jnp.array([0.25, 0.75])
        )
        np.testing.assert_allclose(found, [0.75, 1, 0.25])

    def test_the_bank_keeps_its_dtype(self):
        bank = jnp.zeros((2, 2), jnp.bfloat16)
        found = banks.ema_rows(bank, jnp.array([1]), jnp.ones((1, 2)), 0.5)
        assert found.dtype == jnp.bfloat16
        np.testing.assert_array_equal(found.astype(jnp.float32), [[0, 0], [0.5, 0.5]])

    def test_vmap_over_members_equals_a_loop(self):
        rng = np.random.default_rng(0)
        bank, values = rng.random((3, 8, 4)), rng.random((3, 5, 4))
        index, mask = jnp.array([0, 7, 3, 3, 5]), jnp.array([True, True, True, True, False])
        one = lambda bank, values: banks.ema_rows(
            jnp.asarray(bank, jnp.float32), index, values, 0.9, mask
        )
        together = jax.vmap(one)(bank, values)
        for member in range(3):
            alone = one(bank[member], values[member])
            np.testing.assert_allclose(together[member], alone, rtol=1e-6)

    def test_a_donated_bank_is_updated_in_place(self):
        step = jax.jit(banks.ema_rows, donate_argnums=0)
        bank = jnp.zeros((5000, 64))
        compiled = step.lower(bank, jnp.arange(4), jnp.ones((4, 64)), 0.5).compile()
        assert compiled.memory_analysis().temp_size_in_bytes < bank.nbytes / 10
        found = step(bank, jnp.arange(4), jnp.ones((4, 64)), 0.5)
        assert bank.is_deleted()
        np.testing.assert_allclose(found.sum(), 4 * 64 * 0.5)

    def test_wrong_shapes_are_refused(self):
        with pytest.raises(ValueError, match=r"got \(3, 2\), \(4,\) and \(4, 5\)"):
            banks.ema_rows(jnp.ones((3, 2)), jnp.arange(4), jnp.ones((4, 5)), 0.9)


class TestUnitRows:
    def test_by_hand(self):
        bank = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        found = banks.ema_unit_rows(bank, jnp.array([1]), jnp.array([[1.0, 0.0]]), 0.9)
        length = np.sqrt(0.1**2 + 0.9**2)
        np.testing.assert_allclose(found, [[1, 0], [0.1 / length, 0.9 / length]], rtol=1e-6)

    @pytest.mark.parametrize("size", [1e-20, 1.0, 1e30])
    def test_rows_have_length_one_at_any_scale(self, size):
        values = size * jnp.array([[3.0, 4.0]])
        found = banks.ema_unit_rows(jnp.zeros((1, 2)), jnp.array([0]), values, 0.9)
        np.testing.assert_allclose(found, [[0.6, 0.8]], rtol=1e-5)

    def test_a_zero_row_stays_zero(self):
        found = banks.ema_unit_rows(jnp.zeros((1, 2)), jnp.array([0]), jnp.zeros((1, 2)), 0.9)
        np.testing.assert_array_equal(found, [[0, 0]])


class TestStart:
    def test_one_hot_bank(self):
        found = banks.one_hot_bank(jnp.array([1, -1]), 2)
        np.testing.assert_array_equal(found, [[0, 1], [0.5, 0.5]])

    def test_writing_replaces_even_what_is_not_finite(self):
        bank = jnp.full((3, 2), jnp.nan)
        found = banks.write_rows(bank, jnp.array([0, 2]), jnp.array([[1.0, 2.0], [3.0, 4.0]]))
        np.testing.assert_array_equal(found[jnp.array([0, 2])], [[1, 2], [3, 4]])
        np.testing.assert_array_equal(found[1], [np.nan, np.nan])

    def test_a_first_pass_fills_the_bank(self):
        features = np.random.default_rng(0).random((10, 3)).astype(np.float32)
        write = jax.jit(partial(banks.write_rows))
        bank = jnp.zeros((10, 3))
        for start in range(0, 12, 4):  # the last batch runs past the end
            index = jnp.arange(start, start + 4)
            mask = index < 10
            bank = write(bank, index, features[np.minimum(index, 9)], mask)
        np.testing.assert_array_equal(bank, features)

    def test_labels_and_rows_outside_are_refused_and_ignored_where_they_cannot_be_seen(self):
        with pytest.raises(ValueError, match="labels hold 2 in row 1, beyond 1"):
            banks.one_hot_bank(np.array([0, 2]), 2)
        with pytest.raises(ValueError, match="index holds -1: give whole numbers of 0 to 2"):
            banks.write_rows(jnp.zeros((3, 1)), np.array([0, -1]), jnp.ones((2, 1)))
        unlabelled = jax.jit(lambda labels: banks.one_hot_bank(labels, 2))(jnp.array([0, 2]))
        np.testing.assert_array_equal(unlabelled, [[1, 0], [0.5, 0.5]])
        write = jax.jit(banks.write_rows)
        written = write(jnp.zeros((3, 1)), jnp.array([0, -1, 3]), jnp.ones((3, 1)))
        np.testing.assert_array_equal(written, [[1], [0], [0]])
