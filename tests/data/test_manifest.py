import json
import struct

import numpy as np
import pytest
import trimesh
from ml_collections import ConfigDict
from PIL import Image

from jaxcmr import data
from jaxcmr.data.formats import pictures
from jaxcmr.data.formats.itemfiles import load_mesh
from jaxcmr.data.items.texts import learn
from jaxcmr.errors import UsageError

CLOUD = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)


def pcd(kind: str) -> bytes:
    head = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS i x y z\nSIZE 4 4 4 4\nTYPE U F F F\nCOUNT 1 1 1 1\n"
        f"WIDTH 30\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 30\nDATA {kind}\n"
    ).encode()
    if kind == "ascii":
        return head + "\n".join(f"7 {x!r} {y!r} {z!r}" for x, y, z in CLOUD.tolist()).encode()
    return head + b"".join(struct.pack("<I3f", 7, *row) for row in CLOUD)


@pytest.fixture
def catalogue(tmp_path):
    """Ten objects of two classes: pictures, clouds in all formats, texts; some items missing."""
    shape = trimesh.creation.box((1, 2, 3))
    rows = []
    for k in range(10):
        kind = "red pot" if k % 2 else "blue pan"
        Image.new("RGB", (20, 10), (200, 0, 0) if k % 2 else (0, 0, 200)).save(
            tmp_path / f"{k}.png"
        )
        cloud = tmp_path / f"{k}{('.npy', '.ply', '.pcd')[k % 3]}"
        if cloud.suffix == ".npy":
            np.save(cloud, CLOUD)
        elif cloud.suffix == ".ply":
            trimesh.PointCloud(CLOUD).export(cloud)
        else:
            cloud.write_bytes(pcd("ascii" if k == 2 else "binary"))
        mesh = tmp_path / f"{k}{('.off', '.obj', '.ply', '.stl', '.glb')[k % 5]}"
        if mesh.suffix == ".glb":
            trimesh.creation.box((1, 3, 2)).export(mesh)  # y up
        elif mesh != cloud:
            shape.export(mesh)
        else:
            mesh = tmp_path / "0.off"
        rows.append({
            "id": f"item {k}", "label": kind.split()[1], "image": f"{k}.png", "points": cloud.name,
            "mesh": mesh.name, "text": f"a {kind} for the kitchen",
            "split": "test" if k > 6 else "train",
        })  # fmt: skip
    rows[3]["image"] = ""
    return tmp_path, rows


def write_csv(path, rows):
    lines = [",".join(rows[0])] + [",".join(row.values()) for row in rows]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def own(config):
    fields = config.to_dict() | {"name": "manifest", "path": "", "channels": 3}
    return ConfigDict(fields | {"modalities": ("image", "points", "mesh", "text")})


def test_csv_and_jsonl_give_the_same(own, catalogue):
    folder, rows = catalogue
    write_csv(folder / "items.csv", rows)
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, rows)))
    own.path = str(folder / "items.csv")
    splits = data.load(own)
    assert (len(splits.train), len(splits.test)) == (7, 3)
    assert splits.train.class_names == ("pan", "pot")
    np.testing.assert_array_equal(splits.train.labels, [0, 1, 0, 1, 0, 1, 0])
    assert splits.train.ids[3] == "item 3"
    image = splits.train.inputs["image"]
    assert image.shape == (7, 16, 16, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(image[1, 8, 8], [200, 0, 0])
    np.testing.assert_array_equal(image[1, 0, 0], [255, 255, 255])  # 20 x 10 on a square
    np.testing.assert_array_equal(splits.train.present["image"], np.arange(7) != 3)
    assert not image[3].any()
    points = splits.train.inputs["points"]
    for other in points[1:]:
        np.testing.assert_allclose(other, points[0], atol=1e-6)
    surface = np.abs(splits.train.inputs["mesh"]) * np.sqrt(
        14
    )  # half edges 1/2, 1, 3/2 by sqrt(14)/2
    np.testing.assert_allclose((surface / [1, 2, 3]).max(-1), 1, atol=1e-4)
    text = splits.train.inputs["text"]
    np.testing.assert_allclose(np.linalg.norm(text, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(text[0], text[2])
    own.path = str(folder / "items.jsonl")
    other = data.load(own)
    for name, array in splits.train.inputs.items():
        np.testing.assert_array_equal(array, other.train.inputs[name])


@pytest.mark.parametrize(
    ("row", "column", "value", "message"),
    [
        (2, "image", "none.png", "line 4: there is no file"),
        (2, "image", "2.pcd", "line 4: .*2.pcd must end in one of .png"),
        (2, "image", "broken.png", "line 4: .*broken.png is no PNG or JPEG"),
        (2, "image", "cut.png", "line 4: .*cut.png cannot be read"),
        (2, "points", "pickle.npy", "line 4: .*pickle.npy cannot be read"),
        (2, "points", "flat.npy", r"line 4: .*flat.npy holds float64 \[4\], not numbers"),
        (2, "points", "nan.npy", "line 4: .*nan.npy has coordinates that are not finite"),
        (2, "points", "same.npy", "line 4: .*same.npy has no extent"),
        (2, "points", "cut.pcd", "line 4: .*cut.pcd is damaged or cut off"),
        (2, "points", "broken.ply", "line 4: .*broken.ply is no .ply file"),
        (2, "mesh", "cut.glb", "line 4: .*cut.glb is cut off"),
        (2, "mesh", "bad.off", "line 4: .*bad.off is cut off"),
        (2, "mesh", "points.ply", "line 4: .*points.ply holds no face"),
        (2, "label", "NaN", "line 4: the cell 'label' is 'NaN', which stands for no value; leave"),
        (2, "split", "later", "line 4: the split 'later' is none of train, validation, test"),
        (2, "id", "item 1", "the id 'item 1' is used twice"),
        (2, "text", "none.txt", "line 4: there is no file .*none.txt"),
    ],
)
def test_each_mistake_names_line_and_file(own, catalogue, row, column, value, message):
    folder, rows = catalogue
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n")
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(noise).save(folder / "cut.png")
    (folder / "cut.png").write_bytes((folder / "cut.png").read_bytes()[:2000])
    np.save(folder / "pickle.npy", np.array([{}]), allow_pickle=True)
    np.save(folder / "flat.npy", np.ones(4))
    np.save(folder / "nan.npy", np.full((4, 3), np.nan))
    np.save(folder / "same.npy", np.ones((4, 3)))
    (folder / "cut.pcd").write_bytes(pcd("binary")[:-10])
    (folder / "broken.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex 5\n")
    (folder / "cut.glb").write_bytes((folder / "4.glb").read_bytes()[:300])
    (folder / "bad.off").write_text("OFF\n3 1 0\n")
    trimesh.PointCloud(CLOUD).export(folder / "points.ply")
    rows[row][column] = value
    write_csv(folder / "items.csv", rows)
    own.path = str(folder / "items.csv")
    with pytest.raises(UsageError, match=message) as error:
        data.load(own)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("items.csv", "", "has no row"),
        ("items.csv", "label,image\n", "has no row"),
        ("items.csv", "label,image\na,b,c\n", "line 2: not as many cells"),
        ("items.csv", "label,image\na\n", "line 2: not as many cells"),
        (
            "items.csv",
            'label,image\na,"b\n',
            "line 2: a quote that opens .* is never closed",
        ),
        ("items.csv", "label,points\na,b\nc,d\n", "has no column 'image', only label, points"),
        ("items.jsonl", "{}\n[1]\n", "line 2: a JSON object is needed"),
        ("items.jsonl", "{\n", "line 1: no JSON"),
        ("items.txt", "a", r"must end in .csv, .tsv or .jsonl"),
    ],
)
def test_malformed_manifests(own, tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    own.path = str(tmp_path / name)
    with pytest.raises(UsageError, match=message):
        data.load(own)
    (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"must end in|begins as UTF-16 does but is cut"):
        data.load(own)
    own.path = str(tmp_path / "none.csv")
    with pytest.raises(UsageError, match=r"none.csv cannot be read"):
        data.load(own)


def test_an_image_bomb_is_refused(tmp_path, monkeypatch):
    Image.new("L", (30, 30)).save(tmp_path / "x.png")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100)
    with pytest.raises(UsageError, match="has 30 x 30 pixels, too many"):
        pictures.read_image(tmp_path / "x.png", 8, 1)


def test_words_of_test_rows_do_not_enter_the_vocabulary():
    texts = ["red pot", "blue pot", "unseen pot"]
    rows = learn(texts[:2]).rows(texts)
    assert rows.shape == (3, 3)
    np.testing.assert_allclose(rows[2], np.eye(3)[1])  # blue, pot, red


def test_all_parts_of_a_scene_keep_their_place(tmp_path):
    scene = trimesh.Scene()
    for x in (0, 5):
        scene.add_geometry(
            trimesh.creation.box(), transform=trimesh.transformations.translation_matrix([x, 0, 0])
        )
    scene.export(tmp_path / "two.glb")
    mesh = load_mesh(tmp_path / "two.glb")
    assert len(mesh.faces) == 24
    np.testing.assert_allclose(np.ptp(mesh.vertices, axis=0), [6, 1, 1])
