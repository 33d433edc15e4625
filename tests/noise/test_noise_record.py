"""Records of noise on disk, and labels from a user's file."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr import noise
from jaxcmr.errors import UsageError
from jaxcmr.noise.record import NoiseRecord
from jaxcmr.noise.transition import inject_transition


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("noise")


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from((*noise.KINDS, "transition")),
    st.integers(2, 6),
    st.integers(0, 30),
    st.integers(0, 2**40),
    st.sampled_from(((), ("image", "text"), ("a", "b", "ç"))),
)
def test_a_record_survives_its_file(folder, kind, num_classes, size, seed, modalities):
    labels = np.arange(size) % num_classes
    labels[seed % 5 :: 7] = -1
    if kind == "transition":
        matrix = np.full((num_classes, num_classes), 1 / num_classes)
        record = inject_transition(labels, matrix, seed=seed, modalities=modalities)
    else:
        record = noise.inject(
            labels, num_classes, kind=kind, rate=0.4, seed=seed, modalities=modalities
        )
    record.save(folder / "noise.npz")
    loaded = NoiseRecord.load(folder / "noise.npz")
    for name in ("labels", "true_labels", "class_map", "transition", "rows"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(record, name))
    assert loaded.labels.dtype == np.int32
    assert loaded.summary() == record.summary()
    assert [path.name for path in folder.iterdir()] == ["noise.npz"]


def test_the_file_speaks_for_itself(tmp_path):
    labels = np.arange(10) % 5
    record = noise.inject(labels, 5, kind="symmetric", rate=0.3, seed=7)
    record.save(tmp_path / "noise.npz")
    with np.load(tmp_path / "noise.npz") as arrays:
        np.testing.assert_array_equal(arrays["rows"], np.flatnonzero(arrays["labels"] != labels))
        assert arrays["actual_rate"] == arrays["rate"] == 0.3
        assert arrays["seed"] == 7 and arrays["shared"] and str(arrays["kind"]) == "symmetric"
        assert "class_map" not in arrays


def test_a_file_that_contradicts_itself_is_refused(tmp_path):
    record = noise.inject(np.arange(10) % 5, 5, kind="symmetric", rate=0.3, seed=7)
    path = tmp_path / "noise.npz"
    record.save(path)
    with np.load(path) as arrays:
        content = dict(arrays)
    np.savez(path, **(content | {"rows": content["rows"][:-1]}))
    with pytest.raises(UsageError, match="lists 2 changed rows but its labels differ in 3"):
        NoiseRecord.load(path)
    np.savez(path, **(content | {"labels": content["labels"][:-1]}))
    with pytest.raises(UsageError, match=r"shape \(9,\) where \(10,\)"):
        NoiseRecord.load(path)
    np.savez(path, labels=content["labels"])
    with pytest.raises(UsageError, match="no noise record"):
        NoiseRecord.load(path)


def test_a_file_of_any_layout_gives_its_labels(tmp_path):
    true, given_labels = np.array([0, 1, 2, 0]), np.array([0, 2, 2, 1])
    layouts = {
        "vector": given_labels.astype(np.int8),
        "column": given_labels[:, None],
        "row": given_labels[None, :].astype(float),
    }
    for name, array in layouts.items():
        np.save(tmp_path / f"{name}.npy", array)
        record = noise.from_file(tmp_path / f"{name}.npy", true, 3)
        np.testing.assert_array_equal(record.labels, given_labels)
        np.testing.assert_array_equal(record.rows, [1, 3])
        assert (record.kind, record.rate, record.seed) == ("file", 0.5, None)
    np.savez(tmp_path / "two.npz", train_20=true, train_40=given_labels)
    record = noise.from_file(tmp_path / "two.npz", true, 3, key="train_40")
    np.testing.assert_array_equal(record.labels, given_labels)


def test_a_row_without_a_label_gets_none_from_a_file_and_may_get_none_by_it(tmp_path):
    np.save(tmp_path / "a.npy", np.array([1, 1, -1, 0]))
    record = noise.from_file(tmp_path / "a.npy", np.array([0, -1, 1, 0]), 2)
    assert record.labels.tolist() == [1, -1, -1, 0]
    assert record.rows.tolist() == [0] and record.rate == 1 / 2
    np.save(tmp_path / "a.npy", np.array([5.0, -1, 70, 70]))
    names = {"class_names": ("5", "9", "70")}
    record = noise.from_file(tmp_path / "a.npy", np.array([0, 0, 2, 2]), 3, **names)
    assert record.labels.tolist() == [0, -1, 2, 2] and record.rate == 0


def test_a_single_row_is_one_label(tmp_path):
    np.save(tmp_path / "one.npy", np.array([[1]]))
    assert noise.from_file(tmp_path / "one.npy", np.array([0]), 2).labels.tolist() == [1]


def test_a_file_may_hold_labels_per_modality(tmp_path):
    np.save(tmp_path / "both.npy", np.array([[0, 1, 1], [2, 1, 0]]))
    record = noise.from_file(
        tmp_path / "both.npy", np.array([0, 1, 2]), 3, modalities=("image", "text")
    )
    assert record.labels.tolist() == [[0, 1, 1], [2, 1, 0]]
    assert record.rows.tolist() == [0, 2]
    assert record.actual_rate == 3 / 6


@pytest.mark.parametrize(
    ("given", "class_names", "labels"),
    [
        ([1, 3, 2, 1], ("1", "2", "3"), [0, 2, 1, 0]),  # names
        ([0, 2, 1, 0], ("1", "2", "3"), [0, 2, 1, 0]),  # numbers from 0
        ([5.0, 70.0, 5.0, 70.0], ("5", "9", "70"), [0, 2, 0, 2]),
        (["b", "c", "a", "a"], ("a", "b", "c"), [1, 2, 0, 0]),
        (["1", "2", "1", "2"], ("1", "2", "3"), [0, 1, 0, 1]),
        ([1, 2, 1, 2], ("0", "1", "2"), [1, 2, 1, 2]),
        ([1, 2, 1, 2], ("a", "b", "c"), [1, 2, 1, 2]),
    ],
)
def test_labels_of_a_file_may_be_the_names_of_classes(tmp_path, given, class_names, labels):
    np.save(tmp_path / "a.npy", np.array(given)[:, None])
    record = noise.from_file(tmp_path / "a.npy", np.zeros(4, int), 3, class_names=class_names)
    assert record.labels.tolist() == labels


@pytest.mark.parametrize(
    ("given", "class_names", "message"),
    [
        ([1, 2, 2, 1], ("1", "2", "3"), "holds 1 to 2, which may be the classes of these names or"),
        (["a", "x", "b", "a"], ("a", "b", "c"), "holds the label 'x', which is no class; use"),
        ([0, 1, 3, 1], ("1", "2", "3"), "hold 3 in row 2, outside 0 to 2"),
    ],
)
def test_labels_of_a_file_that_can_mean_two_things_are_refused(
    tmp_path, given, class_names, message
):
    np.save(tmp_path / "a.npy", np.array(given))
    with pytest.raises(UsageError, match=message):
        noise.from_file(tmp_path / "a.npy", np.zeros(4, int), 3, class_names=class_names)


MISTAKES = {
    "length": (np.array([0, 1]), {}, "for 3 training rows"),
    "range": (np.array([1, 2, 3]), {}, "hold 3 in row 2.*count the classes from 0"),
    "kind": (np.array(["a", "b", "c"]), {}, "give whole numbers"),
    "shape": (np.zeros((3, 3), int), {}, r"\(3, 3\)"),
    "modalities": (np.zeros((3, 3), int), {"modalities": ("a", "b")}, "2 modalities"),
    "pickle": (np.array([0, None, 2], dtype=object), {}, "cannot be read"),
    "key": (np.array([0, 1, 2]), {"key": "train"}, "it has no 'train'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_file_is_one_sentence(mistake, tmp_path):
    array, options, words = MISTAKES[mistake]
    np.save(tmp_path / "labels.npy", array, allow_pickle=True)
    with pytest.raises(UsageError, match=words) as error:
        noise.from_file(tmp_path / "labels.npy", np.array([0, 1, 2]), 3, **options)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_missing_key_are_named(tmp_path):
    with pytest.raises(UsageError, match="no file at"):
        noise.from_file(tmp_path / "absent.npz", np.array([0]), 2)
    np.savez(tmp_path / "two.npz", a=[0], b=[1])
    with pytest.raises(UsageError, match="no key was given; use one of the keys a, b"):
        noise.from_file(tmp_path / "two.npz", np.array([0]), 2)
    (tmp_path / "text.npz").write_text("0 1 2")
    with pytest.raises(UsageError, match="cannot be read"):
        noise.from_file(tmp_path / "text.npz", np.array([0]), 2)
    with pytest.raises(UsageError, match="rename it"):
        noise.inject([0, 1], 2, kind="symmetric", rate=0.5, seed=0).save(tmp_path / "noise.txt")


def test_published_noisy_labels_of_3d_mnist(shared):
    data = shared / "data" / "mnist"
    idx = gzip.decompress((data / "train-labels-idx1-ubyte.gz").read_bytes())
    true = np.frombuffer(idx, np.uint8, offset=8)[:5000]
    for percent, rate in ((20, 0.206), (40, 0.376), (60, 0.567), (80, 0.783)):
        record = noise.from_file(data / "rono_noisy_labels.npz", true, 10, key=f"train_{percent}")
        assert record.actual_rate == pytest.approx(rate, abs=5e-4)


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("num_classes", [3], "'num_classes' is not a whole number"),
        ("num_classes", "x", "'num_classes' is not a whole number"),
        ("rate", np.nan, "'rate' is not a number"),
        ("rate", 1 + 2j, "'rate' is not a number"),
        ("seed", [], "'seed' is not a whole number"),
        ("kind", 3.0, "'kind' is not text"),
        ("class_map", np.zeros(2), r"'class_map' has shape \(2,\)"),
        ("transition", np.full((3, 3), np.nan), r"'transition' has shape \(3, 3\) \(float64\)"),
        ("labels", 1, "holds labels of shape"),
        ("modalities", "a", "holds labels of shape"),
    ],
)
def test_a_record_whose_parts_are_no_record_is_refused(tmp_path, name, value, words):
    path = tmp_path / "noise.npz"
    noise.inject(np.arange(6) % 3, 3, rate=0.5, seed=0).save(path)
    np.savez(path, **(dict(np.load(path)) | {name: np.array(value)}))
    with pytest.raises(UsageError, match=words):
        NoiseRecord.load(path)
