"""From a source to a run: noise first, then the split, so that validation carries the noise too."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import paired
import pytest

from jaxcmr import noise
from jaxcmr.beliefs import diagnosis
from jaxcmr.config import default
from jaxcmr.data import prepare
from jaxcmr.errors import UsageError
from jaxcmr.types import Splits


def _config(**fields):
    config = default()
    config.noise.rate = 0.5
    for name, value in fields.items():
        setattr(config.noise, name, value)
    return config


def _splits(**more):
    clean = paired.dataset(rows=200, noise=0.0)
    return Splits(clean, paired.dataset(rows=40, seed=2, noise=0.0), **more)


def test_the_split_covers_every_row_once_and_both_parts_are_noisy():
    record, train, validation, rows = prepare.prepare(_splits(), _config())
    assert len(record.rows) == 100
    assert (len(train), len(validation)) == (180, 20)
    both = np.concatenate([rows["train"], rows["validation"]])
    np.testing.assert_array_equal(np.sort(both), np.arange(200))
    for part, numbers in ((train, rows["train"]), (validation, rows["validation"])):
        np.testing.assert_array_equal(part.labels, record.labels[numbers])
        np.testing.assert_array_equal(part.true_labels, record.true_labels[numbers])
        assert 0.2 < (part.labels != part.true_labels).mean() < 0.8


def test_a_validation_set_of_the_source_is_used_with_a_draw_of_its_own():
    official = paired.dataset(rows=60, seed=5, noise=0.0)
    _, train, validation, rows = prepare.prepare(_splits(validation=official), _config())
    assert len(train) == 200 and len(rows["validation"]) == 0
    np.testing.assert_array_equal(validation.true_labels, official.labels)
    assert (validation.labels != official.labels).sum() == 30


def test_noise_from_a_file_needs_labels_for_both_sets(tmp_path):
    official = paired.dataset(rows=60, seed=5, noise=0.0)
    given = {"train": np.zeros(200, int), "val": np.ones(60, int)}
    np.savez(tmp_path / "labels.npz", **given)
    fields = {"kind": "file", "file": str(tmp_path / "labels.npz"), "key": "train"}
    splits = _splits(validation=official)
    with pytest.raises(UsageError, match="validation_key"):
        prepare.prepare(splits, _config(**fields))
    _, train, validation, _ = prepare.prepare(splits, _config(**fields, validation_key="val"))
    assert not train.labels.any() and validation.labels.all()


def test_asymmetric_noise_takes_ronos_map_on_modelnets_classes_alone():
    with pytest.raises(UsageError, match="class map names"):
        prepare.prepare(_splits(), _config(kind="asymmetric", class_map="rono"))
    record, *_ = prepare.prepare(_splits(), _config(kind="asymmetric"))
    wrong = record.changed
    np.testing.assert_array_equal(
        record.labels[wrong], (record.true_labels[wrong] + 1) % paired.CLASSES
    )


def test_too_few_rows_to_validate_are_a_sentence():
    config = _config()
    config.data.validation = 0.001
    with pytest.raises(UsageError, match=r"leaves 0 of 200 rows to choose .* by; raise it"):
        prepare.prepare(_splits(), config)
    config.data.validation = 0.999
    with pytest.raises(UsageError, match=r"leaves 0 of 200 rows to train on; lower it"):
        prepare.prepare(_splits(), config)


def _without_truth(rows, seed=0):
    return dataclasses.replace(paired.dataset(rows, seed, noise=0.0), true_labels=None)


@pytest.mark.parametrize("kind", [*noise.KINDS, "file"])
@pytest.mark.parametrize("per_modality", [False, True])
def test_labels_before_the_noise_are_the_truth_where_the_source_knows_none(
    kind, per_modality, tmp_path
):
    train, official = _without_truth(200), _without_truth(60, seed=5)
    given = {"train": (train.labels + 1) % 4, "val": (official.labels + 1) % 4}
    if per_modality:
        given = {name: np.stack([labels, labels]) for name, labels in given.items()}
    np.savez(tmp_path / "labels.npz", **given)
    fields = {"kind": kind, "per_modality": per_modality}
    if kind == "file":
        fields |= {"file": str(tmp_path / "labels.npz"), "key": "train", "validation_key": "val"}
    test = _without_truth(40, seed=2)
    record, noisy_train, validation, _ = prepare.prepare(
        Splits(train, test, official), _config(**fields)
    )
    for part, clean in ((noisy_train, train), (validation, official)):
        np.testing.assert_array_equal(part.true_labels, clean.labels)
        wrong = part.true_labels != part.labels.T
        assert wrong.shape[:-1] == ((2,) if per_modality else ()) and wrong.mean() > 0.1
    np.testing.assert_array_equal(record.true_labels, train.labels)
    # Held-out rows carry the truth of their own rows.
    _, train_part, held_out, rows = prepare.prepare(Splits(train, test), _config(**fields))
    np.testing.assert_array_equal(train_part.true_labels, train.labels[rows["train"]])
    np.testing.assert_array_equal(held_out.true_labels, train.labels[rows["validation"]])


def test_no_truth_is_made_up_where_no_noise_is_put_in():
    splits = Splits(_without_truth(200), _without_truth(40, seed=2), _without_truth(60, seed=5))
    for kind in noise.KINDS:
        _, train, validation, _ = prepare.prepare(splits, _config(kind=kind, rate=0.0))
        assert train.true_labels is None and validation.true_labels is None


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_truth_that_the_source_knows_is_kept(rate):
    known = paired.dataset(200, noise=0.25)
    splits = Splits(known, paired.dataset(40, seed=2, noise=0.0))
    record, train, validation, rows = prepare.prepare(splits, _config(rate=rate))
    np.testing.assert_array_equal(record.true_labels, known.labels)
    np.testing.assert_array_equal(train.true_labels, known.true_labels[rows["train"]])
    np.testing.assert_array_equal(validation.true_labels, known.true_labels[rows["validation"]])


def test_such_a_source_has_a_diagnosis_of_believed_labels():
    splits = Splits(_without_truth(200), _without_truth(40, seed=2))
    _, train, _, _ = prepare.prepare(splits, _config())
    beliefs = SimpleNamespace(
        labels=train.labels[None],
        classes=np.stack([train.labels] * 2)[None],
        thresholds=SimpleNamespace(value=np.full((1, 4), 0.5)),
        ballots=SimpleNamespace(value=np.ones((1, len(train)))),
    )
    found = diagnosis.believed_labels(beliefs, train)
    clean = (train.labels == train.true_labels).mean()
    assert found["precision"] == pytest.approx(clean) and found["recall"] == 1


def test_linked_rows_train_or_validate_together():
    pictures = np.arange(200) // 5
    train, validation = prepare.draw_validation(200, {"image": pictures}, 0.1, 0)
    assert len(validation) == 20 and not set(pictures[train]) & set(pictures[validation])
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(200))
    clean = dataclasses.replace(paired.dataset(rows=200, noise=0.0), links={"image": pictures})
    splits = Splits(clean, paired.dataset(rows=40, seed=2, noise=0.0))
    _, part, held, _ = prepare.prepare(splits, _config())
    assert not set(part.links["image"]) & set(held.links["image"])


def test_without_links_the_validation_rows_are_the_first_of_the_draw():
    order = np.random.default_rng([3, prepare.SPLIT_STREAM]).permutation(50)
    train, validation = prepare.draw_validation(50, {}, 0.1, 3)
    assert validation.tolist() == sorted(order[:5]) and train.tolist() == sorted(order[5:])
    assert prepare.draw_validation(50, {}, 0.0, 3)[1].tolist() == []


def test_one_group_that_holds_all_rows_leaves_none_to_validate():
    with pytest.raises(UsageError, match="groups too large to keep one for validation"):
        prepare.draw_validation(50, {"group": np.zeros(50, int)}, 0.1, 0)
    train, validation = prepare.draw_validation(50, {"text": np.zeros(50, int)}, 0.1, 0)
    assert (len(train), len(validation)) == (45, 5)


def test_validation_rows_of_one_label_are_said(caplog):
    splits = _splits()
    train = dataclasses.replace(splits.train, links={"image": np.asarray(splits.train.labels)})
    config = _config(rate=0.0)
    config.data.validation = 0.25
    prepare.prepare(dataclasses.replace(splits, train=train), config)
    assert "validation rows have the same label" in caplog.text
    caplog.clear()
    prepare.prepare(splits, config)
    assert "same label" not in caplog.text


def test_a_class_whose_rows_all_validate_is_said(caplog):
    splits = _splits()
    labels = np.asarray(splits.train.labels)
    groups = np.where(labels == 0, 0, np.arange(200) + 1)
    train = dataclasses.replace(splits.train, links={"group": groups})
    config = _config(rate=0.0)
    config.data.validation = (labels == 0).mean()
    for config.data.seed in range(20):
        prepare.prepare(dataclasses.replace(splits, train=train), config)
    lines = [line for line in caplog.messages if "none is left to train on" in line]
    assert lines and all("all rows of 1 of 4 classes" in line for line in lines)
    assert repr(train.class_names[0]) in lines[0]
