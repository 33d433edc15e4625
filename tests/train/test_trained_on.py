"""The record of what a run is trained on: it changes with the data, and with nothing else."""

import dataclasses
import json

import numpy as np
import paired
import pytest

from jaxcmr.data import prepare
from jaxcmr.storage.lazy import LazyRows, stored
from jaxcmr.types import Splits
from jaxcmr.workdir import trained_on


def _parts(config=None, **changed):
    """The data of a run as `prepare` leaves them; `changed` are fields of the training set."""
    config = config or paired.config()
    train = dataclasses.replace(paired.dataset(rows=24), **changed)
    splits = Splits(train=train, test=paired.dataset(rows=12, seed=1))
    record, _, _, rows = prepare.prepare(splits, config)
    return config, splits, record, rows


def _differs(was, now):
    """What of the records, read back from JSON, is another."""
    before, after = (json.loads(json.dumps(trained_on.describe(*parts))) for parts in (was, now))
    return trained_on.in_words(name) if (name := trained_on.difference(before, after)) else ""


def test_the_same_data_have_the_same_record():
    assert _differs(_parts(), _parts()) == ""


def test_another_path_another_order_of_bytes_and_a_full_mask_change_nothing():
    train = paired.dataset(rows=24)
    swapped = {n: a.astype(a.dtype.newbyteorder(">")) for n, a in train.inputs.items()}
    moved = {"source": "files", "name": "tiny", "path": "/elsewhere"}
    full = {"image": np.ones(24, bool)}
    assert _differs(_parts(), _parts(inputs=swapped, provenance=moved, present=full)) == ""


def test_every_part_that_changes_is_named():
    train = paired.dataset(rows=24)
    image = train.inputs["image"].copy()
    image[23, 11] += np.float32(1e-6)
    labels, truth = train.labels.copy(), train.true_labels.copy()
    labels[5], truth[5] = (labels[5] + 1) % 4, (truth[5] + 1) % 4
    ids = train.ids.copy()
    ids[[2, 3]] = ids[[3, 2]]
    missing = {"text": np.arange(24) > 0}
    for changed, words in (
        ({"inputs": dict(train.inputs, image=image)}, "the items of the modality 'image' of the"),
        ({"labels": labels}, "the labels of the training set"),
        ({"true_labels": truth}, "the true labels of the training set"),
        ({"ids": ids}, "the ids of the training set"),
        ({"class_names": ("a", "b", "c", "e")}, "the classes"),
        ({"present": missing}, "the missing items of the modality 'text' of the training set"),
    ):
        assert _differs(_parts(), _parts(**changed)).startswith(words)


def test_other_rows_other_noise_and_another_split_are_named():
    config, splits, record, rows = _parts()
    test = dataclasses.replace(splits, test=paired.dataset(rows=13, seed=1))
    assert _differs(_parts(), (config, test, record, rows)) == "the number of rows of the test set"
    alone = dataclasses.replace(splits, validation=splits.test)
    assert "of the validation set" in _differs(_parts(), (config, alone, record, rows))
    assert "of the validation set" in _differs((config, alone, record, rows), _parts())
    wrong = dataclasses.replace(record, labels=(record.labels + 1) % 4)
    assert _differs(_parts(), (config, splits, wrong, rows)) == "the labels after noise"
    other = rows | {"train": rows["train"][1:]}
    assert _differs(_parts(), (config, splits, record, other)) == "the choice of rows for training"


def test_weights_that_change_under_their_name_are_named(tmp_path):
    config = paired.config()
    config.encoders.image.pretrained = str(tmp_path / "weights.npz")
    (tmp_path / "weights.npz").write_bytes(b"one")
    before = trained_on.describe(*_parts(config))
    assert list(before["files"]) == ["encoders.image.pretrained"]
    (tmp_path / "weights.npz").write_bytes(b"two")
    name = trained_on.difference(before, trained_on.describe(*_parts(config)))
    assert trained_on.in_words(name) == "the file config.encoders.image.pretrained"


def test_a_method_file_that_changes_under_its_name_is_named(tmp_path):
    config = paired.config()
    config.method.name = str(tmp_path / "mine.py")
    (tmp_path / "mine.py").write_text("METHOD = 1")
    before = trained_on.describe(*_parts(config))
    (tmp_path / "mine.py").write_text("METHOD = 2")
    name = trained_on.difference(before, trained_on.describe(*_parts(config)))
    assert trained_on.in_words(name) == "the file config.method.name"


def test_corrections_that_change_under_their_name_are_named_before_the_split(tmp_path):
    config, splits, record, rows = _parts()
    config.data.corrections = str(tmp_path / "corrections.csv")
    (tmp_path / "corrections.csv").write_text("id,label\nrow0,a\n")
    before = trained_on.describe(config, splits, record, rows)
    (tmp_path / "corrections.csv").write_text("id,label\nrow0,drop\n")
    fewer = rows | {"train": rows["train"][1:]}
    after = trained_on.describe(config, splits, record, fewer)
    config.data.corrections += f", {tmp_path / 'more.csv'}"
    (tmp_path / "more.csv").write_text("id,label\nrow1,a\n")
    both = trained_on.describe(config, splits, record, fewer)
    assert both["files"]["data.corrections"].split()[0] == after["files"]["data.corrections"]
    without = trained_on.describe(paired.config(), splits, record, rows)
    assert "files" in without and not without["files"]
    for was, now in ((before, after), (after, both), (after, without), (without, after)):
        name = trained_on.difference(was, now)
        assert trained_on.in_words(name) == "the file config.data.corrections"


@pytest.mark.parametrize("kind", ["memory", "disk", "lazy"])
def test_rows_hash_alike_wherever_they_lie(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(trained_on, "BLOCK", 64)
    rows = np.arange(40, dtype=np.float32).reshape(10, 4)
    np.save(tmp_path / "rows.npy", rows)
    on_disk = np.load(tmp_path / "rows.npy", mmap_mode="r")
    array = {"memory": rows, "disk": on_disk, "lazy": stored(on_disk)}[kind]
    assert trained_on.of_array(array) == trained_on.of_array(rows.copy())


def test_of_rows_that_are_too_many_to_read_evenly_spread_ones_count_and_the_record_says_so(
    monkeypatch,
):
    monkeypatch.setattr(trained_on, "WHOLE", 5 * 8)
    rows_read = []

    def read(numbers):
        rows_read.extend(numbers.tolist())
        return numbers[:, None].astype(np.float64)

    found = trained_on.of_array(LazyRows(read, (101, 1), np.float64))
    assert rows_read == [0, 25, 50, 75, 100]
    assert found.endswith(" of 5 of 101 rows")
    shorter = trained_on.of_array(LazyRows(read, (100, 1), np.float64))
    assert shorter.split()[0] != found.split()[0]


def test_a_shape_and_a_kind_count():
    flat = np.zeros(6, np.float32)
    hashes = {trained_on.of_array(a) for a in (flat, flat.reshape(2, 3), flat.astype(np.int32))}
    assert len(hashes) == 3


def test_meshes_count_with_all_their_arrays():
    mesh = {"centers": np.zeros((2, 3)), "mask": np.ones((2, 3), bool)}
    other = mesh | {"mask": np.zeros((2, 3), bool)}
    renamed = {"corners": mesh["centers"], "mask": mesh["mask"]}
    assert len({trained_on._of_items(items) for items in (mesh, other, renamed)}) == 3


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000])
def test_a_damaged_record_is_none(tmp_path, content):
    (tmp_path / "record.json").write_bytes(content)
    assert trained_on.read(tmp_path / "record.json") is None
