"""Label agreement of nearest neighbours: reference numbers, hand-made cases, invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr.beliefs import neighbors
from jaxcmr.beliefs.neighbors import HARD, NOISY, PURE


@pytest.fixture(scope="module")
def case(golden):
    return dict(np.load(golden / "nirnl_knn.npz"))


def counts_of(case, modality, **kwargs):
    k, classes = int(case["hp_top_k"]), int(case["hp_num_classes"])
    features = case[f"features_{modality}"]
    return neighbors.neighbor_counts(features, case["labels"], k, classes, **kwargs)


def neighbors_of(features, k, **kwargs):
    """The neighbours of each row, as `[N, N]` of 0 and 1: every row is a class of its own."""
    rows = len(features)
    return neighbors.neighbor_counts(features, np.arange(rows), k, rows, **kwargs)


class TestReference:
    @pytest.mark.parametrize("modality", ["img", "txt"])
    @pytest.mark.parametrize("block", [7, 256])
    def test_counts_and_labels(self, case, modality, block):
        counts = counts_of(case, modality, block=block)
        np.testing.assert_array_equal(counts, case[f"neighbour_counts_{modality}"])
        soft = counts / counts.sum(-1, keepdims=True)
        np.testing.assert_allclose(soft, case[f"soft_labels_{modality}"], atol=1e-7)
        labels = neighbors.neighbor_labels(counts)
        np.testing.assert_array_equal(labels, case[f"knn_labels_{modality}"])

    def test_division(self, case):
        predicted = jnp.stack(
            [neighbors.neighbor_labels(counts_of(case, modality)) for modality in ("img", "txt")]
        )
        division = np.asarray(neighbors.divide(case["labels"], predicted))
        for code, name in ((PURE, "pure"), (HARD, "hard"), (NOISY, "noisy")):
            np.testing.assert_array_equal(np.flatnonzero(division == code), case[f"{name}_ids"])

    def test_vmap_over_modalities_equals_a_loop(self, case):
        stacked = jnp.stack([case["features_img"], case["features_txt"]])
        one = lambda features: neighbors.neighbor_counts(features, case["labels"], 10, 5)
        np.testing.assert_array_equal(jax.vmap(one)(stacked), [one(f) for f in stacked])


class TestNeighbors:
    def test_by_hand(self):
        features = jnp.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8]])
        expected = [[0, 1, 0, 1], [1, 0, 0, 1], [0, 1, 0, 1], [0, 1, 1, 0]]
        np.testing.assert_array_equal(neighbors_of(features, 2), expected)

    def test_equal_rows_leave_out_only_the_row_itself_and_come_by_number(self):
        expected = [[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]]
        np.testing.assert_array_equal(neighbors_of(jnp.ones((4, 2)), 2), expected)

    def test_masked_and_unlabelled_neighbors_do_not_count(self):
        features = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.9, 0.1], [jnp.nan, jnp.nan]])
        labels, mask = jnp.array([0, 1, -1, 1]), jnp.array([True, True, True, False])
        counts = neighbors.neighbor_counts(features, labels, 3, 2, mask)
        np.testing.assert_array_equal(counts[:3], [[0, 1], [1, 0], [1, 1]])

    def test_without_a_labelled_neighbor_there_is_no_label(self):
        np.testing.assert_array_equal(neighbors.neighbor_labels(jnp.zeros((2, 3))), [-1, -1])

    def test_permuting_rows_permutes_the_counts(self, case):
        order = np.random.default_rng(0).permutation(60)
        mixed = {
            key: value[order] if key in ("labels", "features_img") else value
            for key, value in case.items()
        }
        np.testing.assert_array_equal(
            counts_of(mixed, "img"), np.asarray(counts_of(case, "img"))[order]
        )

    def test_memory_is_bounded_by_the_block(self):
        features = jax.ShapeDtypeStruct((20_000, 8), jnp.float32)
        labels = jax.ShapeDtypeStruct((20_000,), jnp.int32)
        search = lambda *arrays: neighbors.neighbor_counts(*arrays, 5, 3, block=64)
        analysis = jax.jit(search).lower(features, labels).compile().memory_analysis()
        assert analysis.temp_size_in_bytes < 8 * 64 * 20_000 * 4  # the full matrix: 312 such blocks

    def test_a_row_that_holds_nan_is_refused_and_no_neighbor_where_it_is_traced(self):
        features = jnp.array([[1.0, 0.0], [jnp.nan, 1.0], [0.6, 0.8]])
        with pytest.raises(ValueError, match=r"features hold NaN, infinity .* in row 1"):
            neighbors_of(features, 2)
        found = jax.jit(lambda x: neighbors_of(x, 2))(features)
        np.testing.assert_array_equal(found, [[0, 0, 1], [0, 0, 0], [1, 0, 0]])

    @pytest.mark.parametrize("kind", [np.float16, jnp.bfloat16, np.float64, np.int32])
    def test_features_of_any_kind_and_size_find_the_same_neighbors(self, kind):
        """Products 64 and 0, 0 and 64, 64 and 64; in float16 those of 300 would be infinite."""
        features = np.array([[8, 0], [0, 8], [8, 8]])
        expected = [[0, 0, 1], [0, 0, 1], [1, 0, 0]]
        for size in (1, 300 / 8) if kind != np.int32 else (1,):
            found = neighbors_of((features * size).astype(kind), 1)
            assert found.dtype == jnp.float32
            np.testing.assert_array_equal(found, expected)
        huge = jnp.asarray(features, jnp.float32) * 1e30
        np.testing.assert_array_equal(neighbors_of(huge, 1), expected)

    def test_a_search_in_doubles_is_that_in_floats(self):
        features = np.random.default_rng(0).normal(size=(6, 3))
        single = neighbors_of(features, 3)
        with jax.enable_x64(True):
            double = neighbors_of(features, 3)
        np.testing.assert_array_equal(single, double)
        assert double.dtype == jnp.float32

    @pytest.mark.parametrize("k", [0, 4])
    def test_impossible_k_is_refused(self, k):
        with pytest.raises(ValueError, match=rf"1 \.\. N - 1 = 3, got {k}"):
            neighbors_of(jnp.ones((4, 2)), k)


class TestDivide:
    def test_three_modalities(self):
        predicted = jnp.array([[0, 0, 1, 0], [0, 1, 1, -1], [0, 0, 1, 0]])
        np.testing.assert_array_equal(
            neighbors.divide(jnp.array([0, 0, 0, -1]), predicted), [PURE, HARD, NOISY, NOISY]
        )

    def test_a_missing_item_does_not_count(self):
        predicted, present = jnp.array([[0, 0], [1, 0]]), jnp.array([[True, False], [False, False]])
        np.testing.assert_array_equal(
            neighbors.divide(jnp.array([0, 0]), predicted, present), [PURE, NOISY]
        )
