"""A prepared gallery: what it finds is what a full stable sort finds, whatever it searches."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr.errors import UsageError
from jaxcmr.retrieval import gallery as gallery_module
from jaxcmr.retrieval.gallery import Gallery
from jaxcmr.retrieval.nearest import _best, nearest


def signs(count, seed):
    """Returns rows of 1 and -1: their cosines are exact, and eleven, so that ties are many."""
    rows = np.ones((count, 16), np.float32)
    rows[:, :10] = np.random.default_rng(seed).choice([-1, 1], (count, 10))
    return rows


def units(count, seed):
    return signs(count, seed) / 4


def sorted_by_hand(query, rows, k, mask=None):
    """Returns `(index, scores)` of a stable sort of all scores."""
    scores = (query / 4) @ (rows / 4).T
    scores = scores if mask is None else np.where(mask, scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, 1)


def check(query, rows, k, mask=None, **options):
    found = Gallery(rows).search(query, k, mask, **options)
    index, scores = sorted_by_hand(query, rows, k, mask)
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_array_equal(found.scores, scores)
    assert (found.index.dtype, found.scores.dtype) == (np.int32, np.float32)


@pytest.fixture
def small_parts(monkeypatch):
    """Makes parts, steps and blocks of queries small, so that there are many of each."""
    monkeypatch.setattr(gallery_module, "_PART", 8192)
    monkeypatch.setattr(gallery_module, "_CPU_SCORES", 2**14)
    monkeypatch.setattr(gallery_module, "_LEAST_K", 2)


@pytest.mark.parametrize("items", [1, 2, 127, 5000])
def test_all_items_in_order_where_k_is_all_of_them(items):
    check(signs(3, seed=1), signs(items, seed=2), items)


@pytest.mark.parametrize("k", [1, 30, 300, 20_000])
def test_steps_and_parts_lose_nothing(k, small_parts):
    check(signs(3, seed=1), signs(20_000, seed=2), k)


def test_masked_items_are_never_found(small_parts):
    rows, query = signs(20_000, seed=2), signs(9, seed=1)
    for share in (0.001, 0.1, 0.9):
        mask = np.random.default_rng(3).random(len(rows)) < share
        check(query, rows, 5, mask)
        check(query[:1], rows, int(mask.sum()), mask)


def test_the_best_may_all_lie_in_one_chunk_or_each_in_another(small_parts):
    rows, query = -np.ones((16_384, 16), np.float32), np.ones((1, 16), np.float32)
    together, apart = np.arange(700, 705), np.arange(5) * 3000
    for best in (together, apart):
        rows[best] = 1
        assert Gallery(rows).search(query, 5).index.tolist() == [best.tolist()]
        rows[best] = -1


@pytest.mark.parametrize("k", [1, 2, 16, 600])
def test_the_best_of_a_step_are_those_of_a_stable_sort(k):
    scores = np.float32(np.random.default_rng(0).integers(-250, 250, (4, 2048)) / 7)
    scores[3] = np.where(scores[3] > 0, 0.0, -0.0)  # one score
    mask = np.random.default_rng(1).random(2048) < 0.8
    index, best = _best(jnp.asarray(scores), jnp.asarray(mask), k, approx=False)
    expected = np.argsort(-np.where(mask, scores, -np.inf), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(best, np.take_along_axis(scores, expected, 1))


def test_copies_of_a_row_rank_by_index_in_whatever_part_they_lie():
    rng = np.random.default_rng(0)
    rows = np.resize(rng.standard_normal((1000, 64)), (33_000, 64))
    found = Gallery(rows).search(rng.standard_normal((16, 64)), 33)
    assert (np.diff(found.index) == 1000).all() and (np.ptp(found.scores, axis=1) == 0).all()


def test_more_queries_than_a_block_are_searched_in_turn():
    check(signs(300, seed=1), signs(50, seed=2), 3)


def test_lengths_do_not_matter():
    rows, query = signs(500, seed=2), signs(3, seed=1)
    index, scores = sorted_by_hand(query, rows, 20)
    for scaled in (units(500, seed=2), rows * np.float64(1e-3), rows * 1e30):
        found = Gallery(scaled).search(query * 1e-9, 20)
        np.testing.assert_array_equal(found.index, index)
        np.testing.assert_allclose(found.scores, scores, atol=1e-6)


def test_rows_too_short_to_have_a_direction_are_zeros():
    rows = np.float32([[-1, 0], [1e-25, 0], [0, 0], [0, -1e-30]])
    assert Gallery(rows).search([[1.0, 0.0]], 4).index.tolist() == [[1, 2, 3, 0]]
    found = Gallery(rows).search([[-1.0, 0.0]], 4)
    assert found.index.tolist() == [[0, 1, 2, 3]] and found.scores.tolist() == [[1, 0, 0, 0]]


def test_a_mapped_file_is_searched_where_it_lies(tmp_path):
    np.save(tmp_path / "rows.npy", units(70_000, seed=2))
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    *parts, last = Gallery(rows)._parts
    begins = [part.unsafe_buffer_pointer() - rows.ctypes.data for part in parts]
    assert begins == [64 * size for size in np.cumsum([0, *map(len, parts[:-1])])]
    assert len(parts) == 4 and len(last) == len(parts[0])  # filled up, hence a copy
    query = signs(2, seed=1)
    index, _ = sorted_by_hand(query, 4 * rows, 5)
    np.testing.assert_array_equal(Gallery(rows).search(query, 5).index, index)


def test_the_approximate_search_finds_the_best_scores_on_a_cpu():
    rows, query = signs(20_000, seed=2), signs(3, seed=1)
    found = Gallery(rows).search(query, 7, approx=True)
    np.testing.assert_array_equal(found.scores, sorted_by_hand(query, rows, 7)[1])
    of_index = np.einsum("qd,qkd->qk", query / 4, rows[found.index] / 4)
    np.testing.assert_array_equal(of_index, found.scores)


def test_queries_galleries_and_k_of_similar_sizes_share_programs(monkeypatch):
    made = []
    monkeypatch.setattr(
        gallery_module, "nearest", lambda *sizes: made.append(nearest(*sizes)) or made[-1]
    )
    rows = signs(1000, seed=2)
    Gallery(rows).search(signs(5, seed=1), 10)
    programs = made[0]._cache_size()
    Gallery(rows).search(signs(8, seed=1), 3)
    Gallery(rows[:990]).search(signs(6, seed=1), 16)
    assert len(set(made)) == 1 and made[0]._cache_size() == programs
    Gallery(rows).search(signs(9, seed=1), 10)
    assert made[0]._cache_size() == programs + 1


MISTAKES = {
    "a vector": (dict(rows=np.ones(3)), r"shape \(3,\)"),
    "nothing": (dict(rows=np.ones((0, 3))), r"shape \(0, 3\)"),
    "words": (dict(rows=[["a", "b"]]), "give rows of real numbers"),
    "NaN": (dict(rows=[[1.0, 0.0], [np.nan, 1.0]]), "gallery holds NaN, .* in row 1"),
    "infinity": (dict(rows=[[1.0, np.inf], [0.0, 1.0]]), "gallery holds NaN, .* in row 0"),
    "a query of NaN": (dict(query=[[np.nan, 1.0]]), "query holds NaN, .* in row 0"),
    "a wide query": (dict(query=np.ones((1, 3))), r"query has shape \(1, 3\); give \[Q, 2\]"),
    "no query": (dict(query=np.ones((0, 2))), r"query has shape \(0, 2\)"),
    "k": (dict(k=0), "k is 0"),
    "a large k": (dict(k=3), "k is 3, but the gallery has 2 items"),
    "a mask": (dict(mask=[True, False], k=2), "k is 2, but the gallery has 1 items"),
    "a short mask": (dict(mask=[True]), r"shape \(1,\)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_argument_is_named(mistake):
    changed, words = MISTAKES[mistake]
    arguments = dict(rows=np.eye(2), query=np.ones((1, 2)), k=1) | changed
    with pytest.raises(UsageError, match=words):
        Gallery(arguments.pop("rows")).search(**arguments)
