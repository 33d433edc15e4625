import io
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr import data
from jaxcmr.data.formats.pointfiles import read_arrays
from jaxcmr.data.own import own
from jaxcmr.errors import UsageError


@pytest.fixture
def mine(config, tmp_path):
    config.name, config.path = "own", str(tmp_path / "items.csv")
    return config


def write(config, text):
    with open(config.path, "w") as file:
        file.write(text)


def test_a_manifest_says_columns_and_training_rows(mine):
    rows = "\n".join(f"{'ab'[k % 2]},{k}.png,,some words" for k in range(20))
    write(mine, f"label,image,mesh,text\n{rows}\n")
    # The column mesh is empty; a fifth of each class is held out.
    assert own.outline(mine)[:3] == ({"image": "image", "text": "vector"}, 16, False)
    rows = "\n".join(f"a,{k}.ply,words,{s}" for k, s in enumerate(["train"] * 3 + ["validation"]))
    write(mine, f"label,points,text,split\n{rows}\n")
    found = own.outline(mine)
    assert found[:3] == ({"points": "cloud", "text": "vector"}, 3, True)
    assert found.links["text"].tolist() == [0, 0, 0]  # of the training rows


def test_arrays_with_and_without_splits(mine, tmp_path):
    mine.path = str(tmp_path / "own.npz")
    whole = {"x": np.zeros((10, 4)), "views": np.zeros((10, 3, 8, 8, 1), np.uint8)}
    labels = {"labels": np.arange(10) % 2, "ids": np.arange(10).astype(str)}
    np.savez(mine.path, **whole, **labels)
    kinds = {"views": "views", "x": "vector"}
    assert own.outline(mine) == own.Outline(kinds, 8, False)
    split = np.array(["train"] * 5 + ["validation"] * 2 + ["test"] * 3)
    np.savez(mine.path, **whole, **labels, split=split, present_x=split == "train")
    assert own.outline(mine) == own.Outline(kinds, 5, True)
    parts = {f"{s}_x": np.zeros((n, 9, 3)) for s, n in (("train", 7), ("test", 4))}
    np.savez(mine.path, **parts, train_labels=np.zeros(7), test_labels=np.zeros(4))
    assert own.outline(mine) == own.Outline({"x": "cloud"}, 7, False)


def test_the_source_takes_either_form(mine, tmp_path):
    rows = "\n".join(f"{'ab'[k % 2]},a word{k % 2},item {k}" for k in range(10))
    write(mine, f"label,text,id\n{rows}\n")
    mine.modalities = ("text",)
    splits = data.load(mine)
    assert len(splits.train) == 8 and splits.train.ids[0].startswith("item ")
    mine.path = str(tmp_path / "own.npz")
    np.savez(mine.path, text=np.eye(10), labels=np.arange(10) % 2)
    assert len(data.load(mine).train) == 8


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.mat", "launch/prepare.py features makes an .npz of a .mat file"),
        ("a.npy", "name the folder in which the .npy files are"),
        ("a.xlsx", "must end in .csv, .tsv, .jsonl, .npz, .h5, .hdf5, or be a folder"),
    ],
)
def test_other_files_are_refused_with_advice(mine, tmp_path, name, words):
    mine.path = str(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(UsageError, match=words):
        own.outline(mine)


@pytest.mark.parametrize("name", ["none.npz", "n" * 5000, "nu\0ll", "pipe.npz"])
def test_what_is_no_file_is_not_waited_for(mine, tmp_path, name):
    if name == "pipe.npz":
        os.mkfifo(tmp_path / name)
    mine.path = str(tmp_path / name)
    for source in ("own", "arrays"):
        mine.name = source
        with pytest.raises(UsageError, match="but there is no such file or folder"):
            data.load(mine)
    with pytest.raises(UsageError, match="but there is no such file or folder"):
        own.outline(mine)


def test_pipes_among_files_are_not_waited_for(mine, tmp_path, caplog):
    arrays = {"text": np.eye(10, 3), "image": np.ones((10, 2)), "labels": np.arange(10) % 2}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    os.mkfifo(tmp_path / "more.npy")
    mine.path = str(tmp_path)
    mine.modalities = tuple(own.outline(mine).kinds)
    assert data.load(mine).train.modalities == ("image", "text")
    assert "1 file is not used: more.npy" in caplog.text
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(UsageError, match=r"pipe\.npz is no file"):
        read_arrays(tmp_path / "pipe.npz")


@pytest.mark.parametrize("prefix", ["", "train_"])
def test_an_outline_reads_no_items_but_looks_at_their_rows(mine, tmp_path, monkeypatch, prefix):
    mine.path = str(tmp_path / "own.npz")
    arrays = {f"{prefix}text": np.eye(10, 3), f"{prefix}labels": np.arange(10) % 2}
    arrays |= {f"{prefix}groups": np.arange(10) // 2}
    test = {"test_text": np.ones((2, 3)), "test_labels": np.arange(2)} if prefix else {}
    np.savez(mine.path, **arrays, **test)
    requested, read = [], own.arrays.read
    monkeypatch.setattr(
        own.arrays, "read", lambda *given: requested.append(given[1]) or read(*given)
    )
    assert own.outline(mine).links["group"].tolist()[:4] == [0, 0, 1, 1]
    assert [sorted(names) for names in requested] == [[f"{prefix}groups", f"{prefix}labels"]]
    for wrong in ({"groups": np.ones((10, 3))}, {"groups": np.ones(9)}, {"text": np.ones((9, 2))}):
        wrong = {f"{prefix}{name}": array for name, array in wrong.items()}
        np.savez(mine.path, **arrays | wrong, **test)
        with pytest.raises(UsageError, match=next(iter(wrong))):
            own.outline(mine)


def test_a_single_number_is_no_item(mine, tmp_path):
    mine.path = str(tmp_path / "OWN.NPZ")
    with open(mine.path, "wb") as file:
        np.savez(file, version=1, text=np.eye(10, 3), labels=np.arange(10) % 2)
    assert own.outline(mine).kinds == {"text": "vector"}


def good() -> bytes:
    file = io.BytesIO()
    np.savez(file, train_x=np.zeros((3, 2)), train_labels=np.zeros(3), test_labels=np.zeros(1))
    return file.getvalue()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=20), st.integers(0, 900), st.integers(0, 900))
def test_no_bytes_make_the_outline_fail_otherwise(tmp_path_factory, junk, start, stop):
    path = tmp_path_factory.mktemp("own") / "own.npz"
    path.write_bytes(good()[: min(start, stop)] + junk + good()[max(start, stop) :])
    try:
        found = own.shapes(path)
    except UsageError as error:
        assert "\n" not in str(error)
        return
    assert all(isinstance(shape, tuple) for shape, _ in found.values())


def test_a_manifest_without_a_column_of_items_is_refused_with_its_columns(mine, tmp_path):
    (tmp_path / "paths.csv").write_text("image_path,label\na.png,x\nb.png,y\n")
    mine.path = str(tmp_path / "paths.csv")
    with pytest.raises(UsageError, match=r"none of the columns image, .*, only image_path, label"):
        data.outline(mine)
