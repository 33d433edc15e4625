"""The file of an index: what it holds comes back; what is no index, or damaged, is refused."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from jaxcmr.encoders.weights.files import read_weights
from jaxcmr.errors import UsageError
from jaxcmr.index import Index
from jaxcmr.index.changing import changing
from jaxcmr.index.summary import summary


@pytest.fixture
def index():
    found = Index(3, "f1")
    metadata = {"price": [1, None, 3], "name": ["x", None, "日本"], "sold": [True, None, False],
                "weight": [0.5, -2.0, None], "none": [None] * 3}  # fmt: skip
    rows = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    found.add(rows, modality="image", ids=list("abc"), metadata=metadata, sources=["a", None, "c"])
    return found


def same(one: Index, other: Index) -> None:
    rows = range(len(one))
    assert (one.size, one.fingerprint, len(one)) == (other.size, other.fingerprint, len(other))
    assert (one.ids, one.modalities, one.columns) == (other.ids, other.modalities, other.columns)
    assert one.metadata(rows) == other.metadata(rows)
    assert [one.source(row) for row in rows] == [other.source(row) for row in rows]
    np.testing.assert_array_equal(one.embeddings, other.embeddings)


def stays_on_the_disk(rows: np.ndarray) -> bool:
    while isinstance(rows, np.ndarray) and not isinstance(rows, np.memmap):
        rows = rows.base
    return isinstance(rows, np.memmap)


def test_an_index_comes_back_and_its_embeddings_stay_on_the_disk(index, tmp_path):
    index.save(tmp_path / "new" / "i.index")
    opened = Index.open(tmp_path / "new" / "i.index", "f1")
    same(opened, index)
    assert stays_on_the_disk(opened.embeddings)
    assert opened.embeddings.ctypes.data % 64 == 0
    assert os.listdir(tmp_path / "new") == ["i.index"]


def test_what_is_read_into_memory_outlives_a_file_that_is_overwritten(index, tmp_path):
    index.save(tmp_path / "i")
    held = Index.open(tmp_path / "i", "f1", mapped=False)
    (tmp_path / "i").write_bytes(b"")  # a mapped file would kill the process at the next look
    same(held, index)
    assert held.search([0, 1, 0], k=1).ids == [["b"]]
    assert held.embeddings.ctypes.data % 64 == 0  # so that a search copies nothing
    with pytest.raises(UsageError, match="is no index"):
        Index.open(tmp_path / "i", mapped=False)


def test_removed_and_replaced_rows_are_left_out(index, tmp_path):
    index.add([[0, 0, 1], [0, 1, 0]], modality="text", ids=["b", "ü"], metadata={"name": ["1", ""]})
    index.add([[1, 0, 0]], modality="image", ids=["a"], metadata={"name": ["again"]})
    index.remove("b", "image")
    index.save(tmp_path / "i")
    opened = Index.open(tmp_path / "i")
    same(opened, index)
    assert opened.ids == ["c", "b", "ü", "a"]
    assert opened.column("name") == ["日本", "1", "", "again"]


def test_an_opened_index_is_changed_and_saved_into_its_own_file(index, tmp_path):
    index.save(tmp_path / "i")
    opened = Index.open(tmp_path / "i")
    opened.add([[0, 1, 0]], modality="text", metadata={"weight": [2.5], "price": [0.5]})
    assert opened.remove("b") == 1
    opened.save(tmp_path / "i")
    assert opened.ids == ["a", "c", "0"] and opened.search([0, 1, 0], k=1).ids == [["0"]]
    same(Index.open(tmp_path / "i"), opened)
    assert Index.open(tmp_path / "i").column("price") == [1.0, 3.0, 0.5]


def test_what_is_added_leaves_the_rows_of_the_file_on_the_disk(index, tmp_path):
    index.save(tmp_path / "i")
    opened = Index.open(tmp_path / "i")
    for _ in range(3):
        opened.add(np.ones((50, 3)), modality="text")
    first, *others = opened._store.segments
    assert len(first) == 3 and stays_on_the_disk(first.embeddings)
    assert len(others) == 1 and len(opened) == 153  # what was added is joined


def test_an_index_without_rows_comes_back(index, tmp_path):
    Index(2, "f").save(tmp_path / "i")
    same(Index.open(tmp_path / "i"), Index(2, "f"))
    index.remove(["a", "b", "c"])
    index.save(tmp_path / "j")
    opened = Index.open(tmp_path / "j")
    same(opened, index)
    opened.add([[1, 0, 0]], modality="image", metadata={"name": ["x"]})
    assert opened.search([1, 0, 0]).metadata[0][0]["name"] == "x"


def test_other_readers_of_safetensors_read_it(index, tmp_path):
    index.save(tmp_path / "i")
    arrays = read_weights(tmp_path / "i")
    np.testing.assert_array_equal(arrays["embeddings"], np.eye(3))
    assert arrays["id.data"].tobytes() == b"abc" and arrays["id.offsets"].tolist() == [0, 1, 2, 3]
    assert arrays["metadata.price.values"].tolist() == [1, 0, 3]
    assert arrays["metadata.price.missing"].tolist() == [0, 1, 0]
    raw = (tmp_path / "i").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    assert (8 + length) % 64 == 0 and header["embeddings"]["data_offsets"][0] == 0
    ends = [header[name]["data_offsets"] for name in arrays]  # without holes, as they ask for
    assert all(one[1] == two[0] for one, two in itertools.pairwise(ends))
    assert 8 + length + ends[-1][1] == len(raw)


def test_another_model_is_refused(index, tmp_path):
    index.save(tmp_path / "i")
    with pytest.raises(UsageError, match=r"holds embeddings of the model 'f1', but this .* 'f2'"):
        Index.open(tmp_path / "i", "f2")
    assert len(Index.open(tmp_path / "i")) == 3


def test_files_of_others_are_neither_read_nor_overwritten(index, tmp_path):
    (tmp_path / "photo.png").write_bytes(b"mine")
    np.savez(tmp_path / "a.npz", x=np.ones(3))
    other = b'{"__metadata__": {"format": "pt"}}'
    (tmp_path / "w").write_bytes(len(other).to_bytes(8, "little") + other)
    (tmp_path / "empty").touch()
    for name in ("photo.png", "a.npz", "w", "empty"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(UsageError, match="is no index; name a file that"):
            Index.open(tmp_path / name)
        with pytest.raises(UsageError, match="is no index, and is not overwritten"):
            index.save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(UsageError, match="is a folder"):
        index.save(tmp_path)
    with pytest.raises(UsageError, match="is no file"):
        Index.open(tmp_path)
    for name in ("none", "x" * 300, "a\0"):
        with pytest.raises(UsageError, match="there is no index"):
            Index.open(tmp_path / name)


def test_cut_and_longer_files_are_refused(index, tmp_path):
    index.save(tmp_path / "i")
    whole = (tmp_path / "i").read_bytes()
    for length in (*range(0, len(whole), 97), len(whole) - 1):
        (tmp_path / "i").write_bytes(whole[:length])
        with pytest.raises(UsageError, match=r"is no index|cannot be read") as caught:
            Index.open(tmp_path / "i", mapped=length % 2 == 0)
        assert len(str(caught.value)) < 250 + len(str(tmp_path))
    (tmp_path / "i").write_bytes(whole + b"\0")
    with pytest.raises(UsageError, match="bytes behind its end"):
        Index.open(tmp_path / "i")


def changed(path, change):
    """Rewrites the header of a file."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda h: h["__metadata__"].update(version="2"), "of version 2, but this jaxcmr reads"),
        (lambda h: h["__metadata__"].update(columns='[["x", "date"]]'), "a column 'x' of 'date'"),
        (lambda h: h["__metadata__"].update(columns="7"), "cannot be read"),
        (lambda h: h["__metadata__"].pop("fingerprint"), "cannot be read .'fingerprint'"),
        (lambda h: h["embeddings"].update(shape=[9]), "embeddings of float32"),
        (lambda h: h["embeddings"].update(shape=[1, 9]), "3 entries of id for 1 embeddings"),
        (lambda h: h.pop("source.data"), "cannot be read .'source.data'"),
        (lambda h: h["id.missing"].update(dtype="I8"), "a column of int8"),
        (lambda h: h.update({"id.offsets": h["metadata.weight.values"] | {"dtype": "I64"}}),
         "texts that do not fit"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused_in_a_sentence(index, tmp_path, change, words):
    index.save(tmp_path / "i")
    changed(tmp_path / "i", change)
    with pytest.raises(UsageError, match=words):
        Index.open(tmp_path / "i")


def test_damaged_texts_and_ids_are_refused_where_they_are_read(index, tmp_path):
    index.save(tmp_path / "i")
    whole = (tmp_path / "i").read_bytes()
    place = whole.index(b"abc", int.from_bytes(whole[:8], "little"))
    (tmp_path / "i").write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
    with pytest.raises(UsageError, match="a text of the index is damaged"):
        Index.open(tmp_path / "i").search([1, 0, 0])
    offsets = np.arange(4).tobytes()
    (tmp_path / "i").write_bytes(whole.replace(offsets, np.int64([0, 2, 1, 3]).tobytes(), 1))
    damaged = Index.open(tmp_path / "i")
    with pytest.raises(UsageError, match="a text of the index is damaged"):
        damaged.item(1)
    with pytest.raises(UsageError, match="a text of the index is damaged"):
        damaged.search([1, 0, 0], k=3)
    (tmp_path / "i").write_bytes(whole[:place] + b"b" + whole[place + 1 :])
    with pytest.raises(UsageError, match="two rows of the index have one id"):
        Index.open(tmp_path / "i").remove("c")


def test_damaged_embeddings_are_refused_where_they_are_searched(index, tmp_path):
    index.save(tmp_path / "i")
    whole = (tmp_path / "i").read_bytes()
    place = 8 + int.from_bytes(whole[:8], "little") + 4 * 4  # of the second row
    nan = np.float32(np.nan).tobytes()
    (tmp_path / "i").write_bytes(whole[:place] + nan + whole[place + 4 :])
    with pytest.raises(UsageError, match=r"the index is damaged .*in row 1 .*; make it again"):
        Index.open(tmp_path / "i").search([1, 0, 0])


def test_a_full_disk_leaves_the_file_as_it_was(index, tmp_path, monkeypatch):
    index.save(tmp_path / "i")
    before = (tmp_path / "i").read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    index.remove("a")
    with pytest.raises(UsageError, match="No space left on device; make room"):
        index.save(tmp_path / "i")
    assert (tmp_path / "i").read_bytes() == before and os.listdir(tmp_path) == ["i"]


def test_changes_of_one_file_wait_for_each_other(index, tmp_path):
    index.save(tmp_path / "i")

    def add(name):
        with changing(tmp_path / "i", "f1") as opened:
            opened.add([[1, 1, 1]], modality="image", ids=[name])

    threads = [threading.Thread(target=add, args=(name,)) for name in "xyz"]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(Index.open(tmp_path / "i").ids) == list("abcxyz")
    assert os.listdir(tmp_path) == ["i"]


def test_a_change_that_fails_leaves_the_file_as_it_was(index, tmp_path):
    index.save(tmp_path / "i")
    before = (tmp_path / "i").read_bytes()
    with pytest.raises(KeyError), changing(tmp_path / "i") as opened:
        opened.remove("a")
        raise KeyError
    with pytest.raises(UsageError, match="of the model 'f1'"), changing(tmp_path / "i", "f2"):
        pytest.fail("another model's index is changed")
    with pytest.raises(UsageError, match="there is no index"), changing(tmp_path / "none"):
        pytest.fail("no index is changed")
    assert (tmp_path / "i").read_bytes() == before and os.listdir(tmp_path) == ["i"]


def test_a_summary_counts_rows_and_names_columns(index):
    index.add([[1, 0, 0]], modality="a\nb")
    lines = ["4 rows of 3 numbers by the model f1", r"a\nb 1 rows", "image 3 rows", "price int",
             "name text", "sold bool", "weight float", "none none"]  # fmt: skip
    assert [" ".join(line.split()) for line in summary(index).splitlines()] == lines
    assert summary(Index(2)) == "0 rows of 2 numbers"


LARGE = """
import sys, numpy as np
from jaxcmr.index import Index
index = Index(256, "f")
rows = np.random.default_rng(0).normal(size=(200_000, 256)).astype(np.float32)
index.add(rows, modality="image", ids=[f"photo/{n}.png" for n in range(len(rows))],
          metadata={"title": [f"a title of item {n}" for n in range(len(rows))],
                    "price": list(range(len(rows)))})
print("made", flush=True)
index.save(sys.argv[1])
print("saved", flush=True)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A file of 200,000 rows, 228 MB."""
    path = tmp_path_factory.mktemp("large") / "i"
    subprocess.run([sys.executable, "-c", LARGE, str(path)], check=True, capture_output=True)
    return path


@pytest.mark.slow
def test_a_file_of_200_000_rows_opens_at_once(large):
    Index.open(large)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        index = Index.open(large, "f")
        seconds.append(time.perf_counter() - start)
    assert len(index) == 200_000 and min(seconds) < 0.05, seconds
    assert index.metadata([199_999]) == [{"title": "a title of item 199999", "price": 199_999}]
    assert index.search(index.embeddings[7], k=1).ids == [["photo/7.png"]]


@pytest.mark.slow
def test_a_process_that_is_killed_while_it_saves_leaves_what_was_there(large, tmp_path):
    Index(2, "before").save(tmp_path / "i")
    command = [sys.executable, "-c", LARGE, str(tmp_path / "i")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "made\n"
    while not list(tmp_path.glob(".*")):  # the file that is being written
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and process.stdout.read() == ""
    assert Index.open(tmp_path / "i").fingerprint == "before"
    Index(2, "after").save(tmp_path / "i")
    assert Index.open(tmp_path / "i").fingerprint == "after"


def test_saving_removes_what_a_killed_process_has_left(index, tmp_path):
    left = tmp_path / ".0123456789abcdef.jaxcmr-partial"
    left.touch()
    os.utime(left, (0, 0))
    index.save(tmp_path / "i.index")
    assert os.listdir(tmp_path) == ["i.index"]
