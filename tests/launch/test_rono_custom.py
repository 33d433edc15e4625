"""configs/rono_custom.py on ten objects of one's own, through the main command, end to end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import trimesh
from PIL import Image

from jaxcmr.config import default, encoder
from jaxcmr.data.own.complete import complete
from jaxcmr.errors import UsageError
from jaxcmr.workdir import embeddings

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--config.data.image_size=32", "--config.data.points=32", "--config.train.epochs=3")


def launch(
    folder: Path, *arguments: str, file: str = "configs/rono_custom.py"
) -> subprocess.CompletedProcess:
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    environment.pop("JAXCMR_DATA", None)
    command = [
        sys.executable, "launch/main.py", f"--config={file}",
        f"--workdir={folder / 'run'}", *SMALL, *arguments,
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)


def result(folder: Path) -> dict:
    return json.loads((folder / "run" / "result.json").read_text())


@pytest.fixture
def catalogue(tmp_path):
    """Ten objects of two classes: red boxes and blue balls, as pictures, meshes and clouds.

    No two files are the same: such rows would stay together.
    """
    lines = ["id,label,image,points,mesh"]
    rng = np.random.default_rng(0)
    for k in range(10):
        color, label = ((200 + k, 0, 0), "box") if k % 2 else ((0, 0, 200 + k), "ball")
        Image.new("RGB", (20, 30), color).save(tmp_path / f"{k}.png")
        shape = trimesh.creation.box((1, 2, 3)) if k % 2 else trimesh.creation.icosphere(2)
        shape.apply_scale((1, 1, 1 + k / 50))
        shape.export(tmp_path / f"{k}.off")
        np.save(tmp_path / f"{k}.npy", shape.sample(40, seed=int(rng.integers(1000))))
        lines.append(f"item {k},{label},{k}.png,{k}.npy,{k}.off")
    (tmp_path / "items.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.mark.slow
def test_a_manifest_of_ten_objects_trains_out_of_the_box(catalogue):
    run = launch(catalogue, f"--config.data.path={catalogue / 'items.csv'}")
    assert run.returncode == 0, run.stderr
    assert "image by compact_cnn, points by pointnet, mesh by pointnet; batches of 6" in run.stderr
    found = result(catalogue)
    # A fifth of each class is the test set, two of the other eight rows choose the epoch.
    assert found["sizes"] == {"train": 6, "validation": 2, "test": 2}
    assert found["data"]["source"] == "files" and found["noise"]["rows_changed"] == 0
    pairs = {f"{a}->{b}" for a in ("image", "points", "mesh") for b in ("image", "points", "mesh")}
    scored = {name for name in found["scores"]["best"] if "->" in name and name in pairs}
    assert len(scored) >= 6
    lines = (catalogue / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["loss"] for line in lines]
    assert len(losses) == 3 and losses[-1] < losses[0]
    saved = embeddings.read(catalogue / "run")["mesh"]
    assert saved.split.tolist() == ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    assert set(saved.ids) == {f"item {k}" for k in range(10)}
    chosen = json.loads((catalogue / "run" / "config.json").read_text())
    assert chosen["data"]["modalities"] == ["image", "points", "mesh"]
    assert chosen["train"]["batch_size"] == 6 and chosen["data"]["validation"] == 0.25


@pytest.mark.slow
def test_arrays_of_vectors_and_pictures_train_too(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 4
    np.savez(
        tmp_path / "own.npz",
        image=(rng.random((40, 16, 16, 3)) * 60 + 40 * labels[:, None, None, None]).astype(
            np.uint8
        ),
        sound=rng.normal(size=(40, 12)) + 3 * np.eye(4)[labels].repeat(3, 1),
        labels=labels,
    )
    run = launch(
        tmp_path,
        f"--config.data.path={tmp_path / 'own.npz'}",
        "--config.data.standardize=('sound',)",
        "--config.encoders.embedding_size=32",
    )
    assert run.returncode == 0, run.stderr
    assert "image by compact_cnn, sound by fc; batches of 29" in run.stderr
    assert result(tmp_path)["sizes"] == {"train": 29, "validation": 3, "test": 8}


@pytest.mark.slow
def test_any_config_takes_own_arrays_without_its_noise_and_on_eight_devices(tmp_path, monkeypatch):
    """Batches of 100 and five members: eight devices cannot share them, five can."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    rng, labels = np.random.default_rng(0), np.arange(150) % 3
    arrays = {name: rng.normal(size=(150, 8)) + labels[:, None] for name in ("image", "text")}
    np.savez(tmp_path / "own.npz", labels=labels, **arrays)
    run = launch(
        tmp_path,
        "--config.data.name=own",
        f"--config.data.path={tmp_path / 'own.npz'}",
        "--config.train.epochs=4",
        file="configs/mmcd_wikipedia.py",
    )
    assert run.returncode == 0, run.stderr
    assert "your own data get none of this config's noise" in run.stderr
    assert "5 of 8 devices work: 5 by members, 1 by batches of 100" in run.stderr
    found = result(tmp_path)
    assert found["mesh"] == {"member": 5, "data": 1} and found["noise"]["rows_changed"] == 0


def test_a_mistake_at_the_command_line_is_one_sentence(tmp_path):
    run = launch(tmp_path)
    assert run.returncode == 2 and "Traceback" not in run.stderr
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("error: your data are not named; add --config.data.path=FILE")


@pytest.fixture
def custom(real_config):
    """`(path) -> ConfigDict`, the config of one's own data at this path."""

    def at(path: Path | str):
        config = real_config("rono_custom")
        config.data.path = str(path)
        return config

    return at


@pytest.mark.parametrize(
    ("content", "modalities", "words"),
    [
        (
            "label,image\n" + "a,0.png\n" * 2,
            (),
            "has the modalities image, but retrieval across modalities",
        ),
        (
            "label,photo,mesh\n" + "a,0.png,0.off\n" * 2,
            (),
            "has the modalities mesh, but retrieval",
        ),
        ("label,image,mesh\n" + "a,,0.off\n" * 2, (), "has the modalities mesh, but retrieval"),
        (
            "label,photo\n" + "a,0.png\n" * 2,
            (),
            "has none of the columns image, .*, only label, photo",
        ),
        (
            "label,image,mesh\na,0.png,0.off\na,1.png,1.off\n",
            (),
            "has 1 training rows; at least 4 are needed",
        ),
        (
            "label,image,mesh\n" + "a,0.png,0.off\n" * 9,
            ("image", "text"),
            "has no modality 'text', only image, mesh",
        ),
    ],
)
def test_what_a_manifest_lacks_is_said(custom, tmp_path, content, modalities, words):
    (tmp_path / "items.csv").write_text(content)
    config = custom(tmp_path / "items.csv")
    config.data.modalities = modalities
    with pytest.raises(UsageError, match=words):
        complete(config)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.csv", "there is no such file or folder"),
        ("items.txt", "must end in .csv, .tsv, .jsonl, .npz, .h5, .hdf5, or be a folder"),
        ("cut.npz", "cut.npz cannot be read"),
        ("cut.h5", "cut.h5 cannot be read"),
        ("empty", r"/empty holds no .npy file; name the file that holds"),
    ],
)
def test_what_is_no_data_is_said(custom, tmp_path, name, words):
    for file in ("items.txt", "cut.npz", "cut.h5"):
        (tmp_path / file).write_bytes(b"PK")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=words):
        complete(custom(tmp_path / name))


@pytest.mark.parametrize(
    ("shape", "dtype", "name"),
    [
        ((9, 7), np.float32, "fc"),
        ((9, 50, 3), np.float32, "pointnet"),
        ((9, 8, 8, 1), np.uint8, "compact_cnn"),
        ((9, 4, 8, 8, 3), np.uint8, "compact_cnn"),
    ],
)
@pytest.mark.parametrize("form", ["npz", "h5", "folder"])
def test_encoders_go_by_the_shapes_of_arrays(custom, tmp_path, shape, dtype, name, form):
    arrays = {"train_x": np.zeros(shape, dtype), "train_y": np.zeros((9, 4))}
    arrays |= {name.replace("train", "test"): array[:3] for name, array in arrays.items()}
    arrays |= {"train_labels": np.zeros(9), "test_labels": np.zeros(3)}
    path = tmp_path / f"own.{form}"
    if form == "npz":
        np.savez(path, **arrays)
    elif form == "h5":
        with h5py.File(path, "w") as file:
            file.update(arrays)
    else:
        path.mkdir()
        for key, array in arrays.items():
            np.save(path / f"{key}.npy", array)
    config = complete(custom(path))
    assert config.data.modalities == ("x", "y") and config.encoders.x.name == name
    assert config.encoders.x.views == (1 if len(shape) == 5 else 0)
    assert config.data.validation == pytest.approx(2 / 9) and config.train.batch_size == 7
    with pytest.raises(UsageError, match=r"x has items of the shape \[5, 5\] .* grey pictures get"):
        np.savez(tmp_path / "odd.npz", **{**arrays, "train_x": np.zeros((9, 5, 5))})
        complete(custom(tmp_path / "odd.npz"))


def test_what_the_user_chose_stays_and_other_configs_are_left_alone(custom, tmp_path):
    rows = "\n".join(f"{k % 2},0.png,a text,{'train' if k < 300 else 'test'}" for k in range(400))
    (tmp_path / "items.csv").write_text(f"label,image,text,split\n{rows}\n")
    config = custom(tmp_path / "items.csv")
    done = complete(config)
    # 300 training rows, a tenth of them to validate.
    assert done.train.batch_size == 128 and done.data.validation == 0.1
    assert config.train.batch_size == 0  # the caller's config is as it was
    config.train.batch_size, config.data.validation = 16, 0.0
    config.encoders.text = encoder("feature_mlp")
    done = complete(config)
    assert (done.train.batch_size, done.data.validation) == (16, 0.0)
    assert done.encoders.text.name == "feature_mlp"
    assert done.encoders.image.name == "compact_cnn"
    other = default()
    assert complete(other) is other


def test_a_validation_share_that_leaves_no_rows_to_train_on_is_named(custom, tmp_path):
    rows = "\n".join(f"{k % 2},0.png,a text,{'train' if k < 4 else 'test'}" for k in range(6))
    (tmp_path / "items.csv").write_text(f"label,image,text,split\n{rows}\n")
    config = custom(tmp_path / "items.csv")
    config.data.validation = 0.9
    with pytest.raises(UsageError, match=r"validation is 0\.9, which leaves 0 of 4 rows"):
        complete(config)


def test_an_encoder_of_no_modality_is_said(custom, tmp_path, caplog):
    rows = "\n".join(f"{k % 2},{k}.png,text {k},{'train' if k < 30 else 'test'}" for k in range(40))
    (tmp_path / "items.csv").write_text(f"label,image,text,split\n{rows}\n")
    config = custom(tmp_path / "items.csv")
    config.encoders.imgae = encoder("resnet18")
    complete(config)
    assert "config.encoders.imgae is not used" in caplog.text and "image, text" in caplog.text
