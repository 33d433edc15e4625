"""Measures of ranked lists: tables by hand, and the plain oracle on random lists."""

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

from jaxcmr.retrieval import measures

RANKED = jnp.array(
    [
        [1, 0, 1, 0],
        [0, 0, 0, 1],
        [1, 1, 1, 1],
        [0, 0, 0, 0],
    ],
    bool,
)


def test_average_precision_by_hand():
    expected = [(1 / 1 + 2 / 3) / 2, 1 / 4, 1, 0]
    np.testing.assert_allclose(measures.average_precision(RANKED), expected, rtol=1e-6)


def test_average_precision_at_k_divides_by_the_hits_inside_the_top_k():
    np.testing.assert_allclose(measures.average_precision(RANKED, 2), [1, 0, 1, 0], rtol=1e-6)
    expected = [(1 + 2 / 3) / 2, 0, 1, 0]
    np.testing.assert_allclose(measures.average_precision(RANKED, 3), expected, rtol=1e-6)


def test_precision_recall_and_hits_by_hand():
    np.testing.assert_allclose(measures.precision_at(RANKED, 2), [1 / 2, 0, 1, 0])
    np.testing.assert_allclose(measures.recall_at(RANKED, 2), [1 / 2, 0, 1 / 2, 0])
    np.testing.assert_allclose(measures.hit_at(RANKED, 2), [1, 0, 1, 0])
    np.testing.assert_allclose(measures.cumulative_hits(RANKED)[0], [1, 1, 2, 2])


def test_ranks_beyond_the_gallery_count_as_misses_of_precision_alone():
    np.testing.assert_allclose(measures.precision_at(RANKED, 8), [2 / 8, 1 / 8, 4 / 8, 0])
    np.testing.assert_allclose(measures.recall_at(RANKED, 8), [1, 1, 1, 0])
    np.testing.assert_allclose(
        measures.average_precision(RANKED, 8), measures.average_precision(RANKED)
    )
    np.testing.assert_allclose(measures.ndcg(RANKED, 8), measures.ndcg(RANKED))


def test_ndcg_by_hand():
    third, fourth, second = 1 / 2, 1 / np.log2(5), 1 / np.log2(3)
    expected = [(1 + third) / (1 + second), fourth / 1, 1, 0]
    np.testing.assert_allclose(measures.ndcg(RANKED), expected, rtol=1e-6)
    np.testing.assert_allclose(measures.ndcg(RANKED, 2), [1 / (1 + second), 0, 1, 0], rtol=1e-6)


PLAIN = (
    (oracle.average_precision, ()),
    (oracle.average_precision, (50,)),
    (oracle.precision_at, (50,)),
    (oracle.recall_at, (50,)),
    (oracle.hit_at, (2,)),
    (oracle.ndcg, ()),
    (oracle.ndcg, (50,)),
)


@jax.jit
def all_measures(ranked):
    return [getattr(measures, plain.__name__)(ranked, *options) for plain, options in PLAIN]


@pytest.mark.parametrize("size", [1, 128, 300])
def test_the_oracle_agrees_on_random_lists(size):
    rng = np.random.default_rng(size)
    ranked = rng.random((6, size)) < rng.random((6, 1))
    for values, (plain, options) in zip(all_measures(ranked), PLAIN, strict=True):
        expected = [plain(row.tolist(), *options) for row in ranked]
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-7, err_msg=plain.__name__)


def test_relevance_of_any_kind_and_leading_axes():
    expected = measures.average_precision(RANKED)
    np.testing.assert_array_equal(measures.average_precision(RANKED.astype(jnp.int8)), expected)
    np.testing.assert_array_equal(
        measures.average_precision(RANKED.reshape(2, 2, 4)), expected.reshape(2, 2)
    )


@pytest.mark.parametrize("measure", [measures.average_precision, measures.ndcg, measures.hit_at])
def test_k_below_one_is_refused(measure):
    with pytest.raises(ValueError, match="k is 0"):
        measure(RANKED, 0)


def test_an_empty_list_scores_nothing():
    empty = jnp.zeros((2, 0), bool)
    for measure in (measures.average_precision, measures.ndcg):
        np.testing.assert_array_equal(measure(empty), [0, 0])
    for measure in (measures.precision_at, measures.recall_at, measures.hit_at):
        np.testing.assert_array_equal(measure(empty, 3), [0, 0])


def test_relevance_that_is_none_and_ranks_in_fractions_are_refused():
    for call, words in (
        (lambda: measures.average_precision(jnp.array([0.5, 1.0])), "ranked holds 0.5"),
        (lambda: measures.ndcg(jnp.array([jnp.nan, 1.0])), "ranked holds nan"),
        (lambda: measures.hit_at(jnp.ones(3), 2.5), "k is 2.5"),
        (lambda: measures.recall_at(jnp.float32(1), 1), r"ranked has shape \(\)"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
