"""Memories by row: averages by hand, copies, masks, donation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.beliefs import memory as memories

E, N = 3, 10
RNG = np.random.default_rng(0)
REMEMBER = jax.jit(memories.remember)


class TestMemory:
    def test_by_hand(self):
        memory = memories.start((3,), 0.5)
        for value in (1.0, 0.0, 1.0):
            memory = REMEMBER(memory, jnp.array([1]), jnp.array([value]), 0.5)
        # Weights 1/4, 1/2, 1 over their sum 7/4; the start value has none.
        np.testing.assert_allclose(memory.value, [0.5, (1 / 4 + 1) / (7 / 4), 0.5], rtol=1e-6)
        np.testing.assert_array_equal(memory.count, [0, 3, 0])

    @pytest.mark.parametrize("decay", [0.0, 0.3, 0.9, 0.999, 1.0])
    def test_equals_the_weighted_mean(self, decay):
        observed = np.random.default_rng(1).random((40, 2)).astype(np.float32)
        memory = memories.start((2,))
        for values in observed:
            memory = REMEMBER(memory, jnp.arange(2), values, decay)
        weights = np.float64(decay) ** np.arange(39, -1, -1)
        expected = (weights[:, None] * observed).sum(0) / weights.sum()
        np.testing.assert_allclose(memory.value, expected, rtol=1e-5)

    def test_equal_observations_are_kept_to_the_last_bit(self):
        memory, value = memories.start((1,)), jnp.array([0.7])
        for _ in range(20):
            memory = REMEMBER(memory, jnp.array([0]), value, 0.9)
        assert memory.value[0] == value[0]

    def test_masked_entries_change_nothing(self):
        memory = memories.start((4,), 0.25)
        index, values = jnp.array([-7, 2, 99]), jnp.array([jnp.nan, 1.0, jnp.inf])
        after = REMEMBER(memory, index, values, 0.5, jnp.array([False, True, False]))
        np.testing.assert_allclose(after.value, [0.25, 0.25, 1, 0.25])
        np.testing.assert_array_equal(after.count, [0, 0, 1, 0])
        nothing = REMEMBER(memory, index, values, 0.5, jnp.zeros(3, bool))
        jax.tree.map(np.testing.assert_array_equal, nothing, memory)

    def test_copies_of_a_row_are_one_observation(self):
        memory = REMEMBER(memories.start((3,)), jnp.array([0, 1]), jnp.ones(2), 0.5)
        copies = REMEMBER(memory, jnp.array([1, 0, 1]), jnp.array([0.0, 1.0, 0.5]), 0.5)
        single = REMEMBER(memory, jnp.array([0, 1]), jnp.array([1.0, 0.25]), 0.5)
        np.testing.assert_allclose(copies.value, single.value, rtol=1e-6)
        np.testing.assert_array_equal(copies.count, single.count)

    def test_members_each_have_their_own(self):
        index, values = jnp.array([4, 2, 9]), RNG.random((E, 3)).astype(np.float32)
        mask = jnp.array([True, False, True])
        memory = memories.start((E, N))
        together = REMEMBER(memory, index, values, 0.9, mask)
        for member in range(E):
            alone = REMEMBER(memories.start((N,)), index, values[member], 0.9, mask)
            np.testing.assert_allclose(together.value[member], alone.value)
            np.testing.assert_array_equal(together.count[member], alone.count)

    def test_works_on_donated_state(self):
        step = jax.jit(memories.remember, donate_argnums=0)
        memory = memories.start((E, N))
        for _ in range(3):
            memory = step(memory, jnp.array([1, 8]), jnp.full((E, 2), 0.5), 0.9)
        np.testing.assert_allclose(memory.value[:, [1, 8]], 0.5)
        np.testing.assert_array_equal(memory.count.sum(1), [6] * E)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.integers(0, 4), st.floats(0, 1), st.booleans()), min_size=6, max_size=6
        )
    )
    def test_order_within_a_batch_does_not_matter(self, entries):
        index, values, mask = (jnp.array(column) for column in zip(*entries))
        start = memories.Memory(jnp.linspace(0, 1, 5), jnp.arange(5, dtype=jnp.int32))
        plain = REMEMBER(start, index, values, 0.9, mask)
        mixed = REMEMBER(start, index[::-1], values[::-1], 0.9, mask[::-1])
        np.testing.assert_allclose(plain.value, mixed.value, atol=1e-6)
        np.testing.assert_array_equal(plain.count, mixed.count)
        touched = np.isin(np.arange(5), np.asarray(index)[np.asarray(mask)])
        np.testing.assert_array_equal(plain.count - start.count, touched)
        assert ((plain.value >= 0) & (plain.value <= 1)).all()

    def test_a_row_that_does_not_exist_is_not_remembered(self):
        memory, values = memories.start((3,)), jnp.zeros(2)
        with pytest.raises(ValueError, match="index holds -1"):
            memories.remember(memory, jnp.array([0, -1]), values, 0.5)
        moved = jax.jit(memories.remember)(memory, jnp.array([0, -1]), values, 0.5)
        np.testing.assert_array_equal(moved.count, [1, 0, 0])
        np.testing.assert_array_equal(moved.value, [0, 1, 1])
        members = memories.start((2, 3))
        with pytest.raises(ValueError, match="index holds 3"):
            memories.remember(members, jnp.array([0, 3]), jnp.zeros((2, 2)), 0.5)
        moved = jax.jit(memories.remember)(members, jnp.array([0, 3]), jnp.zeros((2, 2)), 0.5)
        np.testing.assert_array_equal(moved.count, [[1, 0, 0]] * 2)


class TestEma:
    def test_by_hand(self):
        bank = jnp.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
        values = jnp.array([[0.0, 1.0], [1.0, 0.0]])
        found = memories.ema_rows(bank, jnp.array([0, 2]), values, 0.9)
        np.testing.assert_allclose(found, [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]], rtol=1e-6)

    def test_copies_of_a_row_take_their_mean_in_any_order(self):
        bank, index = jnp.zeros((4, 2)), jnp.array([3, 1, 3, 3])
        values = jnp.array([[1.0, 0.0], [5.0, 5.0], [4.0, 0.0], [1.0, 6.0]])
        for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]):
            found = memories.ema_rows(bank, index[jnp.array(order)], values[jnp.array(order)], 0.5)
            np.testing.assert_allclose(found, [[0, 0], [2.5, 2.5], [0, 0], [1, 1]], rtol=1e-6)

    @pytest.mark.parametrize("update", [memories.ema_rows, memories.ema_unit_rows])
    def test_masked_entries_change_nothing(self, update):
        bank = jnp.eye(3)
        index, values = jnp.array([1, -1, 77]), jnp.full((3, 3), jnp.nan)
        found = update(bank, index, values, 0.9, jnp.zeros(3, bool))
        np.testing.assert_array_equal(found, bank)

    def test_one_decay_an_entry(self):
        found = memories.ema_rows(
            jnp.ones(3), jnp.array([2, 0]), jnp.zeros(2), jnp.array([0.25, 0.75])
        )
        np.testing.assert_allclose(found, [0.75, 1, 0.25])

    def test_the_bank_keeps_its_dtype(self):
        bank = jnp.zeros((2, 2), jnp.bfloat16)
        found = memories.ema_rows(bank, jnp.array([1]), jnp.ones((1, 2)), 0.5)
        assert found.dtype == jnp.bfloat16
        np.testing.assert_array_equal(found.astype(jnp.float32), [[0, 0], [0.5, 0.5]])

    def test_vmap_over_members_equals_a_loop(self):
        rng = np.random.default_rng(0)
        bank, values = rng.random((3, 8, 4)), rng.random((3, 5, 4))
        index, mask = jnp.array([0, 7, 3, 3, 5]), jnp.array([True, True, True, True, False])
        one = lambda bank, values: memories.ema_rows(
            jnp.asarray(bank, jnp.float32), index, values, 0.9, mask
        )
        together = jax.vmap(one)(bank, values)
        for member in range(3):
            alone = one(bank[member], values[member])
            np.testing.assert_allclose(together[member], alone, rtol=1e-6)

    def test_a_donated_bank_is_updated_in_place(self):
        step = jax.jit(memories.ema_rows, donate_argnums=0)
        bank = jnp.zeros((5000, 64))
        compiled = step.lower(bank, jnp.arange(4), jnp.ones((4, 64)), 0.5).compile()
        assert compiled.memory_analysis().temp_size_in_bytes < bank.nbytes / 10
        found = step(bank, jnp.arange(4), jnp.ones((4, 64)), 0.5)
        assert bank.is_deleted()
        np.testing.assert_allclose(found.sum(), 4 * 64 * 0.5)

    def test_wrong_shapes_are_refused(self):
        with pytest.raises(ValueError, match=r"got \(3, 2\), \(4,\) and \(4, 5\)"):
            memories.ema_rows(jnp.ones((3, 2)), jnp.arange(4), jnp.ones((4, 5)), 0.9)

    def test_at_decay_0_even_what_is_not_finite_is_replaced(self):
        bank = jnp.full((3, 2), jnp.nan)
        values = jnp.array([[1.0, 2.0], [3.0, 4.0]])
        found = memories.ema_rows(bank, jnp.array([0, 2]), values, 0.0)
        np.testing.assert_array_equal(found[jnp.array([0, 2])], values)
        np.testing.assert_array_equal(found[1], [np.nan, np.nan])

    def test_rows_outside_are_refused_and_ignored_where_they_cannot_be_seen(self):
        with pytest.raises(ValueError, match="index holds -1: give whole numbers of 0 to 2"):
            memories.ema_rows(jnp.zeros((3, 1)), np.array([0, -1]), jnp.ones((2, 1)), 0.0)
        write = jax.jit(memories.ema_rows)
        written = write(jnp.zeros((3, 1)), jnp.array([0, -1, 3]), jnp.ones((3, 1)), 0.0)
        np.testing.assert_array_equal(written, [[1], [0], [0]])


class TestUnitRows:
    def test_by_hand(self):
        bank = jnp.array([[1.0, 0.0], [0.0, 1.0]])
        found = memories.ema_unit_rows(bank, jnp.array([1]), jnp.array([[1.0, 0.0]]), 0.9)
        length = np.sqrt(0.1**2 + 0.9**2)
        np.testing.assert_allclose(found, [[1, 0], [0.1 / length, 0.9 / length]], rtol=1e-6)

    @pytest.mark.parametrize("size", [1e-20, 1.0, 1e30])
    def test_rows_have_length_one_at_any_scale(self, size):
        values = size * jnp.array([[3.0, 4.0]])
        found = memories.ema_unit_rows(jnp.zeros((1, 2)), jnp.array([0]), values, 0.9)
        np.testing.assert_allclose(found, [[0.6, 0.8]], rtol=1e-5)

    def test_a_zero_row_stays_zero(self):
        found = memories.ema_unit_rows(jnp.zeros((1, 2)), jnp.array([0]), jnp.zeros((1, 2)), 0.9)
        np.testing.assert_array_equal(found, [[0, 0]])


def test_members_read_and_write_the_same_rows():
    rows = jnp.arange(12.0).reshape(2, 2, 3)
    np.testing.assert_array_equal(
        memories.read(rows, jnp.array([2, 0])), rows[:, :, jnp.array([2, 0])]
    )
    written = memories.write(rows, jnp.array([2, 0]), -jnp.ones((2, 2, 2)))
    np.testing.assert_array_equal(written[:, :, jnp.array([2, 0])], -np.ones((2, 2, 2)))
    np.testing.assert_array_equal(written[..., 1], rows[..., 1])
