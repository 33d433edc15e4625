import dataclasses
import json
import zipfile

import h5py
import numpy as np
import pytest

from jaxcmr import data
from jaxcmr.data.sources import meshfiles, modelnet
from jaxcmr.data.standin.furniture import MAKERS
from jaxcmr.errors import UsageError


def off_text(mesh) -> str:
    vertices = "\n".join(" ".join(map(str, row)) for row in mesh.vertices)
    faces = "\n".join("3 " + " ".join(map(str, row)) for row in mesh.faces)
    return f"OFF\n{len(mesh.vertices)} {len(mesh.faces)} 0\n{vertices}\n{faces}\n"


@pytest.fixture(scope="module")
def members() -> dict[str, str]:
    """A ModelNet10 of 30 meshes, by path in the zip."""
    texts = {}
    for name in MAKERS:
        for number, split in ((1, "train"), (2, "train"), (3, "test")):
            mesh = MAKERS[name](np.random.default_rng(number))
            texts[f"ModelNet10/{name}/{split}/{name}_{number:04d}.off"] = off_text(mesh)
    return texts


@pytest.fixture
def folder(tmp_path, members):
    for path, text in members.items():
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (tmp_path / "ModelNet10" / "README.txt").write_text("hello")
    return tmp_path


@pytest.fixture
def zipped(tmp_path, members):
    with zipfile.ZipFile(tmp_path / "ModelNet10.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for path, text in members.items():
            file.writestr(path, text)
        file.writestr("__MACOSX/ModelNet10/bed/train/._bed_0001.off", "junk")
        file.writestr("ModelNet10/bed/.DS_Store", "junk")
    return tmp_path


def point_arrays(classes=tuple(MAKERS), rows=(20, 10)):
    rng = np.random.default_rng(0)
    arrays = {"class_names": np.array(classes)}
    for split, count in zip(("train", "test"), rows):
        arrays[f"{split}_points"] = rng.normal(size=(count, 30, 3)).astype(np.float32)
        arrays[f"{split}_labels"] = np.arange(count) % len(classes)
        arrays[f"{split}_names"] = np.array([f"{split}{k}" for k in range(count)])
    return arrays


def test_folder_and_zip_give_the_same_rows(config, folder, members, tmp_path_factory):
    config.root = str(folder)
    splits = data.load(config)
    assert splits.train.provenance["source"] == "files"
    assert splits.train.provenance["path"] == str(folder / "ModelNet10")
    assert list(splits.train.ids[:3]) == ["bathtub_0001", "bathtub_0002", "bed_0001"]
    assert list(splits.test.labels) == list(range(10))
    assert splits.train.class_names == tuple(MAKERS)
    other = tmp_path_factory.mktemp("zip")
    with zipfile.ZipFile(other / "ModelNet10.zip", "w") as file:
        for path, text in sorted(members.items(), reverse=True):
            file.writestr(path, text)
    config.root = str(other)
    from_zip = data.load(config)
    for name, array in splits.train.inputs.items():
        np.testing.assert_array_equal(array, from_zip.train.inputs[name])
    assert len(from_zip.train.provenance["sha256"]) == 64
    json.dumps(dict(from_zip.train.provenance))


def test_hidden_files_in_a_zip_are_passed_over_and_missing_counts_said(config, zipped, caplog):
    config.root = str(zipped)
    assert len(data.load(config).train) == 20
    assert "has 20 training and 10 test meshes, the official release 3991 and 908" in caplog.text


def test_the_archive_may_be_named_in_any_case(config, zipped):
    (zipped / "ModelNet10.zip").rename(zipped / "modelnet10.ZIP")
    config.root = str(zipped)
    assert len(data.load(config).train) == 20


def test_the_root_may_be_the_data_itself(config, folder):
    config.root = str(folder / "ModelNet10")
    assert len(data.load(config).train) == 20


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_point_files(config, tmp_path, suffix):
    arrays = point_arrays()
    path = tmp_path / f"modelnet10{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = np.char.encode(array) if array.dtype.kind == "U" else array
    config.root = str(tmp_path)
    splits = data.load(config)
    assert splits.train.inputs["image"].shape == (20, 2, 16, 16, 1)
    assert list(splits.train.ids[:2]) == ["train0", "train1"]
    np.testing.assert_array_equal(splits.test.labels, np.arange(10))
    # Subsampled from the cloud, and normalized.
    norms = np.linalg.norm(splits.train.inputs["points"], axis=-1)
    assert norms.max() <= 1 + 1e-6 and norms.max() > 0.9


def test_a_changed_file_is_prepared_again(config, tmp_path):
    config.root = str(tmp_path)
    np.savez(tmp_path / "modelnet10.npz", **point_arrays())
    first = data.load(config).train.inputs["points"]
    arrays = point_arrays()
    arrays["train_points"] = arrays["train_points"] ** 3
    np.savez(tmp_path / "modelnet10.npz", **arrays)
    assert not np.allclose(first, data.load(config).train.inputs["points"])


def test_nothing_there_says_where_it_looked_and_how_to_get_it(config, tmp_path):
    config.root = str(tmp_path)
    with pytest.raises(UsageError) as error:
        data.load(config)
    for part in (str(tmp_path), "ModelNet10.zip", "modelnet10.npz", "JAXCMR_OFFLINE", "https://",
                 "--config.data.fallback=procedural10"):  # fmt: skip
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    config.name, config.fallback = "modelnet40", "procedural10"
    with pytest.raises(UsageError, match=r"no ModelNet40 under"):
        data.load(config)
    config.name = "modelnet11"
    with pytest.raises(
        UsageError, match=r"config.data.name is 'modelnet11', but it must be one of"
    ):
        data.load(config)


def test_files_come_before_the_stand_in(config, zipped):
    config.root, config.fallback = str(zipped), "procedural10"
    assert data.load(config).train.provenance["source"] == "files"


def test_broken_files_are_named(config, folder):
    config.root = str(folder)
    bad = folder / "ModelNet10" / "bed" / "train" / "bed_0001.off"
    for text, message in (
        ("OFF\n3 1 0\n0 0 0\n", r"bed_0001.off is cut off"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 nan 0\n3 0 1 2\n", r"bed_0001.off, line 5: a coordinate"),
        ("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n", r"bed_0001 has no extent"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n2 0 0\n3 0 1 2\n", r"bed_0001 has faces without area only"),
    ):
        bad.write_text(text)
        with pytest.raises(UsageError, match=message):
            data.load(config)


def test_broken_zips_are_named(config, zipped, monkeypatch):
    config.root = str(zipped)
    path = zipped / "ModelNet10.zip"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match=r"ModelNet10.zip is no zip file, or was cut off"):
        data.load(config)
    damaged = bytearray(whole)
    damaged[3000:3020] = bytes(20)
    path.write_bytes(damaged)
    with pytest.raises(UsageError, match=r"off is damaged"):
        data.load(config)
    path.write_bytes(whole)
    monkeypatch.setattr(meshfiles, "MAX_BYTES", 100)
    with pytest.raises(UsageError, match=r"unpacks to more than"):
        data.load(config)


def test_wrong_classes_are_named(config, folder):
    config.root = str(folder)
    (folder / "ModelNet10" / "bed").rename(folder / "ModelNet10" / "bunk")
    with pytest.raises(UsageError, match=r"has not the 10 classes expected; compare 'bed'"):
        data.load(config)
    config.root = str(folder / "ModelNet10" / "bunk")
    with pytest.raises(UsageError, match=r"no ModelNet10 under"):
        data.load(config)


@pytest.mark.parametrize(
    ("release", "counts"),
    [(modelnet.MODELNET10, (3991, 908)), (modelnet.MODELNET40, (9843, 2468))],
)
def test_an_archive_of_the_official_counts_is_taken_without_a_word(
    config, tmp_path, caplog, release, counts
):
    names = tuple(MAKERS) if release is modelnet.MODELNET10 else [f"c{k:02d}" for k in range(40)]
    with zipfile.ZipFile(tmp_path / f"{release.folder}.zip", "w") as file:
        for split, count in zip(("train", "test"), counts):
            for row in range(count):
                name = names[row % len(names)]
                file.writestr(f"{release.folder}/{name}/{split}/{name}_{row:05d}.off", "OFF")
    config.root = str(tmp_path)
    found = modelnet.find(release, config)
    assert (len(found.train), len(found.test)) == counts
    assert {item.label for item in found.train} == set(range(len(names)))
    assert "official release" not in caplog.text


def test_members_that_lead_out_of_the_archive_are_passed_over(config, zipped):
    with zipfile.ZipFile(zipped / "ModelNet10.zip", "a") as file:
        file.writestr("../bed/train/evil.off", "OFF")
        file.writestr("ModelNet10/../../bed/train/evil.off", "OFF")
    before = sorted(path.name for path in zipped.parent.iterdir())
    config.root = str(zipped)
    splits = data.load(config)
    assert len(splits.train) == 20 and "evil" not in splits.train.ids
    assert sorted(path.name for path in zipped.parent.iterdir()) == before


def test_real_meshes(config, shared, tmp_path):
    import tarfile

    with tarfile.open(shared / "data" / "modelnet10" / "off_meshes_sample.tar.xz") as file:
        file.extractall(tmp_path, filter="data")
    files = meshfiles.list_meshes(tmp_path / "ModelNet10", tuple(MAKERS))
    assert len(files.train) + len(files.test) == 60
    recipe = modelnet.Recipe(points=64, views=1, image_size=16)
    for item in files.train + files.test[::6]:
        arrays = modelnet.objects.object_arrays(meshfiles.read_mesh(item), item.id, recipe)
        assert 0.05 < (arrays["image"] < 255).mean() < 0.9


@dataclasses.dataclass
class Broken:
    change: dict
    message: str


@pytest.mark.parametrize(
    "case",
    [
        Broken({"train_labels": None}, "has no array 'train_labels', only"),
        Broken({"train_labels": np.zeros(7)}, "train labels have the shape"),
        Broken({"train_labels": np.full(20, 0.5)}, "must be whole numbers"),
        Broken({"train_labels": np.full(20, 10)}, "run from 10 to 10, but there are 10 class"),
        Broken({"train_labels": np.full(20, -1)}, "run from -1 to -1"),
        Broken({"train_labels": np.array(["bed"] * 20)}, "must be whole numbers"),
        Broken({"train_labels": np.zeros(20, int)}, "the class 'bed' has no sample in the"),
        Broken({"train_points": np.zeros((20, 30))}, "must be numbers"),
        Broken({"train_points": np.zeros((0, 30, 3)), "train_labels": np.zeros(0, int),
                "train_names": np.zeros(0, "U1")}, "the training set has no sample"),
        Broken({"train_points": np.full((20, 30, 3), np.nan)}, "train0 has coordinates that are"),
        Broken({"train_names": np.array(["a"] * 20)}, "the id 'a' is used twice"),
        Broken({"train_names": np.array(["a"] * 3)}, "3 train names for 20 clouds"),
        Broken({"train_names": np.array([object()] * 20)}, "train_names holds object; save"),
    ],
)  # fmt: skip
def test_bad_point_files_are_one_sentence(config, tmp_path, case):
    arrays = {**point_arrays(), **case.change}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    np.savez(tmp_path / "modelnet10.npz", **arrays)
    config.root = str(tmp_path)
    with pytest.raises(UsageError) as error:
        data.load(config)
    assert case.message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
@pytest.mark.parametrize("keep", [0, 10, 1500])
def test_truncated_point_files(config, tmp_path, suffix, keep):
    path = tmp_path / f"modelnet10{suffix}"
    if suffix == ".npz":
        np.savez(path, **point_arrays())
    else:
        with h5py.File(path, "w") as file:
            file["train_points"] = np.zeros((20, 30, 3))
    path.write_bytes(path.read_bytes()[:keep])
    config.root = str(tmp_path)
    with pytest.raises(UsageError, match=rf"modelnet10{suffix} cannot be read"):
        data.load(config)
