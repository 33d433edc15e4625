"""Folds: from which members labels are hidden, and whose votes count."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr.beliefs import folds

KEY = jax.random.key(3)
ROWS = jnp.arange(3000)
ALL_ALIVE = [True] * 5


def _drawn(voters, alive, held_out_members=1, share=0.5, rows=ROWS):
    return folds.draw(voters, KEY, rows, jnp.asarray(alive), held_out_members, share)


def _hidden(alive, held_out_members):
    return np.asarray(_drawn("out_of_fold", alive, held_out_members).hidden)


def _first() -> np.ndarray:
    """The member that is drawn for each row."""
    return np.floor(np.asarray(folds.row_draws(KEY, ROWS)) * 5).astype(int)


def test_draws_depend_on_the_row_alone():
    some = jnp.array([5, 0, 17, 5])
    np.testing.assert_array_equal(folds.row_draws(KEY, some), folds.row_draws(KEY, ROWS)[some])


def test_every_label_is_hidden_from_as_many_members():
    hidden = _hidden(ALL_ALIVE, 2)
    np.testing.assert_array_equal(hidden.sum(0), 2)
    np.testing.assert_allclose(hidden.mean(1), 0.4, atol=0.04)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_with_all_alive_members_follow_the_drawn_one_in_a_circle(count):
    expected = (np.arange(5)[:, None] - _first()) % 5 < count
    np.testing.assert_array_equal(_hidden(ALL_ALIVE, count), expected)


def test_dead_members_are_passed_over():
    alive, first = np.array([False, True, True, False, True]), _first()
    hidden = _hidden(alive, 2)
    np.testing.assert_array_equal(hidden.sum(0), 2)
    for start, chosen in ((0, [1, 2]), (1, [1, 2]), (2, [2, 4]), (3, [1, 4]), (4, [1, 4])):
        assert np.flatnonzero(hidden[:, first == start][:, 0]).tolist() == chosen
    as_before = alive[first]
    expected = _hidden(ALL_ALIVE, 1)[:, as_before]
    np.testing.assert_array_equal(_hidden(alive, 1)[:, as_before], expected)


def test_with_folds_hidden_members_vote_and_all_votes_are_out_of_fold():
    found = _drawn("out_of_fold", [True] * 3)
    np.testing.assert_array_equal(found.hidden, found.voting)
    assert found.out_of_fold.all() and found.count == 1


@pytest.mark.parametrize("voters, alive", [("all", [True, True, False]), ("peers", [True] * 3)])
def test_without_folds_a_share_of_the_labels_is_hidden_from_all(voters, alive):
    found = _drawn(voters, alive)
    np.testing.assert_array_equal(found.hidden, [folds.row_draws(KEY, ROWS) < 0.5] * 3)
    np.testing.assert_allclose(found.hidden.mean(), 0.5, atol=4 * np.sqrt(0.25 / len(ROWS)))
    np.testing.assert_array_equal(found.out_of_fold, found.hidden)
    np.testing.assert_array_equal(found.voting.all(1), alive)
    assert found.count == sum(alive)


def test_too_few_members_for_folds_all_vote():
    for alive in ([True], [True, False, False]):
        found, plain = _drawn("out_of_fold", alive), _drawn("all", alive)
        jax.tree.map(np.testing.assert_array_equal, found, plain)
    found, plain = _drawn("out_of_fold", [True, True], 2), _drawn("all", [True, True])
    jax.tree.map(np.testing.assert_array_equal, found, plain)


def test_the_mean_is_over_the_voters_that_are_there():
    """Two members, two modalities: one member of each row votes, and one item is missing."""
    values = jnp.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])
    voting = jnp.array([[True, False], [False, True]])
    found = folds.Folds(voting, voting, voting, 1)
    present, alive = jnp.array([[True, True], [True, False]]), jnp.ones(2, bool)
    mean = folds.vote_mean("out_of_fold", found, values, present, alive)
    np.testing.assert_allclose(mean, [[2.0, 6.0]] * 2)
    np.testing.assert_allclose(
        folds.vote_mean("peers", found, values, present, alive), [[6.0, 6.0], [2.0, 2.0]]
    )


def test_wrong_arguments_are_named():
    for arguments, words in (
        ({"share": 1.5}, "held_out_share is 1.5"),
        ({"held_out_members": 0}, "held_out_members is 0"),
        ({"rows": ROWS.astype(float)}, "index are float"),
    ):
        with pytest.raises(ValueError, match=words):
            _drawn("out_of_fold", ALL_ALIVE, **arguments)
