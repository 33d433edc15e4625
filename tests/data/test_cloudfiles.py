import json
import logging

import h5py
import numpy as np
import pytest
from PIL import Image

from jaxcmr import data
from jaxcmr.data.sources import cloudfiles, modelnetfiles
from jaxcmr.errors import UsageError

COUNTS = {"train": (2048, 2048, 2048, 2048, 1648), "test": (2048, 420)}  # 9840 / 2468


def write_release(folder, counts, points=4, classes=40):
    """Writes the layout of the official release; the label of row k is k mod classes."""
    folder.mkdir()
    names = [f"class{k:02d}" for k in range(classes)]
    (folder / "shape_names.txt").write_text("\n".join(names) + "\n")
    rng, serial = np.random.default_rng(0), 0
    for split, sizes in counts.items():
        files = [f"ply_data_{split}{k}.h5" for k in range(len(sizes))]
        lines = [f"data/modelnet40_ply_hdf5_2048/{file}" for file in files[::-1]]
        (folder / f"{split}_files.txt").write_text("\n".join(lines) + "\n")
        for k, (file, size) in enumerate(zip(files, sizes)):
            labels = (np.arange(size) % classes).astype(np.uint8)[:, None]
            shapes = [
                f"{names[c]}/{names[c]}_{serial + r:05d}.ply" for r, c in enumerate(labels[:, 0])
            ]
            serial += size
            with h5py.File(folder / file, "w") as opened:
                opened["data"] = rng.normal(size=(size, points, 3)).astype(np.float32)
                opened["label"] = labels
                opened["normal"] = np.zeros((size, points, 3), np.float32)
            (folder / f"ply_data_{split}_{k}_id2file.json").write_text(json.dumps(shapes))


def test_the_official_counts_lists_and_names(tmp_path):
    write_release(tmp_path / "clouds", COUNTS)
    found = cloudfiles.list_clouds(tmp_path / "clouds")
    assert (len(found.train), len(found.test)) == (9840, 2468)
    assert len(found.class_names) == 40 and found.class_names[3] == "class03"
    # The lists' order counts, not the alphabet's: the last file comes first.
    assert found.train[0].id == "class00_08192" and found.train[0].label == 0
    assert found.train[1648].id == "class00_06144"
    assert set(found.digests) == {f"ply_data_train{k}.h5" for k in range(5)} | {
        "ply_data_test0.h5",
        "ply_data_test1.h5",
    }
    assert len({item.id for item in found.train + found.test}) == 9840 + 2468


def test_clouds_are_turned_from_y_up_to_z_up(tmp_path):
    write_release(tmp_path / "clouds", {"train": (3,), "test": (2,)}, classes=2)
    with h5py.File(tmp_path / "clouds" / "ply_data_train0.h5", "a") as file:
        file["data"][1] = [[1, 2, 3], [0, 5, 0], [0, 0, 7], [4, 0, 0]]
    item = cloudfiles.list_clouds(tmp_path / "clouds").train[1]
    expected = [[1, -3, 2], [0, 0, 5], [0, -7, 0], [4, 0, 0]]
    np.testing.assert_array_equal(cloudfiles.read_cloud(item), expected)


@pytest.mark.parametrize("type", [">f4", "f8", ">i2", "u1", ">u2"])
def test_clouds_and_labels_may_have_any_type_of_number(tmp_path, type):
    write_release(tmp_path / "clouds", {"train": (3,), "test": (2,)}, classes=2)
    with h5py.File(tmp_path / "clouds" / "ply_data_train0.h5", "a") as file:
        data, labels = np.full((3, 4, 3), [1, 2, 3], type), file["label"][:].astype(">f4")
        del file["data"], file["label"]
        file["data"], file["label"] = data, labels
    items = cloudfiles.list_clouds(tmp_path / "clouds").train
    assert [item.label for item in items] == [0, 1, 0]
    np.testing.assert_array_equal(cloudfiles.read_cloud(items[1]), [[1, -3, 2]] * 4)


def test_files_that_no_list_names_are_logged(tmp_path, caplog):
    write_release(tmp_path / "clouds", {"train": (3,), "test": (2,)}, classes=2)
    (tmp_path / "clouds" / "ply_data_train1.h5").write_bytes(b"")
    with caplog.at_level(logging.INFO):
        assert len(cloudfiles.list_clouds(tmp_path / "clouds").train) == 3
    assert "no list names ply_data_train1.h5, so they are not used" in caplog.text


def test_lists_written_on_windows(tmp_path):
    write_release(tmp_path / "clouds", {"train": (3,), "test": (2,)}, classes=2)
    for path in (*tmp_path.glob("clouds/*.txt"), *tmp_path.glob("clouds/*.json")):
        text = path.read_text().replace("/", "\\\\" if path.suffix == ".json" else "\\")
        path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    found = cloudfiles.list_clouds(tmp_path / "clouds")
    assert found.class_names == ("class00", "class01")
    assert found.test[1].id == "class01_00004"


def small_modelnet40(root):
    write_release(
        root / "modelnet40_ply_hdf5_2048", {"train": (4, 2), "test": (3,)}, points=50, classes=3
    )


def test_the_source_modelnet40_reads_the_folder(config, tmp_path, caplog):
    small_modelnet40(tmp_path)
    config.name, config.root = "modelnet40", str(tmp_path)
    splits = data.load(config)
    assert (len(splits.train), len(splits.test)) == (6, 3)
    assert splits.train.inputs["points"].shape == (6, 16, 3)
    assert splits.train.inputs["image"].shape == (6, 2, 16, 16, 1)
    assert splits.train.provenance["source"] == "files"
    assert set(splits.train.provenance["sha256"]) == {
        "ply_data_train0.h5", "ply_data_train1.h5", "ply_data_test0.h5",
    }  # fmt: skip
    assert "6 training and 3 test clouds, the official release 9840 and 2468" in caplog.text


def write_views(root, names, total=180, size=20):
    """Writes views whose brightness is their number."""
    for name in names:
        folder = root / name.rpartition("_")[0] / name
        folder.mkdir(parents=True)
        for k in range(total):
            Image.new("L", (size, size), k).save(folder / f"{name}.{k}.png")


def test_given_views_are_paired_with_the_shapes_by_name(config, tmp_path):
    small_modelnet40(tmp_path)
    config.name, config.root, config.views = "modelnet40", str(tmp_path), 4
    rendered = data.load(config)
    write_views(tmp_path / "ModelNet40-Images-180", [*rendered.train.ids, *rendered.test.ids])
    # One object's pictures differ from the others'.
    pictures = tmp_path / "ModelNet40-Images-180" / "class01" / rendered.train.ids[1]
    for k in range(180):
        Image.new("L", (20, 20), 255).save(pictures / f"{pictures.name}.{k}.png")
    splits = data.load(config)
    image = splits.train.inputs["image"]
    assert image.shape == (6, 4, 16, 16, 1)
    np.testing.assert_array_equal(image[0, :, 8, 8, 0], [0, 45, 90, 135])
    np.testing.assert_array_equal(image[1, :, 8, 8, 0], [255] * 4)
    np.testing.assert_array_equal(splits.train.inputs["points"], rendered.train.inputs["points"])
    assert splits.train.provenance["views"].endswith("ModelNet40-Images-180")
    # A picture that changes in its folder is read anew.
    Image.new("L", (20, 20), 7).save(pictures / f"{pictures.name}.0.png")
    again = data.load(config).train.inputs["image"]
    np.testing.assert_array_equal(again[1, :, 8, 8, 0], [7, 255, 255, 255])


def test_a_missing_view_is_named(config, tmp_path):
    small_modelnet40(tmp_path)
    config.name, config.root = "modelnet40", str(tmp_path)
    names = [item.id for item in modelnetfiles.find(modelnetfiles.MODELNET40, config).test]
    write_views(tmp_path / "ModelNet40-Images-180", names)
    with pytest.raises(UsageError, match=r"there is no file .*/class00_00004\.0\.png"):
        data.load(config)


def test_modelnet10_needs_no_list_of_names(tmp_path):
    write_release(tmp_path / "modelnet10_hdf5_2048", {"train": (12,), "test": (10,)}, classes=10)
    folder = tmp_path / "modelnet10_hdf5_2048"
    for path in [*folder.glob("*.txt"), *folder.glob("*.json")]:
        path.unlink()
    names = tuple(f"kind{k}" for k in range(10))
    found = cloudfiles.list_clouds(folder, names)
    assert found.class_names == names and found.train[11].id == "train_00011"
    with pytest.raises(
        UsageError, match=r"no file .*shape_names.txt, so the classes have no names"
    ):
        cloudfiles.list_clouds(folder)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda f: (f / "ply_data_test0.h5").unlink(), "names 'ply_data_test0.h5', but"),
        (lambda f: (f / "ply_data_test0.h5").write_bytes(b"junk"), "test0.h5 cannot be read"),
        (
            lambda f: (f / "shape_names.txt").write_text("a\n"),
            "labels run from 0 to 1, but there are 1",
        ),
        (
            lambda f: (f / "ply_data_test_0_id2file.json").write_text('["a/a_1.ply"]'),
            "names 1 shapes, but ply_data_test0.h5 has 2",
        ),
        (lambda f: (f / "ply_data_test_0_id2file.json").write_text("{"), "id2file.json cannot be"),
        (lambda f: (f / "test_files.txt").write_text(""), "has no test_files.txt and no file"),
    ],
)
def test_damaged_releases(tmp_path, break_it, message):
    write_release(tmp_path / "clouds", {"train": (3,), "test": (2,)}, classes=2)
    break_it(tmp_path / "clouds")
    with pytest.raises(UsageError, match=message):
        cloudfiles.list_clouds(tmp_path / "clouds")


def test_files_without_the_arrays(tmp_path):
    write_release(tmp_path / "clouds", {"train": (3,), "test": (2,)}, classes=2)
    with h5py.File(tmp_path / "clouds" / "ply_data_train0.h5", "w") as file:
        file["points"] = np.zeros((3, 4, 3))
    with pytest.raises(UsageError, match=r"must have numbers 'data' .* not points \[3, 4, 3\]"):
        cloudfiles.list_clouds(tmp_path / "clouds")
