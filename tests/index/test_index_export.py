"""Files of an index for other programs, read back by these."""

import json
import sys

import numpy as np
import pytest

from jaxcmr.errors import UsageError
from jaxcmr.index import Index, export

faiss = pytest.importorskip("faiss")
pytest.importorskip("usearch")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def index():
    """Five rows; one was removed."""
    found = Index(3, "f1")
    metadata = {"price": [1, None, 3], "name": ["x", None, "日本"], "sold": [True, None, False],
                "weight": [0.5, -2.0, None], "none": [None] * 3}  # fmt: skip
    found.add(np.eye(3), modality="image", ids=["a", "b", "ü"], metadata=metadata, sources=[*"xyz"])
    found.add([[1, 1, 0], [0, 1, 1], [1, 0, 1]], modality="text", ids=["a", "gone", ""])
    found.remove("gone")
    return found


def test_parquet_holds_all_but_the_sources(index, tmp_path):
    assert index.export(tmp_path / "new" / "i.parquet") == [tmp_path / "new" / "i.parquet"]
    table = parquet.read_table(tmp_path / "new" / "i.parquet")
    assert table.column_names == ["id", "modality", "embedding", *index.columns]
    assert table.column("id").to_pylist() == index.ids
    assert table.column("modality").to_pylist() == index.modalities
    np.testing.assert_array_equal(table.column("embedding").to_pylist(), index.embeddings)
    assert str(table.schema.field("embedding").type).startswith("fixed_size_list<")
    for name in index.columns:
        assert table.column(name).to_pylist() == index.column(name)
    assert table.schema.metadata[b"fingerprint"] == b"f1"


def test_parquet_is_written_block_by_block(index, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_BLOCK", 2)
    index.export(tmp_path / "i.parquet")
    assert parquet.ParquetFile(tmp_path / "i.parquet").num_row_groups == 3
    table = parquet.read_table(tmp_path / "i.parquet")
    assert table.column("id").to_pylist() == index.ids
    assert table.column("name").to_pylist() == index.column("name")
    np.testing.assert_array_equal(table.column("embedding").to_pylist(), index.embeddings)


def test_npz_holds_all_but_the_sources(index, tmp_path):
    index.add([[1, 0, 0]], modality="text", ids=["../x"], metadata={"../a": ["v"]})
    index.export(tmp_path / "i.npz")
    with np.load(tmp_path / "i.npz") as file:
        arrays = dict(file)
    np.testing.assert_array_equal(arrays["embeddings"], index.embeddings)
    assert arrays["ids"].tolist() == index.ids and arrays["modalities"].tolist() == index.modalities
    assert arrays["metadata.price"].tolist() == [1, 0, 3, 0, 0, 0]
    assert arrays["missing.price"].tolist() == [False, True, False, True, True, True]
    assert arrays["metadata.name"].tolist() == ["x", "", "日本", "", "", ""]
    assert arrays["metadata.sold"].dtype == bool and arrays["metadata.weight"][1] == -2
    assert arrays["missing.none"].all() and "metadata.none" not in arrays
    assert arrays["metadata.%2E.%2Fa"].tolist()[-1] == "v"


def test_faiss_finds_what_the_index_finds(index, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_BLOCK", 2)
    rows = {"fingerprint": "f1", "ids": index.ids, "modalities": index.modalities}
    written = index.export(tmp_path / "i.faiss")
    assert written == [tmp_path / "i.faiss", tmp_path / "i.faiss.json"]
    assert json.loads(written[1].read_text()) == rows
    flat = faiss.read_index(str(written[0]))
    query = np.float32([[0.36, 0.48, 0.8], [0.8, 0.6, 0.0]])
    scores, found = flat.search(query, 3)
    hits = index.search(query, k=3)
    np.testing.assert_array_equal(found, hits.rows)
    np.testing.assert_allclose(scores, hits.scores, rtol=1e-6)


def test_usearch_finds_what_the_index_finds(index, tmp_path, monkeypatch):
    from usearch.index import Index as Graph

    monkeypatch.setattr(export, "_BLOCK", 2)
    written = index.export(tmp_path / "i.usearch")
    graph = Graph.restore(str(written[0]))
    query = np.float32([0.36, 0.48, 0.8])
    found, hits = graph.search(query, 3), index.search(query, k=3)
    np.testing.assert_array_equal(found.keys, hits.rows[0])
    np.testing.assert_allclose(1 - found.distances, hits.scores[0], rtol=1e-5)
    assert json.loads(written[1].read_text())["ids"] == index.ids


def test_mistakes_are_one_sentence_and_nothing_is_written(index, tmp_path):
    with pytest.raises(UsageError, match=r"must end in \.parquet, \.npz, \.faiss, \.usearch"):
        index.export(tmp_path / "i.csv")
    (tmp_path / "i.faiss.json").write_text("mine")
    with pytest.raises(UsageError, match=r"i\.faiss\.json exists; remove it"):
        index.export(tmp_path / "i.faiss")
    with pytest.raises(UsageError, match="has no rows"):
        Index(2).export(tmp_path / "i.npz")
    for name, ending, words in (
        ("\udcff", ".parquet", "is no text that Parquet can hold"),
        ("a\0", ".npz", "ends in a zero character"),
    ):
        odd = Index(1)
        odd.add([[1]], modality="image", ids=[name])
        with pytest.raises(UsageError, match=words):
            odd.export(tmp_path / f"i{ending}")
    assert [path.name for path in tmp_path.iterdir()] == ["i.faiss.json"]


def test_a_text_that_is_too_long_for_all_rows_is_one_sentence(index, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_TEXT_BYTES", 39)
    index.export(tmp_path / "i.parquet")
    with pytest.raises(UsageError, match="'modalities' have a text of 5 letters"):
        index.export(tmp_path / "i.npz")  # 5 rows of 5 letters of 4 bytes; the ids take 20


def test_an_absent_package_is_named(index, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(
        UsageError, match="faiss-cpu is not installed, but needed for faiss indexes"
    ):
        index.export(tmp_path / "i.faiss")


@pytest.mark.parametrize("ending", ["faiss", "usearch"])
def test_what_cannot_be_written_leaves_nothing_that_refuses_the_next_try(
    index, tmp_path, monkeypatch, ending
):
    def full(path, write):
        raise UsageError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(export.files, "write_atomically", full)
        patch.setattr(export.files, "write_text", lambda path, text: path.write_text(text))
        with pytest.raises(UsageError, match="no room"):
            index.export(tmp_path / f"i.{ending}")
    assert not list(tmp_path.iterdir())
    assert len(index.export(tmp_path / f"i.{ending}")) == 2
