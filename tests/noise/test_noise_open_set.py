"""Open-set noise: counts by hand, the same seed the same draw, mistakes of the user."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr import noise
from jaxcmr.errors import UsageError

LABELS = np.repeat(np.arange(5), [10, 20, 30, 40, 50])


def _draw(labels=LABELS, **changed):
    return noise.inject_open_set(labels, 5, **dict(open_classes=2, rate=0.4, seed=3) | changed)


def test_the_share_of_the_rows_of_open_classes_stays_and_no_other_row_changes():
    drawn = _draw()
    record, sizes = drawn.record, np.bincount(LABELS)
    of_open = sizes[drawn.open_classes].sum()
    assert len(drawn.open_classes) == 2 and len(drawn.classes) == record.num_classes == 3
    kept = round(0.4 * of_open)
    assert len(drawn.rows) == 150 - of_open + kept
    assert (record.true_labels == -1).sum() == len(record.rows) == kept
    assert record.actual_rate == kept / len(drawn.rows) and record.rate == 0.4
    assert record.labels.min() == 0 and record.labels.max() == 2
    others = record.true_labels >= 0
    np.testing.assert_array_equal(record.labels[others], record.true_labels[others])
    np.testing.assert_array_equal(drawn.classes[record.labels[others]], LABELS[drawn.rows[others]])
    assert np.isin(LABELS[drawn.rows[~others]], drawn.open_classes).all()


def test_every_other_row_stays_in_its_order():
    drawn = _draw()
    assert (np.diff(drawn.rows) > 0).all()
    left = np.flatnonzero(np.isin(LABELS, drawn.classes))
    np.testing.assert_array_equal(drawn.rows[drawn.record.true_labels >= 0], left)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-1, 4), max_size=60),
    st.integers(1, 3),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 2**32),
)
def test_the_same_seed_gives_the_same_draw_and_a_lower_rate_a_part_of_it(labels, n, rate, seed):
    labels = np.array(labels, int)
    drawn = lambda rate: _draw(labels, open_classes=n, rate=rate, seed=seed)
    first, second, fewer = drawn(rate), drawn(rate), drawn(rate / 2)
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.record.labels, second.record.labels)
    np.testing.assert_array_equal(first.open_classes, fewer.open_classes)
    assert set(fewer.rows) <= set(first.rows)
    same = np.isin(first.rows, fewer.rows)
    np.testing.assert_array_equal(first.record.labels[same], fewer.record.labels)
    assert len(first.record.rows) == round(rate * np.isin(labels, first.open_classes).sum())


def test_other_seeds_take_out_other_classes_each_as_often():
    taken = [tuple(_draw(seed=seed).open_classes) for seed in range(400)]
    counts = np.bincount(np.ravel(taken), minlength=5)
    # 800 of five classes: 160 each, deviation 10.
    assert (np.abs(counts - 160) < 50).all() and len(set(taken)) == 10


def test_the_labels_of_open_rows_are_uniform_over_the_others():
    labels = np.repeat(np.arange(3), [8000, 10, 10])
    seed = next(seed for seed in range(20) if _three(labels, seed).open_classes == [0])
    counts = np.bincount(_three(labels, seed).record.labels, minlength=2)
    # 7,200 draws over two classes, and the ten rows of each: deviation 42.
    assert counts.sum() == 7220 and abs(counts[0] - counts[1]) < 5 * 85


def _three(labels, seed):
    return noise.inject_open_set(labels, 3, rate=0.9, seed=seed)


def test_a_rate_of_0_leaves_no_row_of_an_open_class():
    drawn = _draw(rate=0.0)
    assert drawn.record.actual_rate == 0 and (drawn.record.true_labels >= 0).all()
    np.testing.assert_array_equal(drawn.rows, np.flatnonzero(np.isin(LABELS, drawn.classes)))


def test_rows_without_a_label_stay_and_get_none():
    labels = np.where(np.arange(150) % 3 == 0, -1, LABELS)
    drawn = _draw(labels)
    none = labels[drawn.rows] < 0
    assert none.sum() == 50 and (drawn.record.labels[none] == -1).all()
    labelled = (drawn.record.labels >= 0).sum()
    assert drawn.record.actual_rate == len(drawn.record.rows) / labelled


def test_labels_are_numbered_anew_and_those_of_open_classes_are_none():
    drawn = _draw()
    numbers = drawn.renumbered(np.array([*drawn.classes, *drawn.open_classes, -1, -2]))
    assert numbers.tolist() == [0, 1, 2, -1, -1, -1, -2]


def test_a_record_survives_its_file(tmp_path):
    record = _draw().record
    record.save(tmp_path / "noise.npz")
    loaded = noise.NoiseRecord.load(tmp_path / "noise.npz")
    np.testing.assert_array_equal(loaded.labels, record.labels)
    np.testing.assert_array_equal(loaded.true_labels, record.true_labels)
    assert loaded.summary() == record.summary() and loaded.kind == "open_set"


MISTAKES = {
    "rate": (dict(rate=1.0), r"rate is 1\.0"),
    "classes": (dict(open_classes=4), "of 5 classes 4 would be taken out, but at least 2"),
    "no class": (dict(open_classes=0), "open_classes is 0"),
    "half a class": (dict(open_classes=1.5), "open_classes is 1.5"),
    "range": (dict(labels=[0, 5]), "hold 5 in row 1"),
    "shape": (dict(labels=[[0]]), r"shape \(1, 1\)"),
    "seed": (dict(seed=-1), "seed is -1"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake):
    changed, words = MISTAKES[mistake]
    with pytest.raises(UsageError, match=words) as error:
        _draw(**changed)
    assert "\n" not in str(error.value)
