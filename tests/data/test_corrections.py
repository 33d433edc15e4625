"""Corrections of labels: which rows and classes a table means, and what it changes."""

import csv
import json
import os
import random

import numpy as np
import pytest

from jaxcmr import data
from jaxcmr.config import default
from jaxcmr.data import cache, correction_tables, corrections, prepare
from jaxcmr.data.own.names import tidy
from jaxcmr.errors import UsageError
from jaxcmr.storage.spreadsheet import safe
from jaxcmr.types import Dataset, Splits

CLASSES = ("bed", "chair", "=sofa")


def _part(name, rows, labels=None, **more):
    items = np.arange(2.0 * rows, dtype=np.float32).reshape(rows, 2)
    labels = np.arange(rows, dtype=np.int32) % 3 if labels is None else np.array(labels, np.int32)
    ids = np.array([f"{name}{row}" for row in range(rows)])
    provenance = {"source": "files", "name": "tiny"}
    inputs = {"image": items, "text": items + 1}
    return Dataset(inputs, labels, None, ids, CLASSES, provenance, **more)


def _splits(**more):
    return Splits(_part("a", 20), _part("t", 4), **more)


@pytest.fixture
def write(tmp_path):
    """Writes a table of corrections; returns its path."""

    def write(text, name="corrections.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return str(path)

    return write


def _answers(path, ids=("a0", "a1", "a2"), classes=CLASSES):
    found = correction_tables.answers(correction_tables.read(path), classes, ids)
    return {name: answer.label for name, answer in found.items()}


def test_a_label_is_a_class_or_drop_or_no_answer(write):
    path = write("note,ID,Label\n,a0,chair\nlook,a1,drop\nagain,a2,\n")
    assert _answers(path) == {
        "a0": 1,
        "a1": correction_tables.DROPPED,
        "a2": correction_tables.NO_ANSWER,
    }
    assert correction_tables.drops(path) == 1 and correction_tables.drops("") == 0


@pytest.mark.parametrize(
    "text, name, encoding",
    [
        ("id;label\r\na0;chair\r\n", "c.csv", "utf-8-sig"),
        ("id\tlabel\r\na0\tchair\r\n", "c.csv", "utf-16"),
        ("id\tlabel\na0\tchair\n", "c.tsv", "utf-8"),
        ('{"id": "a0", "label": "chair"}\n', "c.jsonl", "utf-8"),
        ("sep=;\nlabel;id\nchair ;a0\n", "c.csv", "utf-8"),
    ],
)
def test_a_table_is_read_as_spreadsheets_write_it(write, text, name, encoding):
    assert _answers(write(text, name, encoding)) == {"a0": 1}


def test_cells_that_are_safe_in_a_spreadsheet_mean_what_they_were(write):
    path = write("id,label\n'-a,'=sofa\n=b,=sofa\n'@c,chair\n")
    assert _answers(path, ("-a", "=b", "'@c")) == {"-a": 2, "=b": 2, "'@c": 1}


def test_any_id_and_class_comes_back_from_a_safe_table(tmp_path):
    rng = random.Random(0)
    letters = [*"=+-@\t\r'", *'aä,;"|\n 0.1', "雪", "null"]
    for number in range(60):
        text = lambda: "".join(rng.choices(letters, k=rng.randint(1, 4)))
        ids = sorted({tidy(text()) for _ in range(8)} - {""})
        classes = sorted({tidy(text()) for _ in range(4)} - {""})
        meant = {name: rng.randrange(len(classes)) for name in ids}
        path = tmp_path / f"{number}.csv"
        with open(path, "w", newline="", encoding=rng.choice(["utf-8", "utf-16"])) as file:
            rows = csv.writer(file, delimiter=rng.choice(",;\t"))
            rows.writerow(["id", "label"])
            rows.writerows([safe(name), safe(classes[k])] for name, k in meant.items())
        assert _answers(path, ids, classes) == meant


def test_numbers_may_have_lost_their_zeros_where_one_name_alone_is_meant(write):
    path = write("id,label\n1,3.0\n000020,03\n")
    assert _answers(path, ("000000", "000001", "000020"), ("2", "3")) == {"000001": 1, "000020": 1}
    with pytest.raises(UsageError, match="line 2: no row of the data has the id '1'"):
        _answers(write("id,label\n1,3\n"), ("01", "001"), ("2", "3"))


@pytest.mark.parametrize(
    "text, words",
    [
        ("id,label\nx,bed\na0,bed\ny,bed\n", "line 2: no row .* the id 'x', and 1 more .* 'a0'"),
        ("id,label\nx,\n", "line 2: no row of the data has the id 'x'; they have"),
        ("id,label\na0,Chiar\n", "line 2: the label 'Chiar' is neither .*; did you mean 'chair'?"),
        ("id,label\na0,dorp\n", "line 2: the label 'dorp' .*; did you mean 'drop'?"),
        ("id,label\na0,lamp\n", "'lamp' is neither .*; the classes are 'bed', 'chair', '=sofa'"),
        ("id,label\na0,bed\na1,bed\na0,drop\n",
         "the id 'a0' has two answers, 'bed' in line 2 and 'drop' in line 4; keep one"),
        ("id,label\na0,drop\na0,bed\n", "'drop' in line 2 and 'bed' in line 3"),
        ("id,suggested\na0,bed\n", "no column 'label', only 'id', 'suggested'; .* id and label"),
        ("name,label\na0,bed\n", "no column 'id', only"),
        ("id,label\n", "has no row"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_one_sentence(write, text, words):
    with pytest.raises(UsageError, match=f"corrections.csv.*{words}"):
        _answers(write(text))


def test_the_same_answer_twice_and_an_answer_beside_none_are_one_answer(write):
    assert _answers(write("id,label\na0,\na0,bed\na0,bed\na0,\n")) == {"a0": 0}


def test_drop_is_refused_where_a_class_has_that_name(write):
    classes = ("bed", "drop")
    assert _answers(write("id,label\na0,bed\n"), classes=classes) == {"a0": 0}
    with pytest.raises(UsageError, match=r"line 2: 'drop' may mean .*; rename the class"):
        _answers(write("id,label\na0,drop\n"), classes=classes)


def test_a_file_that_is_not_there_is_one_sentence_before_data_are_looked_for(tmp_path, config):
    config.name, config.corrections = "modelnet10", str(tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"config.data.corrections is .* no such file"):
        data.load(config)


def _run(path, splits, **noise):
    config = default()
    config.noise.update(noise)
    config.data.corrections = path
    record, train, validation, rows = prepare.prepare(splits, config)
    before = train, validation, rows
    return record, before, corrections.correct(path, splits, train, validation, rows)


def test_named_rows_of_all_sets_get_their_labels_after_the_noise_and_dropped_ones_leave(write):
    splits = _splits()
    _, (train, validation, rows), _ = _run("", splits, rate=0.5)
    wrong = np.flatnonzero(train.labels != train.true_labels)
    right = np.flatnonzero(train.labels == train.true_labels)
    name = lambda labels, row: safe(CLASSES[labels[row]])
    lines = [
        f"{train.ids[wrong[0]]},{name(train.true_labels, wrong[0])}",
        f"{train.ids[right[0]]},{name(train.labels, right[0])}",
        f"{train.ids[right[1]]},drop",
        f"{train.ids[wrong[1]]},",
        f"{validation.ids[0]},{name((validation.labels + 1) % 3, 0)}",
        "t0,chair",
        "t3,drop",
    ]
    path = write("id,label\n" + "\n".join(lines) + "\n")
    record, _, (corrected, train_now, validation_now, rows_now) = _run(path, splits, rate=0.5)

    expected = train.labels.copy()
    expected[wrong[0]] = train.true_labels[wrong[0]]
    kept = np.arange(18) != right[1]
    np.testing.assert_array_equal(train_now.labels, expected[kept])
    np.testing.assert_array_equal(train_now.true_labels, train.true_labels[kept])
    np.testing.assert_array_equal(train_now.ids, train.ids[kept])
    np.testing.assert_array_equal(train_now.inputs["text"], train.inputs["text"][kept])
    assert validation_now.labels[0] == (validation.labels[0] + 1) % 3
    assert validation_now.labels[1] == validation.labels[1]
    assert corrected.test.ids.tolist() == ["t0", "t1", "t2"]
    assert corrected.test.labels.tolist() == [1, 1, 2]
    # Noise and split are those of the run without corrections.
    np.testing.assert_array_equal(corrected.train.labels, splits.train.labels)
    np.testing.assert_array_equal(rows_now["train"], rows["train"][kept])
    np.testing.assert_array_equal(rows_now["validation"], rows["validation"])
    np.testing.assert_array_equal(rows_now["ids"], rows["ids"])
    assert len(record.rows) == 10
    for part in (corrected.train, corrected.test, train_now, validation_now):
        assert part.provenance == {
            "source": "files", "name": "tiny",
            "corrections": {"files": {path: cache.sha256(path)}, "relabelled": 3, "confirmed": 1,
                            "dropped": 2, "unanswered": 1},
        }  # fmt: skip
    json.dumps(train_now.provenance)


def test_of_several_tables_the_last_answer_counts(write, tmp_path):
    first = write("id,label\na0,chair\na1,drop\na2,drop\na3,\na4,chair\n", "first.csv")
    second = write("id,label\na0,bed\na1,\na2,'=sofa\na5,drop\na6,\n", "second, better.csv")
    third = write("id,label\na7,drop\n", "third.csv")
    assert correction_tables.paths(second) == [second]
    assert correction_tables.paths("") == correction_tables.paths(" , ") == []
    second = os.rename(second, tmp_path / "second.csv") or str(tmp_path / "second.csv")
    names = f"{first}, {second},{third}"
    assert correction_tables.drops(names) == 4
    parts = {"train": _part("a", 20), "test": _part("t", 4)}
    left, _ = corrections.applied(names, parts)
    assert left["train"].ids.tolist() == [f"a{k}" for k in range(20) if k not in (1, 5, 7)]
    assert left["train"].labels[:4].tolist() == [0, 2, 0, 1]  # a0, a2, a3, a4
    assert left["test"].provenance["corrections"] == {
        "files": {path: cache.sha256(path) for path in (first, second, third)},
        "relabelled": 0, "confirmed": 3, "dropped": 3, "unanswered": 2,
    }  # fmt: skip
    with pytest.raises(UsageError, match=r"corrections is 'none.csv', but there is no such file"):
        corrections.applied(f"{first},none.csv", parts)


def test_rows_that_had_another_label_when_they_were_looked_at_are_counted(write, caplog):
    parts = {"train": _part("a", 20), "test": _part("t", 4)}  # a0 is a bed, a1 a chair, ...
    first = write("id,label,given\na0,chair,bed\na1,,chair\na2,drop,'=sofa\na3,bed,\n", "1.csv")
    second = write("id,label,given\na0,'=sofa,chair\na1,bed,odd\n", "2.csv")
    corrections.applied(f"{first},{second}", parts)
    assert "another label" not in caplog.text
    corrections.applied(f"{second},{first}", parts)  # in the wrong order
    assert f"{second}: 1 of 2 rows have another label than" in caplog.text
    assert "such as 'a0' ('chair' then, 'bed' now)" in caplog.text
    assert f"{first}: 2 of 4 rows" in caplog.text


def test_a_correction_is_for_all_modalities_and_serves_rows_without_a_label(write):
    labels = np.stack([np.arange(20) % 3, np.arange(20) % 3], 1)
    labels[0], labels[1] = (0, 1), (-1, -1)
    parts = {"train": _part("a", 20).with_labels(labels.astype(np.int32)), "test": _part("t", 4)}
    left, kept = corrections.applied(write("id,label\na0,bed\na1,chair\na2,'=sofa\n"), parts)
    assert left["train"].labels[:4].tolist() == [[0, 0], [1, 1], [2, 2], [0, 0]]
    assert left["train"].provenance["corrections"]["relabelled"] == 2
    assert left["train"].provenance["corrections"]["confirmed"] == 1
    assert left["train"].labels.dtype == np.int32 and kept["train"].all()


def test_rows_of_an_official_validation_set_are_dropped_from_it_alone(write):
    splits = _splits(validation=_part("v", 5))
    _, (_, _, rows), (_, train, validation, rows_now) = _run(write("id,label\nv1,drop\n"), splits)
    assert len(train) == 20 and validation.ids.tolist() == ["v0", "v2", "v3", "v4"]
    for name, array in rows.items():
        np.testing.assert_array_equal(rows_now[name], array)


@pytest.mark.parametrize(
    "dropped, words",
    [
        ([f"t{k}" for k in range(4)], "drops 4 of 4 rows of the test set, which needs at least 1"),
        (
            [f"v{k}" for k in range(4)],
            "drops 4 of 5 rows of the validation set, .*; keep more or set config",
        ),
        ([f"a{k}" for k in range(19)], "drops 19 of 20 rows of the training set, .* at least 2"),
        ([f"a{k}" for k in range(20) if k % 3], "training rows of 'bed' alone; .* two classes"),
        (["a3"], "all rows of the training set that have an item of the modality 'text'"),
    ],
)
def test_too_little_left_is_one_sentence(write, dropped, words):
    train = _part("a", 20, present={"text": np.arange(20) == 3})
    splits = Splits(train, _part("t", 4), _part("v", 5))
    path = write("id,label\n" + "".join(f"{name},drop\n" for name in dropped))
    with pytest.raises(UsageError, match=words):
        _run(path, splits)


def test_a_class_without_a_training_row_is_named(write, caplog):
    lines = "".join(f"a{k},chair\n" for k in range(0, 20, 3))
    caplog.set_level("INFO")
    _run(write("id,label\n" + lines), _splits())
    assert "corrections.csv leaves no training row of 'bed'" in caplog.text
    assert "7 labels are corrected, 0 confirmed, 0 rows dropped, 0 without an answer" in caplog.text
