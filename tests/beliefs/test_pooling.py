"""Pooled voters: the weights of their logits, by the likelihood of given labels."""

import numpy as np
import pytest

from jaxcmr.beliefs import pooling
from jaxcmr.beliefs.pooling import pooled

RNG = np.random.default_rng(0)
ROWS, CLASSES = 800, 4
TRUE = RNG.integers(0, CLASSES, ROWS)
GIVEN = np.where(RNG.random(ROWS) < 0.3, RNG.integers(0, CLASSES, ROWS), TRUE)


def _voter(skill: float) -> np.ndarray:
    return skill * np.eye(CLASSES)[TRUE] + RNG.normal(size=(ROWS, CLASSES))


GOOD, FAIR, USELESS = _voter(3.0), _voter(2.0), _voter(0.0)
WRONG = -_voter(3.0)


def _weights(voters, given=GIVEN):
    """The weights by which the pooled logits are a sum of the voters'."""
    columns = np.stack([voter.ravel() for voter in voters], 1)
    weights, *_ = np.linalg.lstsq(columns, pooled(voters, given).ravel(), rcond=None)
    np.testing.assert_allclose(columns @ weights, pooled(voters, given).ravel(), atol=1e-6)
    return weights


def test_the_gradient_is_that_of_finite_differences(monkeypatch):
    kept = []

    def minimize(loss, start, **options):
        kept.append(loss)
        raise StopIteration

    monkeypatch.setattr(pooling, "minimize", minimize)
    with pytest.raises(StopIteration):
        pooled([GOOD, FAIR], GIVEN)
    at = np.array([0.7, 1.3, 0.2])
    _, gradient = kept[0](at)
    for place in range(3):
        step = 1e-5 * np.eye(3)[place]
        slope = (kept[0](at + step)[0] - kept[0](at - step)[0]) / 2e-5
        assert gradient[place] == pytest.approx(slope, rel=1e-6)


def test_one_voter_is_taken_as_it_is():
    assert pooled([GOOD], GIVEN) is GOOD


def test_the_better_voter_has_more_weight_and_a_useless_one_nearly_none():
    good, fair, useless = _weights([GOOD, FAIR, USELESS])
    assert good > fair > 10 * useless >= 0


def test_two_voters_know_more_than_one():
    right = lambda logits: (logits.argmax(1) == TRUE).mean()
    assert right(pooled([GOOD, FAIR], GIVEN)) > max(right(GOOD), right(FAIR)) + 0.01


def test_no_weight_is_negative():
    good, wrong = _weights([GOOD, WRONG])
    assert good > 0.1 and wrong == pytest.approx(0, abs=1e-9)


def test_the_scale_of_a_voter_does_not_matter():
    one, other = pooled([GOOD, FAIR], GIVEN), pooled([100 * GOOD, FAIR], GIVEN)
    np.testing.assert_allclose(one, other, rtol=1e-2, atol=1e-2)


def test_rows_without_a_label_do_not_count():
    given = np.where(np.arange(ROWS) % 2, GIVEN, -1)
    broken = np.where(given[:, None] < 0, 50.0 * WRONG, GOOD)
    np.testing.assert_allclose(
        _weights([GOOD, FAIR], given),
        _weights([GOOD[1::2], FAIR[1::2]], GIVEN[1::2]),
        rtol=1e-6,
    )
    assert pooled([broken, FAIR], given)[1::2].argmax(1).tolist() == (
        pooled([GOOD, FAIR], given)[1::2].argmax(1).tolist()
    )


def test_without_any_label_voters_count_alike():
    np.testing.assert_allclose(pooled([GOOD, FAIR], np.full(ROWS, -1)), (GOOD + FAIR) / 2)


def test_voters_that_say_nothing_at_all_are_finite():
    nothing = np.zeros((ROWS, CLASSES))
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_array_equal(pooled([nothing, nothing], GIVEN), nothing)
        assert np.isfinite(pooled([nothing, GOOD], GIVEN)).all()
