"""`labels.npz` and `labels.csv`, which every run with classes or labels leaves."""

import csv

import numpy as np
import pytest

from jaxcmr.config import method
from jaxcmr.noise import NoiseRecord
from jaxcmr.storage.spreadsheet import unsafe
from jaxcmr.train.run import train_and_evaluate
from jaxcmr.types import UNKNOWN
from jaxcmr.workdir import labels

pytestmark = pytest.mark.slow
NAMES = ("=lamp", "chair", "sofa")
ROWS = 28  # the last four are the test set: too few for linear judges of three classes


@pytest.fixture(scope="module")
def run(tmp_path_factory, real_config):
    """Starts a run of an epoch on vectors; returns its table, as it is read again."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    arrays = {"image": rng.normal(size=(ROWS, 6)), "text": rng.normal(size=(ROWS, 5))}
    arrays["label"] = np.array(NAMES)[np.arange(ROWS) % 3]
    arrays["id"] = np.array([f"-{row}" for row in range(ROWS)])
    arrays["split"] = np.array(["train"] * (ROWS - 4) + ["test"] * 4)
    np.savez(folder / "own.npz", **arrays)

    def run(name, chosen="rono", **fields):
        config = real_config("rono_custom")
        config.data.path = str(folder / "own.npz")
        config.method = method(chosen)
        config.train.epochs, config.encoders.embedding_size = 1, 8
        config.noise.rate = 0.25
        config.update_from_flattened_dict(fields)
        outcome = train_and_evaluate(config, folder / name)
        table = labels.read(folder / name) if config.labels == "given" else outcome.labels
        for field in labels.ARRAYS:
            np.testing.assert_array_equal(getattr(table, field), getattr(outcome.labels, field))
        return table

    run.folder = folder
    return run


def test_a_run_leaves_what_it_believes_of_all_labels(run):
    table = run("plain")
    noise = NoiseRecord.load(run.folder / "plain" / "noise.npz")
    split = np.load(run.folder / "plain" / "split.npz")
    rows = np.r_[split["train"], split["validation"]]
    assert table.ids.tolist() == [f"-{row}" for row in (*rows, 24, 25, 26, 27)]
    np.testing.assert_array_equal(table.given[:24], noise.labels[rows])
    # The noise is put into training labels; what those of the test set are, nobody knows.
    np.testing.assert_array_equal(table.true[:24], rows % 3)
    assert (table.true[24:] == UNKNOWN).all() and table.split[24:].tolist() == ["test"] * 4
    assert (table.given != table.true)[:24].sum() == 6
    train = table.split == "train"
    np.testing.assert_array_equal(table.out_of_fold, ~train)  # the others have not been trained on
    with open(run.folder / "plain" / "labels.csv", newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert tuple(header) == labels.COLUMNS and len(lines) == len(table) == ROWS
    for row, line in enumerate(map(lambda line: dict(zip(header, line)), lines)):
        assert line["id"] == "'" + table.ids[row]
        assert unsafe(line["given"]) == NAMES[table.given[row]]
        assert unsafe(line["suggested"]) == NAMES[table.suggested[row]]
        assert unsafe(line["true"]) == ("" if row >= 24 else NAMES[table.true[row]])
        assert line["out_of_fold"] == ("no" if train[row] else "yes")
        assert float(line["probability_given"]) == pytest.approx(
            table.probability_given[row], abs=1e-4
        )


def test_with_folds_every_label_is_judged_by_a_member_that_was_not_taught_it(run):
    table = run("folds", **{"audit.folds": 2})
    assert table.out_of_fold.all() and table.member_classes.shape == (ROWS, 2)
    assert table.about["folds"] == table.about["members"] == 2


@pytest.mark.slow
def test_mmcd_judges_by_its_own_folds(run):
    table = run("mmcd", "mmcd", **{"ensemble.members": 2, "method.warmup_epochs": 1})
    assert table.out_of_fold.all() and table.about["folds"] == 0


@pytest.mark.slow
def test_a_method_without_classes_lets_neighbors_vote(run):
    table = run("pairs", "pairs")
    assert table.out_of_fold.all() and table.member_classes.shape == (ROWS, 1)
    nearest = table.given[table.neighbors]  # ten of the twenty that vote
    assert nearest.shape == (ROWS, 10) and (nearest >= 0).all()


@pytest.mark.slow
def test_labels_of_each_modality_are_rows_of_their_own(run):
    table = run("apart", **{"noise.per_modality": True, "audit.test": False})
    assert len(table) == 48 and table.modalities == ("image", "text")
    items = [name.rsplit(":", 1) for name in table.ids]
    assert [name for _, name in items] == ["image"] * 24 + ["text"] * 24
    assert [item for item, _ in items[:24]] == [item for item, _ in items[24:]]
    np.testing.assert_array_equal(table.true[:24], table.true[24:])
    assert (table.given[:24] != table.given[24:]).any()
    assert ((table.neighbors < 24) == (np.arange(48) < 24)[:, None]).all()
