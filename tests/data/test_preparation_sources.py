"""Raw files of the named data sets become the rows that their sources deliver."""

import gzip
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from jaxcmr import data
from jaxcmr.data import preparation
from jaxcmr.data.sources import mnist3d
from jaxcmr.data.standin.furniture import MAKERS
from jaxcmr.errors import UsageError

RNG = np.random.default_rng(0)


def read_back(splits, folder):
    preparation.write(folder, splits.preparation)
    return preparation.read(folder)


@pytest.fixture
def modelnet(config, tmp_path):
    """A ModelNet10 of 30 meshes, its splits, and the files of the test set in its order."""
    files = []
    for name, make in MAKERS.items():
        for number, split in ((1, "train"), (2, "train"), (3, "test")):
            mesh = make(np.random.default_rng(number))
            path = tmp_path / "ModelNet10" / name / split / f"{name}_{number:04d}.off"
            path.parent.mkdir(parents=True, exist_ok=True)
            corners = "\n".join(" ".join(map(repr, row)) for row in mesh.vertices.tolist())
            faces = "\n".join(f"3 {a} {b} {c}" for a, b, c in mesh.faces.tolist())
            path.write_text(f"OFF\n{len(mesh.vertices)} {len(mesh.faces)} 0\n{corners}\n{faces}\n")
            files += [path] if split == "test" else []
    config.name, config.root, config.faces = "modelnet10", str(tmp_path), 40
    config.modalities = ("image", "points", "mesh")
    return config, files


def test_meshes_become_the_rows_of_modelnet(modelnet, tmp_path):
    config, files = modelnet
    splits = data.load(config, workers=1)
    found = read_back(splits, tmp_path)
    assert {n: recipe.kind for n, recipe in found.recipes.items()} == {
        "image": "views", "points": "cloud", "mesh": "mesh",
    }  # fmt: skip
    for modality in ("image", "points"):
        expected = splits.test.inputs[modality]
        np.testing.assert_array_equal(found.rows(modality, files).items, expected)
        assert found.recipes[modality].shape == expected.shape[1:]
        assert found.recipes[modality].dtype == expected.dtype
    made = found.rows("mesh", files).items
    assert made.keys() == splits.test.inputs["mesh"].keys()
    for part, expected in splits.test.inputs["mesh"].items():
        np.testing.assert_array_equal(made[part], expected)
        assert found.recipes["mesh"].shape[part] == expected.shape[1:]
        assert found.recipes["mesh"].dtype[part] == expected.dtype == made[part].dtype
    with pytest.raises(UsageError, match=r"mesh\[0\] is an array \[9, 3\], but the model takes me"):
        found.rows("mesh", [np.zeros((9, 3))])


def test_views_in_colors_may_be_rendered_or_given(modelnet, tmp_path):
    config, files = modelnet
    config.channels, config.modalities = 3, ("image", "points")
    splits = data.load(config, workers=1)
    found, expected = read_back(splits, tmp_path), splits.test.inputs["image"]
    np.testing.assert_array_equal(found.rows("image", files).items, expected)
    np.testing.assert_array_equal(found.rows("image", expected).items, expected)  # as arrays
    pictures = [[view[..., 0] for view in item] for item in expected]
    np.testing.assert_array_equal(found.rows("image", pictures).items, expected)
    one = found.rows("image", [Image.fromarray(expected[0, 0])]).items
    np.testing.assert_array_equal(one[0, 1], expected[0, 0])
    # Another format of the same mesh, with the same name, is the same object.
    shape = trimesh.load(files[0], process=False)
    shape.export(tmp_path / f"{files[0].stem}.ply")
    rows = found.rows("image", [tmp_path / f"{files[0].stem}.ply"]).items
    np.testing.assert_allclose(rows, expected[:1], atol=2)
    # A cloud, as file or array, is drawn as discs.
    cloud = RNG.normal(size=(30, 3))
    np.save(tmp_path / "cloud.npy", cloud)
    trimesh.PointCloud(cloud).export(tmp_path / "cloud.ply")
    rows = found.rows("image", [tmp_path / "cloud.npy", cloud, tmp_path / "cloud.ply"]).items
    np.testing.assert_array_equal(rows[0], rows[1])
    assert np.abs(rows[2].astype(int) - 255).max() > 0


def test_given_views_take_pictures_and_no_meshes(modelnet, tmp_path):
    config, files = modelnet
    config.modalities = ("image", "points")
    for mesh in (tmp_path / "ModelNet10").rglob("*.off"):
        folder = tmp_path / "ModelNet10-Images-180" / mesh.parts[-3] / mesh.stem
        folder.mkdir(parents=True)
        for number in (0, 90):
            pixels = RNG.integers(0, 256, (20, 20), np.uint8)
            Image.fromarray(pixels).save(folder / f"{mesh.stem}.{number}.png")
    splits = data.load(config, workers=1)
    found = read_back(splits, tmp_path)
    folders = [tmp_path / "ModelNet10-Images-180" / f.parts[-3] / f.stem for f in files]
    raw = [[folder / f"{folder.name}.{number}.png" for number in (0, 90)] for folder in folders]
    np.testing.assert_array_equal(found.rows("image", raw).items, splits.test.inputs["image"])
    with pytest.raises(UsageError, match=r"\.off', but the model takes 2 views of an object"):
        found.rows("image", [files[0]])
    np.testing.assert_array_equal(found.rows("points", files).items, splits.test.inputs["points"])


def test_clouds_become_the_rows_of_a_point_file(config, tmp_path):
    arrays = {"class_names": np.array(tuple(MAKERS))}
    for split, count in (("train", 20), ("test", 10)):
        arrays[f"{split}_points"] = RNG.normal(size=(count, 30, 3)).astype(np.float32)
        arrays[f"{split}_labels"] = np.arange(count) % 10
        arrays[f"{split}_names"] = np.array([f"{split}{k}" for k in range(count)])
    np.savez(tmp_path / "modelnet10.npz", **arrays)
    config.name, config.root = "modelnet10", str(tmp_path)
    splits = data.load(config, workers=1)
    found = read_back(splits, tmp_path)
    for k, cloud in enumerate(arrays["test_points"][:3]):
        np.save(tmp_path / f"test{k}.npy", cloud)
        rows = found.rows("points", [tmp_path / f"test{k}.npy"]).items
        np.testing.assert_array_equal(rows[0], splits.test.inputs["points"][k])
    views = found.rows("image", arrays["test_points"]).items
    np.testing.assert_array_equal(views, splits.test.inputs["image"])


@pytest.fixture
def digits(config, tmp_path, monkeypatch):
    """MNIST's files with 11 and 6 digits, their splits and pictures."""
    monkeypatch.setattr(mnist3d, "TRAIN", 11)
    monkeypatch.setattr(mnist3d, "TEST", 6)
    pictures = np.where(RNG.random((17, 28, 28)) < 0.7, 0, RNG.integers(1, 256, (17, 28, 28)))
    pictures = pictures.astype(np.uint8)
    labels = (np.arange(17) % 11 % 10).astype(np.uint8)
    parts = (pictures[:11], labels[:11], pictures[11:], labels[11:])
    for name, array in zip(mnist3d.FILES, parts):
        head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (tmp_path / name).write_bytes(gzip.compress(head + array.tobytes()))
    config.name, config.root, config.modalities = "mnist3d", str(tmp_path), ("image", "points")
    return data.load(config, workers=1), pictures


def test_pictures_become_the_rows_of_mnist(digits, tmp_path):
    splits, pictures = digits
    found = read_back(splits, tmp_path)
    Image.fromarray(pictures[12]).save(tmp_path / "x.png")
    rows = found.rows("image", [pictures[11], tmp_path / "x.png"]).items
    np.testing.assert_array_equal(rows, splits.test.inputs["image"][:2])
    # The margin of a digit is black.
    wide = found.rows("image", [np.full((14, 28), 255, np.uint8)]).items[0, ..., 0]
    np.testing.assert_array_equal(wide[:, 0], np.repeat([0, 255, 0], [7, 14, 7]))


def test_digits_are_extruded_to_clouds(digits, tmp_path):
    splits, pictures = digits
    found = read_back(splits, tmp_path)
    expected = splits.train.inputs["points"][0]  # the draw of row 0
    Image.fromarray(pictures[0]).save(tmp_path / "x.png")
    raw = [tmp_path / "x.png", pictures[0], Image.open(tmp_path / "x.png"), expected]
    np.testing.assert_array_equal(found.rows("points", raw).items, np.stack([expected] * 4))
    # A picture of another size is fitted in, on black.
    square = np.full((14, 28), 255, np.uint8)
    large = np.pad(square, ((7, 7), (0, 0)))
    rows = found.rows("points", [square, large]).items
    np.testing.assert_array_equal(rows[0], rows[1])
    # A whole cloud keeps its shape whatever its scale: the longest axis becomes 1.
    cloud = 7 + 3 * RNG.random((500, 3))
    rows = found.rows("points", [cloud, 2 * cloud - 1]).items
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-6)
    whole = (cloud - cloud.mean(0)) / np.ptp(cloud, 0).max()
    distances = np.linalg.norm(rows[0][:, None] - whole, axis=-1).min(1)
    assert distances.max() < 1e-6
    for wrong, words in (
        (np.zeros((28, 28), np.uint8), r"points\[0\]: a digit's picture is all zero"),
        (np.full((16, 3), np.nan), r"points\[0\] has coordinates that are not finite"),
        (np.ones((40, 3)), r"points\[0\] has no extent"),
    ):
        with pytest.raises(UsageError, match=words):
            found.rows("points", [wrong])


def test_frames_become_the_rows_of_rgbd_object(config, tmp_path):
    crops = {}
    for instance in ("apple_1", "apple_2", "bowl_1", "bowl_2"):
        folder = tmp_path / "rgbd-dataset_eval" / instance[:-2] / instance
        folder.mkdir(parents=True)
        name = f"{instance}_1_1"
        pixels = RNG.integers(0, 256, (4, 6, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}_crop.png")
        depth = 800 + RNG.integers(0, 99, (4, 6)).astype(np.uint16)
        Image.fromarray(depth).save(folder / f"{name}_depthcrop.png")
        (folder / f"{name}_loc.txt").write_text("100,120\n")
        crops[name] = folder / f"{name}_crop.png"
    config.name, config.root, config.channels = "rgbd_object", str(tmp_path), 3
    config.modalities = ("image", "points")
    splits = data.load(config, workers=1)
    found = read_back(splits, tmp_path)
    for modality, expected in splits.test.inputs.items():
        rows = found.rows(modality, [crops[name] for name in splits.test.ids.tolist()]).items
        np.testing.assert_array_equal(rows, expected)
    crop = crops["apple_1_1_1"]
    with pytest.raises(UsageError, match=r"_depthcrop\.png does not end in _crop\.png"):
        found.rows("points", [crop.with_name("apple_1_1_1_depthcrop.png")])
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(crop.with_name("apple_1_1_1_depthcrop.png"))
    with pytest.raises(UsageError, match=r"apple_1_1_1_crop\.png: its depth has no po"):
        found.rows("points", [crop])


def test_generated_furniture_takes_meshes(config, tmp_path):
    config.name = "procedural10"
    splits = data.load(config, workers=1)
    found = read_back(splits, tmp_path)
    trimesh.creation.box((1, 2, 3)).export(tmp_path / "box.stl")
    points = found.rows("points", [tmp_path / "box.stl"]).items[0]
    assert points.shape == splits.train.inputs["points"].shape[1:]
    assert found.recipes["image"].shape == splits.train.inputs["image"].shape[1:]
    sides = np.abs(points).max(0)
    np.testing.assert_allclose(sides, np.array([1, 2, 3]) / np.sqrt(14), atol=1e-6)


def test_features_of_the_papers_are_arrays_alone(config, tmp_path):
    table = {f"{split}_labels": np.arange(20) % 10 for split in ("train", "validation", "test")}
    for split in ("train", "validation", "test"):
        table[f"{split}_image"] = RNG.normal(size=(20, 6))
        table[f"{split}_text"] = RNG.normal(size=(20, 4))
    np.savez(tmp_path / "wikipedia.npz", **table)
    config.name, config.root, config.modalities = "wikipedia", str(tmp_path), ("image", "text")
    config.standardize = ("text",)
    splits = data.load(config)
    found = read_back(splits, tmp_path)
    for modality, expected in splits.test.inputs.items():
        rows = found.rows(modality, table[f"test_{modality}"]).items
        np.testing.assert_array_equal(rows, expected)
    with pytest.raises(UsageError, match=r"'\.jpg', but the model takes features as arrays \[6\]"):
        found.rows("image", ["photo.jpg"])
