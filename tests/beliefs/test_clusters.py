"""k-means against reference numbers and scikit-learn; scores by hand."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from jaxcmr.beliefs import cluster_scores as scores
from jaxcmr.beliefs import clusters


@pytest.fixture(scope="module")
def reference(golden):
    return np.load(golden / "cluster.npz")


def blobs(rows=300, clusters=4, width=6, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(clusters, width)) * 4
    labels = rng.integers(0, clusters, rows)
    features = centers[labels] + rng.normal(size=(rows, width))
    return features.astype(np.float32), labels


def starts(features, number, mask=None):
    """The centers that k-means++ draws."""
    key = jax.random.key(0)
    return clusters.kmeans(key, features, number, mask, restarts=1, max_iterations=0).centers


class TestLloyd:
    def test_reproduces_the_reference(self, reference):
        case = {key: reference[f"kmeans_lloyd/{key}"] for key in ("features", "init_centers")}
        found = clusters.lloyd(case["features"], case["init_centers"])
        np.testing.assert_array_equal(found.labels, reference["kmeans_lloyd/labels_pred"])
        np.testing.assert_allclose(found.centers, reference["kmeans_lloyd/centers"], atol=2e-6)
        np.testing.assert_allclose(found.inertia, reference["kmeans_lloyd/inertia"], rtol=2e-6)

    def test_by_hand(self):
        features = jnp.array([[0.0], [2.0], [10.0], [14.0]])
        found = clusters.lloyd(features, jnp.array([[0.0], [1.0]]))
        # {0} and {2, 10, 14} (mean 26/3), then 2 is nearer to 0: {0, 2} and {10, 14}.
        np.testing.assert_array_equal(found.labels, [0, 0, 1, 1])
        np.testing.assert_allclose(found.centers, [[1.0], [12.0]])
        np.testing.assert_allclose(found.inertia, 1 + 1 + 4 + 4)

    def test_rows_of_several_blocks_are_clustered_as_scikit_learn_does(self):
        features, _ = blobs(rows=clusters.BLOCK + 904)
        found = clusters.lloyd(features, features[:4])
        best = KMeans(4, init=features[:4], n_init=1, tol=0).fit(features)
        np.testing.assert_array_equal(found.labels, best.labels_)
        np.testing.assert_allclose(found.centers, best.cluster_centers_, atol=1e-4)

    def test_an_offset_costs_no_digits(self):
        features, _ = blobs()
        features = np.round(features * 64) / 64  # so that the shifted values are exact
        plain = clusters.lloyd(features, features[:4])
        shifted = clusters.lloyd(features + 8192, features[:4] + 8192)
        np.testing.assert_array_equal(plain.labels, shifted.labels)
        np.testing.assert_allclose(plain.inertia, shifted.inertia, rtol=1e-3)

    def test_an_empty_cluster_gets_the_farthest_row(self):
        features = jnp.array([[0.0], [1.0], [9.0], [10.0], [100.0]])
        found = clusters.lloyd(features, jnp.array([[5.0], [5.0], [-999.0]]))
        assert sorted(np.bincount(found.labels, minlength=3)) == [1, 2, 2]
        np.testing.assert_allclose(found.inertia, 1.0)

    def test_more_clusters_than_distinct_rows_ends_with_empty_ones(self):
        features = jnp.ones((6, 2)).at[3:].set(2.0)
        found = clusters.lloyd(features, jnp.zeros((4, 2)))
        assert found.iterations < 10
        assert np.isfinite(found.centers).all()
        assert found.inertia == 0
        assert len(np.unique(found.labels)) == 2

    def test_masked_rows_do_not_count(self):
        features, _ = blobs()
        mask = np.arange(300) < 200
        spoiled = np.where(mask[:, None], features, np.nan)
        found = clusters.lloyd(spoiled, features[:4], jnp.asarray(mask))
        alone = clusters.lloyd(features[:200], features[:4])
        np.testing.assert_array_equal(found.labels[:200], alone.labels)
        np.testing.assert_array_equal(found.labels[200:], -1)
        np.testing.assert_allclose(found.centers, alone.centers, atol=1e-5)
        np.testing.assert_allclose(found.inertia, alone.inertia, rtol=1e-5)

    def test_permuting_rows_and_centers_permutes_the_result(self):
        features, _ = blobs()
        rows, order = np.random.default_rng(1).permutation(300), np.array([2, 0, 3, 1])
        plain = clusters.lloyd(features, features[:4])
        mixed = clusters.lloyd(features[rows], features[:4][order])
        np.testing.assert_array_equal(order[mixed.labels], np.asarray(plain.labels)[rows])

    def test_rows_that_hold_nan_are_refused_and_do_not_count_where_they_cannot_be_seen(self):
        features, _ = blobs(rows=40)
        spoiled = features.copy()
        spoiled[[3, 7], 1] = np.nan, np.inf
        with pytest.raises(ValueError, match=r"features hold NaN, .* in row 3 \(and 1 others\)"):
            clusters.lloyd(spoiled, features[:4])
        with pytest.raises(ValueError, match="centers hold NaN"):
            clusters.lloyd(features, spoiled[:4])
        kept = ~np.isin(np.arange(40), [3, 7])
        found = jax.jit(clusters.lloyd)(spoiled, features[:4])
        alone = clusters.lloyd(features, features[:4], kept)
        chex.assert_trees_all_equal(found, alone)
        assert np.isfinite(found.centers).all()
        np.testing.assert_array_equal(found.labels[~kept], -1)

    @pytest.mark.parametrize("kind", [np.float16, jnp.bfloat16, np.float64])
    def test_features_of_any_kind_are_clustered_in_float32(self, kind):
        features = np.array([[0], [2], [10], [14]]).astype(kind)
        with jax.enable_x64(kind is np.float64):
            found = clusters.lloyd(features, features[:2])
            drawn = clusters.kmeans(jax.random.key(0), features, 2)
        for leaf in (found.centers, found.inertia, drawn.centers):
            assert leaf.dtype == jnp.float32
        np.testing.assert_array_equal(found.labels, [0, 0, 1, 1])
        np.testing.assert_array_equal(np.sort(drawn.centers, axis=0), [[1], [12]])

    @pytest.mark.parametrize("size", [1e-30, 1e-10, 1e10, 1e30])
    def test_the_scale_of_the_features_does_not_matter(self, size):
        features = np.array([[0], [2], [10], [14]], np.float32) * np.float32(size)
        found = clusters.lloyd(features, features[:2])
        np.testing.assert_array_equal(found.labels, [0, 0, 1, 1])
        np.testing.assert_allclose(found.centers, [[size], [12 * size]], rtol=1e-5)

    def test_wrong_shapes_are_refused(self):
        with pytest.raises(ValueError, match="one width"):
            clusters.lloyd(jnp.ones((5, 2)), jnp.ones((2, 3)))
        with pytest.raises(ValueError, match=r"1 \.\. 5"):
            clusters.lloyd(jnp.ones((5, 2)), jnp.ones((6, 2)))
        with pytest.raises(ValueError, match="max_iterations is -1"):
            clusters.lloyd(jnp.ones((5, 2)), jnp.ones((2, 2)), max_iterations=-1)
        with pytest.raises(ValueError, match=r"mask has shape \(2,\): give \[5\]"):
            clusters.lloyd(jnp.ones((5, 2)), jnp.ones((2, 2)), np.ones(2, bool))
        with pytest.raises(ValueError, match="none of 5 rows counts"):
            clusters.lloyd(jnp.ones((5, 2)), jnp.ones((2, 2)), np.zeros(5, bool))


class TestKmeans:
    def test_finds_separated_blobs_as_scikit_learn_does(self):
        features, labels = blobs(rows=200, clusters=5, seed=3)
        found = clusters.kmeans(jax.random.key(0), features, 5)
        best = KMeans(5, n_init=10, random_state=0).fit(features)
        np.testing.assert_allclose(found.inertia, best.inertia_, rtol=1e-4)
        assert scores.agreement(np.asarray(found.labels), labels)["accuracy"] > 0.95

    def test_same_key_same_result(self):
        features, _ = blobs(rows=200, clusters=5, seed=3)
        one, two = (clusters.kmeans(jax.random.key(7), features, 5) for _ in range(2))
        chex.assert_trees_all_equal(one, two)

    def test_starts_are_distinct_rows_while_there_are_any(self):
        features = np.repeat(np.eye(5, dtype=np.float32), 20, 0)
        centers = starts(features, 5)
        np.testing.assert_allclose(np.sort(np.asarray(centers).argmax(1)), np.arange(5))
        assert np.isfinite(starts(features, 7)).all()

    def test_masked_rows_are_never_drawn(self):
        features = jnp.where(jnp.arange(20)[:, None] < 8, jnp.eye(20), jnp.nan)
        centers = starts(features, 8, jnp.arange(20) < 8)
        np.testing.assert_array_equal(np.sort(centers.argmax(1)), np.arange(8))

    def test_one_row_of_nan_does_not_reach_the_others(self):
        features = np.array([[0], [2], [10], [14], [np.nan]], np.float32)
        found = jax.jit(lambda x: clusters.kmeans(jax.random.key(0), x, 2))(features)
        np.testing.assert_array_equal(np.sort(found.centers, axis=0), [[1], [12]])
        np.testing.assert_allclose(found.inertia, 1 + 1 + 4 + 4)
        assert found.labels[4] == -1
        with pytest.raises(ValueError, match="in row 4"):
            clusters.kmeans(jax.random.key(0), features, 2)


class TestScores:
    @pytest.mark.parametrize("case", ["hungarian_random", "hungarian_permuted"])
    def test_reproduce_the_reference(self, reference, case):
        found = scores.agreement(reference[f"{case}/labels_pred"], reference[f"{case}/labels_true"])
        expected = {name: float(reference[f"{case}/{name.lower()}"]) for name in found}
        assert found == pytest.approx(expected, rel=1e-9)

    def test_matching_by_hand(self):
        # Hits of clusters 0, 1, 2 in classes 0, 1: (1, 2), (2, 0), (1, 0).
        found = scores.agreement(np.array([0, 0, 0, 1, 1, 2]), np.array([1, 1, 0, 0, 0, 0]))
        assert found["accuracy"] == pytest.approx((2 + 2) / 6)

    def test_rows_without_a_cluster_are_wrong_and_left_out_of_nmi_and_ari(self):
        found = scores.agreement(np.array([0, 0, -1, 1]), np.array([1, 1, 1, 0]))
        assert found == pytest.approx({"accuracy": 3 / 4, "NMI": 1, "ARI": 1})
        none = scores.agreement(np.full(3, -1), np.arange(3))
        assert none == {"accuracy": 0, "NMI": 0, "ARI": 0}

    def test_rows_of_none_of_the_classes_are_left_out(self):
        found = scores.agreement(np.array([0, 0, 1, 1, 2, 0]), np.array([1, 1, 0, 1, -1, -1]))
        assert found == scores.agreement(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1]))
        assert found["accuracy"] == 3 / 4

    @pytest.mark.parametrize("rows", [np.zeros(4, int), np.arange(4)])
    def test_a_trivial_partition_agrees_with_itself(self, rows):
        assert scores.agreement(rows, rows) == {"accuracy": 1, "NMI": 1, "ARI": 1}

    def test_sizes_name_a_collapse(self):
        assert scores.collapse(np.repeat(np.arange(4), 5), 4) == (1 / 4, "")
        largest, warning = scores.collapse(np.array([1] * 8 + [0, 2, -1]), 4)
        assert largest == pytest.approx(0.8)
        assert warning == "1 of 4 clusters are empty and cluster 1 holds 80% of the rows"

    def test_wrong_arguments_are_refused(self):
        with pytest.raises(ValueError, match="one length"):
            scores.agreement(np.zeros(3, int), np.zeros(4, int))
        with pytest.raises(ValueError, match="no row has a class: all class ids are negative"):
            scores.agreement(np.zeros(2, int), np.array([-1, -1]))
        with pytest.raises(ValueError, match="below 3"):
            scores.collapse(np.array([3]), 3)
        with pytest.raises(ValueError, match="clusters are float64"):
            scores.agreement(np.array([0.0, 0.5]), np.array([0, 1]))

    def test_indices_are_those_of_scikit_learn(self):
        rng = np.random.default_rng(0)
        for groups in (1, 2, 5, 30):
            true = rng.integers(0, groups, 40)
            found = np.where(rng.random(40) < 0.7, true, rng.integers(0, 4, 40))
            indices = {"NMI": normalized_mutual_info_score, "ARI": adjusted_rand_score}
            expected = {name: index(true, found) for name, index in indices.items()}
            ours = scores.agreement(found, true)
            assert {name: ours[name] for name in indices} == pytest.approx(expected, abs=1e-12)

    def test_clusters_and_classes_may_have_any_numbers(self):
        long, true = np.array([2**40, 2**40, 7, 2**32]), np.array([1, 1, 0, 2**33])
        assert scores.agreement(long, true) == pytest.approx({"accuracy": 1, "NMI": 1, "ARI": 1})
