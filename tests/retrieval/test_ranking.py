"""Ranking is that of a stable sort, to the last bit of the score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax import lax

from jaxcmr.retrieval.ranking import rank_relevance, relevance, unit_scores

rank = jax.jit(rank_relevance)
ROWS, ITEMS = 3, 24


def stable(scores, relevant):
    return np.take_along_axis(relevant, np.argsort(-scores, axis=-1, kind="stable"), axis=-1)


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        (ROWS, ITEMS),
        elements=st.one_of(
            st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, float("inf"), float("-inf"), 1e-45]),
            st.floats(-1, 1, width=32),
        ),
    ),
    hnp.arrays(bool, (ROWS, ITEMS)),
)
def test_ties_rank_by_gallery_index(scores, relevant):
    # XLA may flush the numbers below the normal ones to zero, and calls them equal then.
    plain = np.where(np.abs(scores) < np.finfo(np.float32).tiny, 0, scores)
    scores = np.where(plain == 0, np.copysign(np.float32(0), scores), scores)
    np.testing.assert_array_equal(rank(scores, relevant), stable(plain, relevant))


def test_scores_one_bit_apart_keep_their_order():
    # Neighbours in float32, in ascending order: whatever is relevant, the order must turn around.
    start = np.float32(0.25)
    ladder = [start]
    for _ in range(ITEMS - 1):
        ladder.append(np.nextafter(ladder[-1], np.float32(1)))
    scores = np.tile(np.array([ladder], np.float32), (ROWS, 1)) * np.array([[1], [-1], [1]])
    scores = scores.astype(np.float32)
    relevant = np.random.default_rng(0).random((ROWS, ITEMS)) < 0.5
    np.testing.assert_array_equal(rank(scores, relevant), stable(scores, relevant))
    np.testing.assert_array_equal(rank(scores, relevant)[0], relevant[0][::-1])


def test_chance_ties_of_large_galleries_keep_their_order():
    # Tens of thousands of float32 scores hold hundreds of exact ties; none may fall out of order.
    rng = np.random.default_rng(0)
    scores = (0.7 + 0.06 * rng.standard_normal((2, 40_000))).astype(np.float32)
    relevant = rng.random(scores.shape) < 0.1
    assert min(np.sum(np.diff(np.sort(row)) == 0) for row in scores) > 100
    np.testing.assert_array_equal(rank(scores, relevant), stable(scores, relevant))


def test_nan_ranks_last_and_excluded_items_behind_it():
    scores = jnp.array([[jnp.nan, -jnp.inf, 0.5, 0.9]])
    relevant = jnp.array([[True, False, False, True]])
    np.testing.assert_array_equal(rank(scores, relevant), [[True, False, True, False]])
    excluded = jnp.array([[False, False, False, True]])
    np.testing.assert_array_equal(rank(scores, relevant, excluded), [[False, True, False, False]])


def test_it_works_inside_jit_vmap_map_and_scan():
    rng = np.random.default_rng(1)
    scores = (rng.integers(-3, 4, (4, ROWS, ITEMS)) / 4).astype(np.float32)
    relevant = rng.random(scores.shape) < 0.4
    expected = stable(scores, relevant)
    eager = rank_relevance(jnp.asarray(scores), jnp.asarray(relevant))
    np.testing.assert_array_equal(eager, expected)
    np.testing.assert_array_equal(jax.jit(jax.vmap(rank_relevance))(scores, relevant), expected)
    mapped = jax.jit(lambda *arrays: lax.map(lambda pair: rank_relevance(*pair), arrays))
    np.testing.assert_array_equal(mapped(scores, relevant), expected)
    assert rank(scores, relevant).dtype == bool


def test_relevance_by_hand():
    same = relevance(jnp.array([0, 2]), jnp.array([2, 0, 0]))
    np.testing.assert_array_equal(same, [[False, True, True], [True, False, False]])
    shared = relevance(
        jnp.array([[1, 0, 1], [0, 0, 0]]), jnp.array([[0, 1, 0], [0, 1, 1], [1, 0, 0]])
    )
    np.testing.assert_array_equal(shared, [[False, True, True], [False, False, False]])


def test_relevance_refuses_labels_of_two_forms():
    with pytest.raises(ValueError, match=r"\(2,\) and gallery labels \(2, 3\)"):
        relevance(jnp.zeros(2, int), jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\(2, 4\)"):
        relevance(jnp.zeros((2, 3)), jnp.zeros((2, 4)))


def test_labels_below_zero_are_none_and_a_column_is_refused():
    none = relevance(jnp.array([-1, 2]), jnp.array([-1, 2]))
    np.testing.assert_array_equal(none, [[False, False], [False, True]])
    np.testing.assert_array_equal(jax.jit(relevance)(jnp.array([-1, 2]), jnp.array([-1, 2])), none)
    with pytest.raises(ValueError, match=r"query_labels\[:, 0\]"):
        jax.jit(relevance)(jnp.zeros((2, 1), int), jnp.zeros((3, 1), int))


def test_what_is_ranked_has_one_shape_and_truth_values():
    scores = jnp.zeros((2, 3))
    with pytest.raises(ValueError, match=r"relevant has shape \(3,\): give \[2, 3\]"):
        rank_relevance(scores, jnp.ones(3, bool))
    with pytest.raises(ValueError, match="excluded holds 2"):
        rank_relevance(scores, jnp.ones((2, 3), bool), jnp.full((2, 3), 2))


def test_unit_scores_by_hand():
    scores = unit_scores(jnp.array([[0.6, 0.8]]), jnp.array([[1.0, 0.0], [0.8, 0.6]]))
    np.testing.assert_allclose(scores, [[0.6, 0.96]], rtol=1e-6)
