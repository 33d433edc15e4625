"""What is in a data set, shown: names as they are, and items that exist."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from jaxcmr.data import describe, draw_sheet, summary
from jaxcmr.errors import UsageError
from jaxcmr.types import Dataset, Splits

HOSTILE = ("$$", "手册", "two\nlines", "\ud800", "W" * 300, "👩\u200d👧", "שלום")


def _dataset(names=("a", "b"), present=None, rows=14) -> Dataset:
    inputs = {"image": np.zeros((rows, 4, 4, 1), np.uint8), "text": np.zeros((rows, 3), np.float32)}
    ids = np.array([f"row{i}" for i in range(rows)])
    labels = np.arange(rows) % len(names)
    return Dataset(inputs, labels, None, ids, names, {}, present or {})


def test_names_of_any_kind_have_a_row_of_the_sheet(tmp_path):
    draw_sheet(_dataset(HOSTILE), tmp_path / "sheet.png", per_class=1, size=32)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    assert sheet.shape == (len(HOSTILE) * 32, summary.LABEL + 2 * 32)
    names = sheet[:, : summary.LABEL].reshape(len(HOSTILE), 32, summary.LABEL)
    assert (names.min((1, 2)) < 128).all()  # something is written in each
    assert (names[:, :, -3:] > 250).all()  # and nothing runs into the pictures


def test_names_of_any_kind_keep_the_columns_of_the_table():
    data = _dataset(HOSTILE)
    lines = describe(Splits(data, data)).splitlines()[-len(HOSTILE) - 1 :]
    assert lines[0].split() == ["class", "train", "test"]
    assert [line.split()[-2:] for line in lines[1:]] == [["2", "2"]] * len(HOSTILE)
    assert r"two\nlines" in lines[3] and r"\ud800" in lines[4] and lines[5].startswith("WWW")


def test_a_missing_item_is_white_whatever_stands_in_its_place():
    data = _dataset(present={"text": np.arange(14) > 0})
    data.inputs["text"][0] = np.nan
    data.inputs["text"][1] = [0, 1, 2]
    image, missing = summary._tiles(data, 0, 8)
    assert (missing == 255).all() and (image == 0).all()
    assert (summary._tiles(data, 1, 8)[1] == 0).any()


def test_labels_that_differ_from_the_true_ones_are_counted():
    train = dataclasses.replace(_dataset(), true_labels=np.zeros(14, np.int32))
    said = describe(Splits(train, _dataset()))
    assert said.count("7 of their labels differ from the true ones") == said.count("differ") == 1


def test_rows_without_a_label_are_counted_and_in_no_class(tmp_path):
    labels = np.array([-1, 0, 1, 1] + [0] * 10)
    part = dataclasses.replace(_dataset(), labels=labels, true_labels=np.zeros(14, np.int32))
    said = describe(Splits(part, _dataset()))
    assert said.count("1 of them without a label") == said.count("without a label") == 1
    assert "2 of their labels differ from the true ones" in said
    assert said.splitlines()[-2].split() == ["a", "11", "7"]
    draw_sheet(part, tmp_path / "sheet.png", size=8)
    with pytest.raises(UsageError, match="the data name no class"):
        draw_sheet(dataclasses.replace(part, class_names=()), tmp_path / "sheet.png")


@pytest.mark.parametrize(
    "count, rows", [(2, [2, 4]), (3, [0, 2, 4, 6])], ids=["enough", "too few whole ones"]
)
def test_samples_that_lack_nothing_come_first(count, rows):
    data = _dataset(present={"text": np.isin(np.arange(14), [2, 4])})
    chosen = summary._most_complete(data, np.array([0, 2, 4, 6]), count)
    assert chosen.tolist() == rows
