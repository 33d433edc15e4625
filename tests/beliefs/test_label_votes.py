"""Votes of members in modalities on rows, by hand."""

import numpy as np

from jaxcmr.beliefs.label_votes import agreement, mean_predictions, votes, votes_of_neighbors

# Two members, two modalities, three rows, two classes: each voter's logit of class 1, class 0's is
# 0. The text of row 1 is missing, and so is all of row 2.
SECOND = np.array([[[1.0, -2.0, 9.0], [-4.0, 9.0, 9.0]], [[3.0, 4.0, 9.0], [2.0, 9.0, 9.0]]])
LOGITS = np.stack([np.zeros_like(SECOND), SECOND], -1)
PRESENT = np.array([[True, True, False], [True, False, False]])


def _votes(counted):
    return votes(LOGITS, PRESENT, np.array(counted, bool))


def test_what_voters_members_and_modalities_predict():
    found = _votes([[1, 1, 1], [1, 1, 1]])
    assert found.classes[0].tolist() == [[1, 0], [1, 1]]  # [E, V]
    assert found.classes[1].tolist() == [[0, -1], [1, -1]]
    assert found.classes[2].tolist() == [[-1, -1], [-1, -1]]
    # Row 0: member 0 by (1 - 4) / 2, member 1 by (3 + 2) / 2; row 1 by the picture alone.
    assert found.member_classes.tolist() == [[0, 1], [0, 1], [-1, -1]]
    # Row 0: the picture by (1 + 3) / 2, the text by (-4 + 2) / 2; row 1: (-2 + 4) / 2.
    assert found.modality_classes.tolist() == [[1, 0], [1, -1], [-1, -1]]


def test_logits_are_means_over_the_members_that_count():
    second = lambda counted: _votes(counted).logits[..., 1].tolist()
    assert second([[1, 1, 1], [1, 1, 1]]) == [[2, -1], [1, 0], [0, 0]]
    assert second([[1, 0, 0], [0, 1, 1]]) == [[1, -4], [4, 0], [0, 0]]


def test_where_no_member_counts_all_do():
    np.testing.assert_array_equal(
        _votes([[0, 1, 0], [0, 1, 0]]).logits, _votes([[1, 1, 1], [1, 1, 1]]).logits
    )


def test_who_counts_changes_no_vote():
    one, other = _votes([[1, 0, 1], [0, 1, 0]]), _votes([[1, 1, 1], [1, 1, 1]])
    for ours, theirs in zip(one[1:], other[1:]):
        np.testing.assert_array_equal(ours, theirs)


def test_logits_of_missing_items_may_be_anything():
    broken = np.where(PRESENT[None, ..., None], LOGITS, np.nan)
    found = votes(broken, PRESENT, np.ones((2, 3), bool))
    for ours, theirs in zip(found, _votes([[1, 1, 1], [1, 1, 1]])):
        np.testing.assert_array_equal(ours, theirs)


def test_agreement_is_the_share_of_the_votes_that_are_cast():
    classes = _votes([[1, 1, 1], [1, 1, 1]]).classes
    np.testing.assert_allclose(agreement(classes, np.array([1, 1, 0])), [3 / 4, 1 / 2, 0])
    np.testing.assert_allclose(agreement(classes, np.array([0, 0, 1])), [1 / 4, 1 / 2, 0])


def test_neighbors_vote_by_their_labels_with_one_pseudo_count():
    neighbors = np.array([[1, 2, 3], [0, 3, -1], [-1, -1, -1], [2, -1, -1]])
    found = votes_of_neighbors(neighbors, np.array([0, 1, 1, -1]), 2)
    shares = [[0.5 / 3, 2.5 / 3], [1.5 / 2, 0.5 / 2], [0.5, 0.5], [0.5 / 2, 1.5 / 2]]
    np.testing.assert_allclose(np.exp(found.logits[:, 0]), shares)
    assert found.member_classes.tolist() == [[1], [0], [0], [1]]
    assert found.modality_classes.shape == (4, 1) and found.classes.shape == (4, 1, 1)


def test_a_row_has_no_vote_on_itself():
    neighbors, labels = np.array([[1, 2], [0, 2], [0, 1]]), np.array([0, 1, 2])
    before = votes_of_neighbors(neighbors, labels, 3).logits[0]
    after = votes_of_neighbors(neighbors, np.array([2, 1, 2]), 3).logits[0]
    np.testing.assert_array_equal(before, after)


def test_probabilities_are_averaged_over_the_modalities_that_a_row_has():
    odds = np.log([[[3.0, 1.0], [1.0, 1.0], [1.0, 4.0]], [[1.0, 1.0], [9.0, 1.0], [1.0, 1.0]]])
    present = np.array([[True, False, False], [True, True, False]])  # [V, N]
    cast = votes(odds[None], present, np.ones((1, 3), bool))
    found = mean_predictions(cast)
    first = [(3 / 4 + 1 / 2) / 2, (1 / 4 + 1 / 2) / 2]
    np.testing.assert_allclose(found, [first, [9 / 10, 1 / 10], [1 / 2, 1 / 2]], rtol=1e-6)
    assert found.dtype == np.float32
