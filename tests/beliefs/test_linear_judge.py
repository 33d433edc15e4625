"""Linear classifiers that judge labels: their gradient, what they may see, and what they find."""

import numpy as np
import pytest

from jaxcmr.beliefs import linear_judge
from jaxcmr.beliefs.linear_judge import out_of_fold_logits, scaled

CLASSES = 3


def _drawn(rows=240, seed=0, wrong=0.3):
    """Draws vectors around three centers, true classes, and labels of which a share is wrong."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, CLASSES, rows)
    vectors = 3.0 * np.eye(CLASSES, 5)[true] + rng.normal(size=(rows, 5))
    other = (true + rng.integers(1, CLASSES, rows)) % CLASSES
    return vectors, true, np.where(rng.random(rows) < wrong, other, true)


def test_the_gradient_is_that_of_finite_differences(monkeypatch):
    vectors, _, given = _drawn(40)
    frequencies = np.array([0.5, 0.3, 0.2])
    kept = []

    def minimize(loss, start, arguments, *method, **options):
        kept.append((loss, arguments))
        raise StopIteration

    monkeypatch.setattr(linear_judge, "minimize", minimize)
    with pytest.raises((StopIteration, RuntimeError)):
        next(linear_judge._path(vectors, given, frequencies, (0.1,)))
    ((loss, (penalty,)),) = kept
    weights = np.random.default_rng(1).normal(size=15).astype(np.float32).astype(float)
    value, gradient = loss(weights, penalty)
    p = np.exp(vectors @ weights.reshape(5, 3))
    p /= p.sum(1, keepdims=True)
    likelihood = 0.7 * p[np.arange(40), given] + 0.3 * frequencies[given]
    expected = -np.log(likelihood).mean() + 0.1 / 2 * (weights**2).sum()
    assert value == pytest.approx(expected, rel=1e-6)
    for place in range(15):
        step = np.zeros(15)
        step[place] = 2.0**-9
        slope = (loss(weights + step, penalty)[0] - loss(weights - step, penalty)[0]) / 2.0**-8
        assert gradient[place] == pytest.approx(slope, rel=1e-2, abs=1e-4)


def test_the_classes_of_wrong_labels_are_found():
    vectors, true, given = _drawn(600)
    logits = out_of_fold_logits(scaled(vectors), given, np.arange(600), CLASSES)
    assert logits.shape == (600, CLASSES) and logits.dtype == np.float32
    found = logits.argmax(1) == true
    assert found.mean() > 0.85 and found[given != true].mean() > 0.8


@pytest.mark.parametrize("size", [1, 4])
def test_the_logits_of_rows_do_not_depend_on_the_labels_of_their_group(size, monkeypatch):
    monkeypatch.setattr(linear_judge, "PENALTIES", linear_judge.PENALTIES[1:2])
    vectors, _, given = _drawn()
    groups = np.arange(240) // size
    before = out_of_fold_logits(scaled(vectors), given, groups, CLASSES)
    for group in (0, 7, 23):
        rows = np.flatnonzero(groups == group)
        changed = given.copy()
        changed[rows] = (changed[rows] + 1) % CLASSES
        after = out_of_fold_logits(scaled(vectors), changed, groups, CLASSES)
        np.testing.assert_array_equal(after[rows], before[rows])
        assert (after != before).any()


def test_the_penalty_is_chosen_by_labels_that_are_held_out():
    """Vectors that say nothing need a strong penalty, and clear ones a weak one."""
    seen, original = [], linear_judge._path

    vectors, true, _ = _drawn(wrong=0.0)
    noise = np.random.default_rng(1).normal(size=(240, 40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_judge, "_path", lambda *a: seen.append(a[3]) or original(*a))
        for x, last in ((5 * vectors, 1e-4), (noise, 3e-3)):
            seen.clear()
            out_of_fold_logits(scaled(x), true, np.arange(240), CLASSES)
            assert seen[0] == linear_judge.PENALTIES
            assert [penalties[-1] for penalties in seen[1:]] == [last] * 5


def test_rows_without_a_label_are_judged_and_teach_nothing():
    vectors, _, given = _drawn()
    without = np.arange(240) % 4 == 0
    x, partly = scaled(vectors), np.where(without, -1, given)
    found = out_of_fold_logits(x, partly, np.arange(240), CLASSES)
    assert np.isfinite(found).all()
    louder = np.where(without[:, None], 100 * x, x)
    same = out_of_fold_logits(louder, partly, np.arange(240), CLASSES)
    np.testing.assert_array_equal(same[~without], found[~without])


def test_copies_in_a_group_get_one_answer():
    vectors, _, given = _drawn(120)
    twice, groups = np.repeat(scaled(vectors), 2, 0), np.repeat(np.arange(120), 2)
    found = out_of_fold_logits(twice, np.repeat(given, 2), groups, CLASSES)
    np.testing.assert_allclose(found[::2], found[1::2], rtol=1e-5)


def test_too_few_labels_have_no_judge():
    vectors, _, given = _drawn(40)
    x, groups = scaled(vectors), np.arange(40)
    fewest = linear_judge.FEWEST * CLASSES
    enough, few = (np.where(groups < rows, given, -1) for rows in (fewest, fewest - 1))
    assert out_of_fold_logits(x, enough, groups, CLASSES) is not None
    assert out_of_fold_logits(x, few, groups, CLASSES) is None
    assert out_of_fold_logits(x, np.full(40, -1), groups, CLASSES) is None


def test_labels_in_too_few_groups_have_no_judge():
    vectors, _, given = _drawn(200)
    groups = np.where(np.arange(200) < 100, np.arange(200) // 50, np.arange(200))
    labelled = np.where(np.arange(200) < 100, given, -1)
    assert out_of_fold_logits(scaled(vectors), labelled, groups, CLASSES) is None


def test_vectors_are_centered_and_scaled_whatever_their_unit():
    vectors, _, given = _drawn(120)
    x = scaled(vectors)
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)
    assert (x.astype(float) ** 2).sum(1).mean() == pytest.approx(1)
    np.testing.assert_allclose(scaled(1e6 * vectors + 3e6), x, atol=1e-5)
    one = out_of_fold_logits(x, given, np.arange(120), CLASSES)
    other = out_of_fold_logits(scaled(1e6 * vectors + 3e6), given, np.arange(120), CLASSES)
    np.testing.assert_allclose(one, other, atol=0.02)
    np.testing.assert_array_equal(scaled(np.ones((4, 3))), np.zeros((4, 3)))


def test_of_many_rows_part_are_fitted_and_all_are_judged(monkeypatch):
    vectors, true, given = _drawn(600)
    monkeypatch.setattr(linear_judge, "FITTED", 200)
    x = scaled(vectors)
    found = out_of_fold_logits(x, given, np.arange(600), CLASSES)
    changed = np.where(np.arange(600) % 3 == 0, given, (given + 1) % CLASSES)
    np.testing.assert_array_equal(out_of_fold_logits(x, changed, np.arange(600), CLASSES), found)
    assert (found.argmax(1) == true).mean() > 0.8
