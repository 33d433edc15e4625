"""Noise conventions: exact counts, ranges, determinism, maps, mistakes of the user."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr import noise
from jaxcmr.errors import UsageError

few = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)
rates = st.floats(0, 1, exclude_max=True)


@st.composite
def labels_and_classes(draw):
    num_classes = draw(st.integers(2, 12))
    labels = draw(st.lists(st.integers(0, num_classes - 1), max_size=80))
    return np.array(labels, dtype=np.int64), num_classes


@few
@given(labels_and_classes(), rates, seeds)
def test_symmetric_makes_exactly_the_nominal_number_wrong(data, rate, seed):
    labels, num_classes = data
    record = noise.inject(labels, num_classes, kind="symmetric", rate=rate, seed=seed)
    assert len(record.rows) == round(rate * len(labels))
    assert record.labels.dtype == np.int32
    assert np.all((record.labels >= 0) & (record.labels < num_classes))
    np.testing.assert_array_equal(record.true_labels, labels)


@few
@given(labels_and_classes(), rates, seeds)
def test_symmetric_inclusive_redraws_at_most_the_floor(data, rate, seed):
    labels, num_classes = data
    record = noise.inject(labels, num_classes, kind="symmetric_inclusive", rate=rate, seed=seed)
    assert len(record.rows) <= math.floor(rate * len(labels))
    assert np.all((record.labels >= 0) & (record.labels < num_classes))


@few
@given(labels_and_classes(), rates, seeds)
def test_asymmetric_flips_the_nominal_number_of_every_class_to_the_next(data, rate, seed):
    labels, num_classes = data
    record = noise.inject(labels, num_classes, kind="asymmetric", rate=rate, seed=seed)
    for k in range(num_classes):
        of_class = record.labels[labels == k]
        assert np.sum(of_class == (k + 1) % num_classes) == round(rate * len(of_class))
        assert set(of_class.tolist()) <= {k, (k + 1) % num_classes}


@few
@given(labels_and_classes(), rates, seeds)
def test_asymmetric_half_flips_one_half_of_the_classes_into_the_other(data, rate, seed):
    labels, num_classes = data
    record = noise.inject(labels, num_classes, kind="asymmetric_half", rate=rate, seed=seed)
    sources = np.flatnonzero(record.class_map != np.arange(num_classes))
    targets = record.class_map[sources]
    assert len(sources) == num_classes // 2 == len(set(targets.tolist()))
    assert not set(sources.tolist()) & set(targets.tolist())
    assert set(labels[record.rows].tolist()) <= set(sources.tolist())
    np.testing.assert_array_equal(record.labels[record.rows], record.class_map[labels[record.rows]])
    assert len(record.rows) <= math.floor(rate * len(labels))


@few
@given(labels_and_classes(), rates, seeds, st.sampled_from(noise.KINDS), st.integers(0, 3))
def test_the_same_seed_gives_the_same_labels(data, rate, seed, kind, modalities):
    labels, num_classes = data
    names = tuple("abc"[:modalities])
    draw = lambda: noise.inject(
        labels, num_classes, kind=kind, rate=rate, seed=seed, modalities=names
    )
    first, second = draw(), draw()
    np.testing.assert_array_equal(first.labels, second.labels)
    assert first.labels.shape == ((modalities,) if names else ()) + labels.shape


@pytest.mark.parametrize("kind", noise.KINDS)
def test_rows_without_a_label_get_none_and_change_nothing_for_the_others(kind):
    labels = np.arange(200) % 5
    some = np.where(np.arange(200) % 4 == 1, -1, labels)
    record = noise.inject(some, 5, kind=kind, rate=0.4, seed=3)
    alone = noise.inject(labels[some >= 0], 5, kind=kind, rate=0.4, seed=3)
    np.testing.assert_array_equal(record.labels[some >= 0], alone.labels)
    assert (record.labels[some < 0] == -1).all()
    assert record.actual_rate == alone.actual_rate == len(record.rows) / 150
    nothing = noise.inject(np.full(3, -1), 0, kind=kind, rate=0.4, seed=3)
    assert nothing.labels.tolist() == [-1, -1, -1] and nothing.actual_rate == 0


def test_other_seeds_give_other_labels():
    labels = np.arange(200) % 10
    first, second = (
        noise.inject(labels, 10, kind="symmetric", rate=0.5, seed=seed).labels for seed in (0, 1)
    )
    assert np.any(first != second)


def test_the_words_of_each_convention_at_ten_thousand_labels():
    labels = np.repeat(np.arange(10), 1000)
    wrong = {
        kind: noise.inject(labels, 10, kind=kind, rate=0.4, seed=3).actual_rate
        for kind in noise.KINDS
    }
    assert wrong["symmetric"] == wrong["asymmetric"] == 0.4
    # A binomial of 4,000 draws that hit the true class with 1/10: deviation .0019.
    assert wrong["symmetric_inclusive"] == pytest.approx(0.4 * (1 - 1 / 10), abs=0.008)
    # A hypergeometric of 4,000 of 10,000 rows, half of them in the map: deviation .0039.
    assert wrong["asymmetric_half"] == pytest.approx(0.4 / 2, abs=0.016)


def test_symmetric_noise_is_uniform_over_the_other_classes():
    labels = np.full(9000, 4)
    record = noise.inject(labels, 10, kind="symmetric", rate=0.9, seed=0)
    counts = np.bincount(record.labels[record.rows], minlength=10)
    assert counts[4] == 0
    # 8,100 draws over nine classes: 900 each, deviation 28.
    assert np.all(np.abs(np.delete(counts, 4) - 900) < 5 * 28)


def test_modalities_draw_separately_and_the_pair_disagrees():
    labels = np.repeat(np.arange(10), 100)
    record = noise.inject(
        labels, 10, kind="symmetric", rate=0.4, seed=0, modalities=("image", "text")
    )
    assert not record.shared
    np.testing.assert_array_equal((record.changed).sum(axis=1), [400, 400])
    image, text = record.labels
    assert np.mean(image != text) > 0.4
    # Independent draws: wrong in at least one with 1 - .6^2.
    assert len(record.rows) / 1000 == pytest.approx(1 - 0.6**2, abs=0.05)


def test_modalities_share_the_pairing_of_half_asymmetric_noise():
    labels = np.repeat(np.arange(10), 100)
    record = noise.inject(
        labels, 10, kind="asymmetric_half", rate=0.8, seed=5, modalities=("image", "text")
    )
    for row in record.labels:
        changed = row != labels
        np.testing.assert_array_equal(row[changed], record.class_map[labels[changed]])


def test_a_class_map_in_names_flips_only_the_named_classes():
    names = ("cup", "mug", "chair")
    class_map = noise.class_map_from_names({"cup": "mug", "mug": "cup"}, names)
    assert class_map == {0: 1, 1: 0}
    labels = np.repeat(np.arange(3), 10)
    record = noise.inject(labels, 3, kind="asymmetric", rate=0.3, seed=0, class_map=class_map)
    np.testing.assert_array_equal(record.class_map, [1, 0, 2])
    table = np.zeros((3, 3), int)
    np.add.at(table, (labels, record.labels), 1)
    np.testing.assert_array_equal(table, [[7, 3, 0], [3, 7, 0], [0, 0, 10]])


def test_the_published_map_of_modelnet10():
    names = tuple(sorted(noise.RONO_MODELNET10_MAP))
    class_map = noise.class_map_from_names(noise.RONO_MODELNET10_MAP, names)
    record = noise.inject(
        np.arange(10), 10, kind="asymmetric", rate=0.9, seed=0, class_map=class_map
    )
    flipped = "toilet sofa desk monitor toilet desk bathtub bed toilet dresser"
    assert [names[k] for k in record.labels] == flipped.split()


MISTAKES = {
    "rate 1": (dict(rate=1.0), r"rate is 1\.0"),
    "rate below 0": (dict(rate=-0.1), r"rate is -0\.1"),
    "one modality": (dict(modalities="image"), "give a list of names"),
    "map of a list": (dict(kind="asymmetric", class_map=[1, 0]), "give a dict"),
    "map in fractions": (dict(kind="asymmetric", class_map={0: 1.5}), "a class of the class map"),
    "number of classes": (dict(num_classes=2.5), "num_classes is 2.5"),
    "rate nan": (dict(rate=math.nan), "rate is nan"),
    "kind": (dict(kind="uniform"), "unknown kind of noise 'uniform'"),
    "seed": (dict(seed=-1), "seed is -1"),
    "range": (dict(labels=[0, 1, 5]), "hold 5 in row 2"),
    "negative": (dict(labels=[0, -2, 2]), "hold -2 in row 1"),
    "shape": (dict(labels=[[0, 1]]), r"shape \(1, 2\)"),
    "fraction": (dict(labels=[0.5, 1.0]), "float64"),
    "classes": (dict(num_classes=1, labels=[0]), "at least 2 classes"),
    "map": (dict(kind="asymmetric", class_map={0: 5}), "sends 0 to 5"),
    "map to itself": (dict(kind="asymmetric", class_map={2: 2}), "sends 2 to 2"),
    "map of symmetric": (dict(class_map={0: 1}), "takes no class map"),
    "modalities": (dict(modalities=("image", "image")), "repeat"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(mistake):
    changed, words = MISTAKES[mistake]
    arguments = dict(labels=[0, 1, 2], num_classes=3, kind="symmetric", rate=0.5, seed=0) | changed
    with pytest.raises(UsageError, match=words) as error:
        noise.inject(**arguments)
    assert "\n" not in str(error.value)


def test_an_unknown_class_name_is_named():
    with pytest.raises(UsageError, match="bed, sofa"):
        noise.class_map_from_names({"bed": "sofa"}, ("cup", "mug"))
