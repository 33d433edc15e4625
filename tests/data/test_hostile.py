"""Files that coverage-guided fuzzing found to end in something else than one sentence."""

import io
import zipfile

import numpy as np
import pytest
import trimesh

from jaxcmr.data import arrays, download, labelbase, meshfiles, pointfiles, shapefiles
from jaxcmr.data.idx import parse_idx
from jaxcmr.errors import UsageError


def test_an_idx_of_no_item_and_a_huge_axis():
    sizes = [0, 2**32 - 1, 2**32 - 1]
    data = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in sizes)
    with pytest.raises(UsageError, match="holds none"):
        parse_idx(data, "a.idx")


@pytest.mark.parametrize("size", [",,,4", "4)", "-4", "0", "999999999999999999999"])
def test_a_pcd_whose_sizes_are_no_numbers(size):
    head = f"FIELDS x y z\nSIZE 4 4 {size}\nTYPE F F F\nPOINTS 1\nDATA binary\n"
    with pytest.raises(UsageError, match="is damaged"):
        shapefiles.parse_pcd(head.encode() + bytes(12), "a.pcd")


def test_a_mesh_whose_faces_name_vertices_that_it_lacks(tmp_path):
    data = trimesh.creation.box().export(file_type="ply", encoding="ascii")
    (tmp_path / "a.ply").write_bytes(data.replace(b"\n3 1 3 0", b"\n3 1 3 99"))
    with pytest.raises(UsageError, match="a face of vertices that it lacks"):
        shapefiles.load_mesh(tmp_path / "a.ply")


@pytest.mark.parametrize("labels", [np.array(3), np.zeros((1, 1, 2))])
def test_labels_that_are_no_column(labels):
    with pytest.raises(UsageError, match="a row each"):
        arrays.to_splits({"labels": labels, "image": np.zeros((1, 2))}, "a", {}, 0)


def test_bytes_that_are_no_text_are_labels_all_the_same():
    coded, names, _ = labelbase.unify({"train": np.array([b"\xff", b"b"])}, (), "a")
    assert names == ("b", "\ufffd") and coded["train"].tolist() == [1, 0]


def test_a_split_that_is_no_column():
    table = {"labels": np.arange(3), "image": np.zeros((3, 2)), "split": np.full((3, 9), "train")}
    with pytest.raises(UsageError, match="a row each"):
        arrays.to_splits(table, "a", {}, 0)


def test_class_names_that_are_no_text(tmp_path):
    clouds = {f"{split}_points": np.zeros((1, 2, 3)) for split in ("train", "test")}
    labels = {f"{split}_labels": np.zeros(1, int) for split in ("train", "test")}
    np.savez(tmp_path / "a.npz", **clouds, **labels, class_names=np.zeros(2, "V3"))
    with pytest.raises(UsageError, match="cannot be read"):
        pointfiles.read_point_file(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("signature", "place", "value"),
    [
        (b"PK\x01\x02", 6, 200),  # the version that is needed
        (b"PK\x01\x02", 9, 8),  # the name is UTF-8 ...
        (b"PK\x01\x02", 10, 77),  # the way of packing
        (b"PK\x03\x04", 7, 8),
    ],
)
def test_a_damaged_archive_of_meshes(tmp_path, signature, place, value):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/train/x.off", b"OFF")
    data = bytearray(buffer.getvalue())
    data[data.index(signature) + place] = value
    start = data.index(signature) + (46 if signature == b"PK\x01\x02" else 30)
    data[start + 8] = 0xFF  # ... and is not: a character of the stem
    (tmp_path / "a.zip").write_bytes(bytes(data))
    with pytest.raises(UsageError, match=r"is damaged|is no zip file|holds no mesh"):
        for item in meshfiles.list_meshes(tmp_path / "a.zip").train:
            meshfiles.read_mesh(item)


def test_a_server_that_gives_a_length_that_is_no_number(tmp_path, monkeypatch):
    class Response(io.BytesIO):
        status = 200
        headers = {"Content-Length": "many"}  # noqa: RUF012

    monkeypatch.delenv("JAXCMR_OFFLINE", raising=False)
    monkeypatch.setattr(download, "_check_connection", lambda url: None)
    answer = lambda request, timeout: Response(b"data")
    download.fetch("http://a.invalid/b", tmp_path / "b", open_url=answer)
    assert (tmp_path / "b").read_bytes() == b"data"
