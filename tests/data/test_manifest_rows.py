"""A manifest's columns, missing cells and shared items: nothing is dropped in silence."""

import csv
import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxcmr import data
from jaxcmr.data.own import manifest
from jaxcmr.errors import UsageError

TEXTS = ["a red pot", "a blue pan", "one green cup", "the red lid", "my blue box"]


@pytest.fixture
def load(config, tmp_path):
    """`(rows, modalities, name="items.csv") -> Splits`, of a manifest of these rows."""

    def read(rows, modalities=("text",), name="items.csv"):
        path = tmp_path / name
        if path.suffix == ".jsonl":
            path.write_text("\n".join(map(json.dumps, rows)))
        else:
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, rows[0])
                writer.writeheader()
                writer.writerows(rows)
        config.name, config.path, config.modalities = "manifest", str(path), modalities
        return data.load(config, workers=1)

    return read


@pytest.fixture
def pictures(tmp_path):
    """`(name, shade)`: writes a picture of one grey."""
    return lambda name, shade: Image.new("L", (4, 4), shade).save(tmp_path / name)


def rows_of(count, **columns):
    """Rows of two classes with texts of their own, two of five for the test."""
    rows = [
        {
            "label": "ab"[k % 2],
            "text": f"{TEXTS[k % 5]} number{k}",
            "split": "test" if k % 5 > 2 else "train",
        }
        for k in range(count)
    ]
    return [
        {**row, **{name: values[k] for name, values in columns.items()}}
        for k, row in enumerate(rows)
    ]


def test_columns_are_found_in_any_case_and_with_blanks(load):
    rows = [{f" {k.title()} ": v for k, v in row.items()} for row in rows_of(10)]
    splits = load(rows)
    assert (len(splits.train), len(splits.test)) == (6, 4)
    assert splits.train.class_names == ("a", "b")


def test_what_is_not_used_is_named_and_counted_in_one_line(load, caplog):
    rows = rows_of(10, price=["1"] * 10, Txet=["x"] * 10)
    rows.insert(3, dict.fromkeys(rows[0], ""))
    splits = load(rows)
    lines = [line for line in caplog.messages if "not used" in line]
    assert len(lines) == 1
    assert "not used: 2 columns (price, Txet), " in lines[0]
    assert "1 row without a filled cell (line 5)" in lines[0]
    # Rows keep the numbers that they have in the file.
    ids = sorted([*splits.train.ids, *splits.test.ids])
    assert len(ids) == 10 and ids[2:4] == ["000002", "000004"]


def test_a_misspelt_column_is_named_with_the_right_one(load):
    rows = [{"lable" if k == "label" else k: v for k, v in row.items()} for row in rows_of(10)]
    with pytest.raises(UsageError, match=r"no column 'label', only lable, .*; did you mean"):
        load(rows)


def test_a_misspelt_optional_column_is_named_with_the_right_one(load, caplog):
    load(rows_of(10, true_lable=["a"] * 10))
    assert "1 column (true_lable - did you mean 'true_label'?)" in caplog.text


@pytest.mark.parametrize("name", ["true_label", "true_labels", "True_Labels"])
def test_both_spellings_of_true_labels_are_taken(load, name):
    splits = load(rows_of(10, **{name: list("aabbaabbab")}))
    assert splits.train.true_labels.tolist() == [0, 0, 1, 0, 1, 1]
    assert splits.test.true_labels.tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("name", ["items.csv", "items.jsonl"])
@pytest.mark.parametrize("word", ["nan", "NA", "None", "null", "<NA>"])
def test_a_label_that_may_stand_for_nothing_is_refused_with_its_line(load, name, word):
    rows = rows_of(10)
    rows[2]["label"] = word
    line = 4 if name == "items.csv" else 3
    with pytest.raises(UsageError, match=f"line {line}: the cell 'label' is .* leave it empty"):
        load(rows, name=name)


@pytest.mark.parametrize("name", ["items.csv", "items.jsonl"])
@pytest.mark.parametrize("value", ["", " ", None, float("nan")])
def test_an_empty_label_is_none(load, name, value):
    if name == "items.csv" and value != value:
        value = ""  # as pandas writes it
    rows = rows_of(10)
    for row in (0, 2, 8):
        rows[row]["label"] = value
    splits = load(rows, name=name)
    assert splits.train.labels.tolist() == [-1, 1, -1, 1, 0, 1]
    assert splits.test.labels.tolist() == [1, 0, -1, 1]
    assert splits.train.class_names == ("a", "b")
    assert splits.train.provenance["without_label"] == 2
    assert splits.test.provenance["without_label"] == 1


def test_a_row_without_a_label_may_have_a_true_one(load):
    rows = rows_of(10, true_label=list("abababbaba"))
    rows[1]["label"] = ""
    train = load(rows).train
    assert train.labels[1] == -1 and train.true_labels[1] == 1
    rows[2]["true_label"] = ""
    with pytest.raises(UsageError, match="line 4: the cell 'true_label' is missing or empty"):
        load(rows)


def test_rows_without_a_label_train_where_the_split_is_drawn(load):
    rows = [{"label": "ab"[k % 2] if k % 3 else "", "text": f"{k} x"} for k in range(60)]
    splits = load(rows)
    assert (splits.test.labels >= 0).all() and len(splits.test) == 8
    assert (splits.train.labels < 0).sum() == 20
    assert "without_label" not in splits.test.provenance


def test_words_for_nothing_in_an_items_column_are_missing_items_and_said(load, caplog):
    rows = rows_of(10)
    for row, word in zip(rows, ("nan", "", "None")):
        row["text"] = word
    assert load(rows).train.present["text"].tolist() == [False, False, False, True, True, True]
    assert "'nan' (1 rows), 'None' (1 rows) in the column 'text': a missing item" in caplog.text
    assert "3 rows have a label but no item" in caplog.text


def test_flags_of_a_column_say_which_items_are_present(load):
    words = ["True", "False", "1", "0", "no", "yes", "TRUE", "0.0", "Y", "t"]
    splits = load(rows_of(10, present_text=words))
    assert splits.train.present["text"].tolist() == [True, False, True, True, True, False]
    assert splits.test.present["text"].tolist() == [False, False, True, True]
    words[3] = "maybe"
    with pytest.raises(UsageError, match="line 5: present_text has 'maybe', which is neither true"):
        load(rows_of(10, present_text=words))


def test_splits_of_other_names_are_taken(load):
    names = [
        "Train",
        "training",
        " train",
        "VAL",
        "valid",
        "dev",
        "Test",
        "test ",
        "testing",
        "train",
    ]
    rows = [{**row, "split": name} for row, name in zip(rows_of(10), names)]
    splits = load(rows)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [4, 3, 3]


def test_texts_without_a_known_word_count_as_missing_and_are_said(load, caplog):
    rows = rows_of(10)
    rows[3]["text"] = "unheard"
    rows[4]["text"] = "!!!"
    splits = load(rows)
    assert splits.test.present["text"].tolist() == [False, False, True, True]
    assert splits.train.present["text"].all()
    assert "2 of 10 texts are blank or share no word with the training rows" in caplog.text


def test_test_texts_that_share_no_word_with_training_texts_are_refused(load):
    rows = rows_of(10)
    for row in rows:
        row["text"] = "red pot" if row["split"] == "train" else "blauer Topf"
    with pytest.raises(UsageError, match="none of the 4 test texts shares a word with the train"):
        load(rows)


def test_rows_of_one_picture_stay_in_one_split_whatever_it_is_called(load, pictures, caplog):
    for k in range(10):
        pictures(f"{k}.png", 10 * k)
        pictures(f"copy of {k}.png", 10 * k)
    names = [name for k in range(10) for name in (f"{k}.png", f"./{k}.png", f"copy of {k}.png")]
    rows = [{"label": "ab"[k // 3 % 2], "image": name} for k, name in enumerate(names)]
    splits = load(rows, ("image",))
    # A fifth of 15 rows a class: one picture each.
    assert (len(splits.train), len(splits.test)) == (24, 6)
    shades = [
        set(part.inputs["image"][:, 0, 0, 0].tolist()) for part in (splits.train, splits.test)
    ]
    assert not shades[0] & shades[1]
    assert splits.test.links["image"].tolist() == sorted([*splits.test.links["image"]])
    assert "flatter" not in caplog.text


def test_a_given_split_that_shares_items_is_counted_in_one_line(load, pictures, caplog):
    for k in range(5):
        pictures(f"{k}.png", 10 * k)
    rows = rows_of(10, image=[f"{k % 5}.png" for k in (0, 1, 2, 3, 4, 5, 6, 7, 0, 1)])
    rows[4]["text"] = rows[0]["text"].upper()
    load(rows, ("image", "text"))
    (line,) = [line for line in caplog.messages if "flatter" in line]
    assert line.endswith("image 2, text 1 of 4 test rows")


def test_rows_of_a_given_group_stay_in_one_split(load):
    rows = [
        {"label": "ab"[k % 2], "text": f"{TEXTS[k % 5]} number{k}", "group": f"g{k // 4}"}
        for k in range(40)
    ]
    for row in rows[36:]:
        row["group"] = ""
    splits = load(rows)
    parts = [{int(i) // 4 for i in part.ids if int(i) < 36} for part in (splits.train, splits.test)]
    assert not parts[0] & parts[1] and parts[1]


def test_a_text_may_be_a_file_of_any_spelling(load, tmp_path):
    (tmp_path / "a.TXT").write_bytes("a red pot".encode("utf-16"))
    rows = rows_of(10)
    rows[0]["text"] = "a.TXT"
    rows[1]["text"] = "A  red pot"
    splits = load(rows)
    np.testing.assert_array_equal(splits.train.inputs["text"][0], splits.train.inputs["text"][1])
    assert splits.train.links["text"][0] == splits.train.links["text"][1]
    rows[2]["text"] = "see none.txt"
    with pytest.raises(UsageError, match=r"line 4: there is no file .*see none.txt"):
        load(rows)


def test_files_that_are_not_there_are_counted(load, pictures):
    pictures("0.png", 0)
    rows = rows_of(10, image=[f"{k}.png" for k in range(10)])
    with pytest.raises(
        UsageError, match=r"line 3: there is no file .*1.png.* \(and 8 cells more\)"
    ):
        load(rows, ("image",))


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("split", "later", "line 4: the split 'later' is none of train, validation, test"),
        ("split", "", "line 4: the cell 'split' is missing or empty"),
        ("id", "0", "the id '0' is used twice, in lines 2 and 4; ids must be unique"),
        ("true_label", "nan", "line 4: the cell 'true_label' is 'nan', which stands for no value"),
        ("image", "https://example.org/a.png", "line 4: '.*' is an address, not a file; download"),
    ],
)
def test_each_mistake_of_a_cell_names_its_line(load, pictures, column, value, said):
    pictures("x.png", 0)
    more = {"id": [str(k) for k in range(10)], "true_label": ["a"] * 10, "image": ["x.png"] * 10}
    rows = rows_of(10, **more)
    rows[2][column] = value
    with pytest.raises(UsageError, match=said) as error:
        load(rows, ("image", "text"))
    assert "\n" not in str(error.value)


def test_an_optional_column_that_is_empty_is_none(load):
    rows = [{**row, "split": "", "id": "", "true_label": ""} for row in rows_of(10)]
    splits = load(rows)
    assert (len(splits.train), len(splits.test)) == (8, 2) and splits.train.true_labels is None


def test_the_outline_counts_the_rows_that_loading_trains_on(load, pictures, config, tmp_path):
    for k in range(10):
        pictures(f"{k}.png", 10 * k)
    rows = [
        {"label": "ab"[k // 3 % 2], "image": f"{k // 3}.png", "text": f"t{k} x"} for k in range(30)
    ]
    splits = load(rows, ("image",))
    *found, links = manifest.outline(tmp_path / "items.csv", config.seed)
    assert found == [{"image": "image", "text": "vector"}, len(splits.train), False]
    np.testing.assert_array_equal(links["image"], splits.train.links["image"])


SEEN = st.characters(codec="utf-8", exclude_categories=["C", "Z"])


def test_words_that_rows_share_are_not_kept_together_for_their_features(load):
    letters = [{"label": "ab"[k % 2], "text": "cdefghij"[k % 8]} for k in range(64)]
    splits = load(letters)
    assert len(splits.test) == 12 and splits.test.present.get("text", np.ones(1)).all()
    texts = [{"label": "ab"[k % 2], "text": f"one of the pots nr{k % 32}"} for k in range(64)]
    splits = load(texts)
    assert not set(splits.test.links["text"]) & set(splits.train.links["text"])


def test_minus_one_is_no_label_beside_numbers_from_0(load):
    rows = [{**row, "label": str(k % 3 - 1)} for k, row in enumerate(rows_of(12))]
    assert load(rows).train.labels.tolist() == [-1, 0, 1, 1, -1, 0, 0, 1]
    for row in rows:
        row["label"] = {"-1": "-1", "0": "2", "1": "1"}[row["label"]]
    with pytest.raises(UsageError, match="line 2: the label -1 is negative; number the classes"):
        load(rows)


def test_a_true_label_that_no_row_has_is_named(load):
    truth = ["a"] * 10
    truth[3] = "sofa"
    with pytest.raises(UsageError, match="line 5: the true label 'sofa' is no row's label"):
        load(rows_of(10, true_label=truth))


def test_a_manifest_without_a_header_is_refused(load, tmp_path):
    rows = [dict(zip("xyz", row.values())) for row in rows_of(10)]
    with pytest.raises(UsageError, match="no column 'label', only x, y, z; the first line must"):
        load(rows, ())


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.lists(st.text(SEEN, min_size=1, max_size=6), min_size=2, max_size=4, unique=True),
    st.sampled_from(",;\t"),
    st.permutations(["label", "text", "id"]),
)
def test_any_class_name_is_the_name_of_its_rows(tmp_path_factory, classes, delimiter, header):
    from jaxcmr.config import default
    from jaxcmr.data.own.labelbase import clean

    path = tmp_path_factory.mktemp("own") / "items.csv"
    rows = [{"label": c, "text": TEXTS[k], "id": f"{c}/{k}"} for k in range(5) for c in classes]
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writeheader()
        writer.writerows(rows)
    config = default().data
    config.name, config.path, config.modalities = "manifest", str(path), ("text",)
    try:
        splits = data.load(config, workers=1)
    except UsageError as error:
        assert "\n" not in str(error)
        return
    assert set(splits.train.class_names) == set(clean(np.array(classes)).tolist())
    names = {row["id"]: row["label"] for row in rows}
    for part in (splits.train, splits.test):
        given = clean(np.array([*classes, *(names[i] for i in part.ids)]))[len(classes) :]
        assert [splits.train.class_names[k] for k in part.labels] == given.tolist()


@pytest.mark.parametrize(
    "name", [b"a" * 251, "\u6728".encode() * 83, b"[a]* {b}", b"not \xff UTF-8"]
)
def test_a_manifest_of_any_name_is_read(load, pictures, config, tmp_path, name):
    pictures("0.png", 0)
    pictures("1.png", 9)
    load(rows_of(10, image=[f"{k % 2}.png" for k in range(10)]), ("image",))
    config.path = os.fsdecode(os.fsencode(tmp_path) + b"/" + name + b".csv")
    os.rename(tmp_path / "items.csv", config.path)
    splits = data.load(config, workers=1)
    assert splits.train.inputs["image"][:, 0, 0, 0].tolist() == [0, 9, 0, 9, 0, 9][:6]
