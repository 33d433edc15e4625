"""Files that coverage-guided fuzzing found to end in something else than one sentence."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
import scipy.io
import trimesh
from ml_collections import ConfigDict

from jaxcmr.data.formats import depthframes, itemfiles, pcd, pointfiles
from jaxcmr.data.formats.idx import parse_idx
from jaxcmr.data.own import arrays, featurefiles, labelbase
from jaxcmr.data.sources import cloudfiles, download, features, meshfiles
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
        pcd.parse_pcd(head.encode() + bytes(12), "a.pcd")


def test_a_mesh_whose_faces_name_vertices_that_it_lacks(tmp_path):
    data = trimesh.creation.box().export(file_type="ply", encoding="ascii")
    (tmp_path / "a.ply").write_bytes(data.replace(b"\n3 1 3 0", b"\n3 1 3 99"))
    with pytest.raises(UsageError, match="a face of vertices that it lacks"):
        itemfiles.load_mesh(tmp_path / "a.ply")


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
    with pytest.raises(UsageError, match=r"class_names holds \|V3; save numbers or text"):
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


@pytest.mark.parametrize("corner", ["inf,2", "1e5 nan", "-1 3", "641 1"])
def test_a_crop_that_lies_outside_of_the_frame(tmp_path, corner):
    (tmp_path / "a_loc.txt").write_text(corner)
    with pytest.raises(UsageError, match="outside of 640 x 480"):
        depthframes.read_corner(tmp_path / "a_loc.txt")


def test_an_array_of_our_schema_that_is_a_single_number():
    table = {f"{split}_labels": np.arange(2) for split in ("train", "test")}
    table |= {f"{split}_image": np.zeros((2, 2)) for split in ("train", "test")}
    with pytest.raises(UsageError, match=r"test_image has the shape \[\] for 2 labels"):
        arrays.to_splits(table | {"test_image": np.float32(1)}, "a", {}, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": np.float32(1), "s": np.float32(2)}, r"shape \[\], but the features \[\]"),
        ({"y_train": np.array(1)}, "train_labels is a single number"),
        ({"x_train": np.array(["a", "b"])}, "x_train holds <U1, not numbers"),
        ({"s": np.array(["a"])}, "s holds <U1, not numbers"),
        ({"s": np.ones(3)}, r"the scale of 'image' has the shape \[3\], but the features \[2, 2\]"),
        ({"y_test": np.array(1)}, "test_labels is a single number"),
    ],
)
def test_features_that_are_no_rows_of_numbers(tmp_path, change, message):
    table = {f"{name}_{split}": np.ones((2, 2)) for name in "xy" for split in ("train", "test")}
    table |= {"y_train": np.arange(2), "y_test": np.arange(2), "s": np.ones(2)} | change
    np.savez(tmp_path / "a.npz", **table)
    words = {"image": "x_{split}"}
    with pytest.raises(UsageError, match=message):
        featurefiles.convert(
            tmp_path / "a.npz",
            tmp_path / "b.npz",
            words,
            labels="y_{split}",
            scales={"image": "s"},
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("pattern", ["{split}_{}", "{0}", "{", "{split.x}"])
def test_a_pattern_of_names_with_other_braces(tmp_path, pattern):
    np.savez(tmp_path / "a.npz", x=np.ones(2))
    with pytest.raises(UsageError, match=r"has no array|each needs its own, with {split}"):
        featurefiles.convert(tmp_path / "a.npz", tmp_path / "b.npz", {"image": pattern})
    with pytest.raises(UsageError, match=r"has no array|write {split} where"):
        keys = pointfiles.Keys(points=pattern, classes="x")
        pointfiles.read_point_file(tmp_path / "a.npz", keys)


def test_a_ready_feature_file_whose_test_labels_are_a_single_number(tmp_path):
    table = {"train_labels": np.arange(2), "test_labels": np.array(1)}
    np.savez(tmp_path / "wikipedia.npz", **table, train_image=np.ones((2, 2)), test_image=0.5)
    config = ConfigDict({"name": "wikipedia", "root": str(tmp_path), "seed": 0})
    with pytest.raises(UsageError, match="has the shape"):
        features.load_features(config, 1)


def test_a_ready_feature_file_of_other_spellings_is_cut_for_validation_all_the_same(tmp_path):
    table = {"Test_label": np.arange(240) % 2, "train_label": np.arange(6) % 2}
    table |= {"testing_image": np.arange(480.0).reshape(240, 2), "train_image": np.ones((6, 2))}
    np.savez(tmp_path / "wikipedia.npz", **table)
    config = ConfigDict({"name": "wikipedia", "root": str(tmp_path), "seed": 0})
    splits = features.load_features(config, 1)
    assert (len(splits.validation), len(splits.test)) == (231, 9)
    assert splits.test.inputs["image"][0, 0] == 462
    table |= {f"val_{name}": table[f"train_{name}"] for name in ("image", "label")}
    np.savez(tmp_path / "wikipedia.npz", **table)
    splits = features.load_features(config, 1)
    assert (len(splits.validation), len(splits.test)) == (6, 240)


@pytest.mark.parametrize("line", ["t i 99999999999999999999", "t i 1e3", "t i one"])
def test_a_category_that_is_no_number(tmp_path, line):
    (tmp_path / "a.list").write_text(f"t i 1\n{line}\n")
    with pytest.raises(UsageError, match="does not end in a category number"):
        features._read_list(tmp_path / "a.list")


def test_a_reason_that_would_garble_the_terminal(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"lab": np.ones((2, 2))}, format="4")
    data = bytearray((tmp_path / "a.mat").read_bytes())
    data[16] = 20  # the length of the name: it now takes the numbers in
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(UsageError, match="Not enough bytes") as caught:
        features.read_mat(tmp_path / "a.mat")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("content", ['{"a": 1}', "[1, 2]", '"ab"', "3"])
def test_names_of_shapes_that_are_no_list_of_names(tmp_path, content):
    (tmp_path / "a_id2file.json").write_text(content)
    with pytest.raises(UsageError, match="must hold a list of names"):
        cloudfiles._names(tmp_path / "a.h5", 2)


def test_a_list_that_names_what_would_garble_the_terminal(tmp_path):
    (tmp_path / "train_files.txt").write_bytes(b"a\n\x1b[2J.h5\n")
    with pytest.raises(UsageError, match="has no such file") as caught:
        cloudfiles.list_clouds(tmp_path, ("a",))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", [206, 14, 238])
def test_a_mat_file_that_ends_scipys_process(tmp_path, kind):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"train_i": np.eye(3)})
    data = bytearray(buffer.getvalue())
    data[data.index(b"\x09\0\0\0\x48")] = kind
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(UsageError, match=f"'train_i' is stored as type {kind}"):
        features.read_mat(tmp_path / "a.mat")


def test_a_mat_file_that_announces_a_billion_texts_of_no_letter(tmp_path):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"names": np.array([""])})
    data = bytearray(buffer.getvalue())
    place = data.index(b"\x05\0\0\0\x08\0\0\0") + 8  # the shape
    data[place : place + 8] = (10**9).to_bytes(4, "little") + bytes(4)
    (tmp_path / "a.mat").write_bytes(data)
    assert features.read_mat(tmp_path / "a.mat")["names"].shape == (0,)


def test_a_mat_file_of_level_4_that_announces_a_name_of_gigabytes(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"lab": np.ones((2, 2))}, format="4")
    data = bytearray((tmp_path / "a.mat").read_bytes())
    data[16:20] = (2**30).to_bytes(4, "little")  # the length of the name
    (tmp_path / "a.mat").write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match="cannot be read"):
            features.read_mat(tmp_path / "a.mat")
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
