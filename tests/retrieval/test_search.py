"""Search: the best items by hand, against the oracle, and mistakes."""

import numpy as np
import oracle
import pytest

from jaxcmr.retrieval.search import top_k

rows = lambda *degrees: np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)


def test_the_nearest_by_hand():
    found = top_k(rows(0, 40), rows(20, 10, 40, 30), 3)
    assert found.index.tolist() == [[1, 0, 3], [2, 3, 0]]
    np.testing.assert_allclose(found.scores[0], np.cos(np.radians([10, 20, 30])), atol=1e-6)


def test_lengths_do_not_matter_and_zero_rows_are_like_nothing():
    gallery = rows(0, 90, 180) * np.array([[0.01], [1], [100]])
    gallery[1] = 0
    found = top_k(3 * rows(0), gallery, 3)
    assert found.index.tolist() == [[0, 1, 2]]
    assert found.scores == pytest.approx(np.array([[1, 0, -1]]), abs=1e-6)


def test_equal_scores_come_by_index():
    assert top_k(rows(0), rows(90, 0, 0, 180, 0), 5).index.tolist() == [[1, 2, 4, 0, 3]]


def test_rows_that_hold_nan_are_refused_unless_they_are_masked():
    gallery = rows(90, 0, 0, 180, 0)
    gallery[2] = np.nan
    with pytest.raises(ValueError, match=r"gallery holds NaN, .* in row 2"):
        top_k(rows(0), gallery, 4)
    with pytest.raises(ValueError, match=r"query holds NaN, .* in row 0"):
        top_k(gallery[2:3], gallery[:2], 1)
    found = top_k(rows(0), gallery, 4, gallery_mask=np.arange(5) != 2)
    assert found.index.tolist() == [[1, 4, 0, 3]]


def test_the_oracle_agrees():
    rng = np.random.default_rng(0)
    query, gallery = rng.standard_normal((9, 8)), rng.standard_normal((40, 8))
    cosines = oracle.cosine(query, gallery)
    found = top_k(query, gallery, 7)
    assert found.index.tolist() == [oracle.order(scores)[:7] for scores in cosines]


def test_masked_items_are_not_found():
    mask = [True, False, True, True]
    assert top_k(rows(0), rows(20, 10, 40, 30), 3, gallery_mask=mask).index.tolist() == [[0, 3, 2]]


MISTAKES = {
    "width": (dict(query=np.ones((2, 3))), r"\(2, 3\) and gallery \(4, 2\)"),
    "none": (dict(query=np.ones((0, 2))), "no queries"),
    "k": (dict(k=0), "k is 0"),
    "many": (dict(k=5), "k is 5, but the gallery has 4 items"),
    "masked": (dict(k=4, gallery_mask=[True, True, True, False]), "k is 4, .* 3 items"),
    "mask": (dict(gallery_mask=[True]), r"shape \(1,\)"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_argument_is_named(mistake):
    changed, words = MISTAKES[mistake]
    with pytest.raises(ValueError, match=words):
        top_k(**dict(query=np.ones((2, 2)), gallery=np.ones((4, 2)), k=2) | changed)
