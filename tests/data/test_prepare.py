import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from absl import logging as absl_logging
from PIL import Image

from jaxcmr import data
from jaxcmr.data import cache, summary
from jaxcmr.data.formats import pointfiles
from jaxcmr.data.own import manifest
from jaxcmr.errors import UsageError

PREPARE = Path(__file__).parents[2] / "launch" / "prepare.py"


@pytest.fixture
def prepare(capsys, monkeypatch):
    """Runs the entry point in this process: (exit code, output, errors)."""
    monkeypatch.syspath_prepend(PREPARE.parent)
    spec = importlib.util.spec_from_file_location("launch_prepare", PREPARE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments):
        code = module.main([str(argument) for argument in arguments])
        return (code, *capsys.readouterr())

    return run


def quantized(path):
    rng = np.random.default_rng(0)
    arrays = {"names": np.array([f"class{k}" for k in range(10)])}
    for split, rows in (("train", 20), ("test", 10)):
        arrays[f"{split}_q"] = rng.integers(0, 65536, (rows, 12, 3)).astype(np.uint16)
        arrays[f"y_{split}"] = (np.arange(rows) % 10).astype(np.int8)[:, None]
    arrays["train_q"][0, 0] = [0, 65535, 13107]
    np.savez(path, **arrays)


def test_the_stand_in_is_prepared_and_shown(prepare, tmp_path):
    code, output, errors = prepare(
        "procedural10", "--points=8", "--views=1", "--image_size=8", "--train_size=30",
        "--test_size=10", f"--picture={tmp_path / 'sheet.png'}",
    )  # fmt: skip
    assert code == 0, errors
    assert "train: 30 samples, image [1, 8, 8, 1] uint8, points [8, 3] float32" in output
    assert "night_stand" in output and "s per 100" in output
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[0] == 10 * 96 and (sheet < 255).any()


def test_every_source_can_be_prepared(monkeypatch):
    monkeypatch.syspath_prepend(PREPARE.parent)
    spec = importlib.util.spec_from_file_location("launch_prepare", PREPARE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # "own" stands for "arrays" and "manifest".
    assert set(module.SOURCES) == set(data.SOURCES) - {"arrays", "manifest"}


def test_a_manifest_is_prepared_kept_and_shown(prepare, tmp_path, monkeypatch):
    for k in range(10):
        Image.new("RGB", (8, 8), (25 * k, 0, 0)).save(tmp_path / f"{k}.png")
        np.save(tmp_path / f"{k}.npy", np.random.default_rng(k).normal(size=(20, 3)))
    rows = [f"{'ab'[k % 2]},{k}.png,{k}.npy,word{k % 2}" for k in range(10)]
    rows[4] = rows[4].replace("4.npy", "")
    (tmp_path / "items.csv").write_text("\n".join(["label,image,points,text", *rows]) + "\n")
    arguments = ("own", f"--path={tmp_path / 'items.csv'}", "--points=16", "--image_size=16",
                 "--channels=3", f"--picture={tmp_path / 'sheet.png'}")  # fmt: skip
    code, output, errors = prepare(*arguments)
    assert code == 0, errors
    assert "image [16, 16, 3] uint8, points [16, 3] float32, text [2] float32" in output
    assert f"sha256 {cache.sha256(tmp_path / 'items.csv')} items.csv" in output
    assert "1 of them without points" in output
    # Two classes; the name and three samples of picture, cloud and folded vector.
    assert np.asarray(Image.open(tmp_path / "sheet.png")).shape == (2 * 96, 88 + 9 * 96)
    monkeypatch.setattr(manifest, "read_item", lambda *_, **__: pytest.fail("read again"))
    assert prepare(*arguments)[0] == 0


def test_features_are_shown_too(prepare, tmp_path):
    rng = np.random.default_rng(0)
    arrays = {f"{s}_{m}": rng.random((30, 5)) for s in ("train", "test") for m in ("image", "text")}
    labels = {f"{split}_labels": np.arange(30) % 3 for split in ("train", "test")}
    np.savez(tmp_path / "pascal.npz", **arrays, **labels)
    picture = tmp_path / "sheet.png"
    code, output, errors = prepare("pascal", f"--root={tmp_path}", f"--picture={picture}")
    assert code == 0, errors
    assert "train: 30 samples, image [5] float32, text [5] float32" in output
    drawn = np.asarray(Image.open(picture).convert("L"))
    assert drawn.shape == (3 * 96, 88 + 6 * 96)
    code, _, errors = prepare("pascal", f"--root={tmp_path}", f"--picture={tmp_path / 'x.jpg'}")
    assert code == 2 and "must end in .png" in errors


def test_corrections_are_counted_in_what_is_shown(prepare, tmp_path):
    arrays = {f"{s}_{m}": np.eye(6, 5) for s in ("train", "test") for m in ("image", "text")}
    labels = {f"{split}_labels": np.arange(6) % 2 for split in ("train", "test")}
    ids = {f"{split}_ids": [f"{split} {k}" for k in range(6)] for split in ("train", "test")}
    np.savez(tmp_path / "own.npz", **arrays, **labels, **ids)
    path = tmp_path / "corrections.csv"
    path.write_text("id,label\ntrain 0,1\ntrain 1,drop\ntest 2,1.0\ntest 3,1\n")
    arguments = ("own", f"--path={tmp_path / 'own.npz'}", f"--corrections={path}")
    code, output, errors = prepare(*arguments)
    assert code == 0, errors
    assert [line.split() for line in output.splitlines()[-4:-1]] == [
        ["class", "train", "test"], ["0", "2", "2"], ["1", "3", "4"]
    ]  # fmt: skip
    path.unlink()
    code, _, errors = prepare(*arguments)
    assert code == 2 and f"--corrections is '{path}', but there is no such file" in errors


def test_a_vector_is_laid_into_a_square_and_a_cloud_into_dots():
    tile = summary._draw(np.array([0.0, 1.0, 2.0, 4.0, 4.0], np.float32), 9)[0][..., 0]
    # 3 x 3 cells of 3 pixels: 0, 1/4, 1/2, 1, 1, and white where nothing is left.
    np.testing.assert_array_equal(tile[1::3, 1::3], [[0, 64, 128], [255] * 3, [255] * 3])
    cloud = np.array([[0, 0, 1], [0, 0, -1]], np.float32)
    tile = summary._draw(cloud, 40)[0]
    ink = (tile[..., 0] < 255).any(1)
    assert ink[:5].any() and ink[-5:].any() and not ink[10:30].any()
    assert (summary._draw(np.zeros((7, 3), np.float32), 8)[0] == 255).all()
    views = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    first, second = summary._draw(views, 4)
    assert (first == 0).all() and (second == 3).all()


def test_quantized_clouds_of_other_names_are_converted(prepare, tmp_path, config):
    quantized(tmp_path / "source.npz")
    keys = ("--points_key={split}_q", "--labels_key=y_{split}", "--classes_key=names")
    output = tmp_path / "modelnet10.npz"
    code, said, _ = prepare(
        "points", f"--source={tmp_path}/source.npz", f"--output={output}", *keys
    )
    assert code == 0
    assert "20 train, 10 test, 12 points, 10 classes" in said
    with np.load(output) as file:
        # q / 65535 * 2 - 1
        np.testing.assert_allclose(file["train_points"][0, 0], [-1, 1, 13107 / 65535 * 2 - 1])
        assert file["train_points"].dtype == np.float32
    config.root = str(tmp_path)
    assert list(data.load(config).train.ids[:2]) == ["train_00000", "train_00001"]


def test_clouds_that_are_turned_or_of_one_name_for_both_splits(tmp_path, caplog):
    two_splits(tmp_path / "a.npz", normals=np.ones(3))
    pointfiles.convert(tmp_path / "a.npz", tmp_path / "b.npz", pointfiles.Keys())
    assert "a.npz: not used (1): normals" in caplog.text
    with pytest.raises(UsageError, match=r"'train_points' is the same for both splits; write {spl"):
        keys = pointfiles.Keys(points="train_points")
        pointfiles.convert(tmp_path / "a.npz", tmp_path / "b.npz", keys)
    with np.load(tmp_path / "a.npz") as file:
        turned = {name: np.swapaxes(a, 1, 2) if a.ndim == 3 else a for name, a in file.items()}
    np.savez(tmp_path / "c.npz", **turned)
    with pytest.raises(UsageError, match=r"\[4, 3, 9\]; turn \[N, 3, P\] by numpy.swapaxes"):
        pointfiles.read_point_file(tmp_path / "c.npz")


def test_signed_integers_and_floats():
    signed = np.array([[[-32768, 0, 32767]]], np.int16)
    np.testing.assert_allclose(
        pointfiles.dequantize(signed, 0, 65535), [[[0, 32768, 65535]]], rtol=1e-6
    )
    floats = np.array([[[0.25, 2, 3]]])
    np.testing.assert_array_equal(pointfiles.dequantize(floats, -1, 1), floats.astype(np.float32))


def test_mistakes_end_in_one_sentence_and_code_2(prepare, tmp_path):
    code, _, errors = prepare(
        "points", f"--source={tmp_path}/none.npz", f"--output={tmp_path}/x.npz"
    )
    assert code == 2
    assert errors.startswith("error: ") and len(errors.splitlines()) == 1
    assert "none.npz cannot be read" in errors and "No such file" in errors
    assert not (tmp_path / "x.npz").exists()


def test_clouds_that_are_not_finite_are_not_converted(tmp_path):
    quantized(tmp_path / "source.npz")
    with np.load(tmp_path / "source.npz") as file:
        arrays = dict(file)
    arrays["train_q"] = arrays["train_q"].astype(np.float32)
    arrays["train_q"][7, 3] = np.nan
    np.savez(tmp_path / "source.npz", **arrays)
    keys = pointfiles.Keys("{split}_q", "y_{split}", "{split}_names", "names")
    with pytest.raises(UsageError, match="a train cloud is not finite, the first in row 7"):
        pointfiles.convert(tmp_path / "source.npz", tmp_path / "out.npz", keys)
    assert not (tmp_path / "out.npz").exists()


def two_splits(path, **more):
    rows = {"train_points": np.random.default_rng(0).normal(size=(4, 9, 3))}
    rows |= {"test_points": rows["train_points"][:2], "class_names": np.array(["a", "b"])}
    rows |= {"train_labels": np.arange(4) % 2, "test_labels": np.arange(2)}
    np.savez(path, **rows, **more)


@pytest.mark.parametrize("other_name", ["same", "symlink", "hard link", "roundabout", "to come"])
def test_a_source_is_never_written_over(prepare, tmp_path, other_name):
    source, output = tmp_path / "theirs.npz", tmp_path / "other.npz"
    two_splits(source, sift=np.ones(3))
    if other_name == "same":
        output = source
    elif other_name == "symlink":
        output.symlink_to(source)
    elif other_name == "hard link":
        output.hardlink_to(source)
    else:
        if other_name == "roundabout":
            (tmp_path / "a").mkdir()
        output = tmp_path / "a" / ".." / "theirs.npz"
    before = source.read_bytes()
    features = ("features", "--modality", "x={split}_points", "--labels_key={split}_labels")
    for command in (("points",), features):
        code, _, errors = prepare(*command, f"--source={source}", f"--output={output}")
        assert code == 2 and f"the output {output} is the source" in errors
        assert len(errors.splitlines()) == 1
    assert source.read_bytes() == before


def test_a_file_that_is_not_ours_is_never_written_over(prepare, tmp_path):
    two_splits(tmp_path / "theirs.npz")
    for name in ("mine.npz", "mine.png"):
        (tmp_path / name).write_bytes(b"a year of work")
    convert = ("points", f"--source={tmp_path / 'theirs.npz'}")
    digits = ("digits", "--train_size=100", "--test_size=20", "--modalities=image")
    for arguments in (
        (*convert, f"--output={tmp_path / 'mine.npz'}"),
        (*digits, f"--picture={tmp_path / 'mine.png'}"),
    ):
        code, output, errors = prepare(*arguments)
        assert code == 2 and "exists, and is no file that this command has written" in errors
        assert not output  # before anything is prepared
    assert (tmp_path / "mine.npz").read_bytes() == (tmp_path / "mine.png").read_bytes()
    # What this command has written it may write anew.
    for _ in range(2):
        assert prepare(*convert, f"--output={tmp_path / 'ours.npz'}")[0] == 0
        assert prepare(*digits, f"--picture={tmp_path / 'ours.png'}")[0] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cache", "mine.npz", "mine.png", "ours.npz", "ours.png", "theirs.npz"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("modelnet11",), "invalid choice: 'modelnet11'"),
        (("digits", "--views=many"), "argument --views: invalid int value: 'many'"),
        (("digits", "--view=3"), "--view is no flag of this command; did you mean '--views'?"),
        (("digits", "more"), "'more' is no flag; flags begin with two dashes"),
        (("digits", "--views=0"), "--views is 0, but it must be"),
        (("digits", "--channels=2"), "--channels is 2, but it must be"),
        (("digits", "--workers=-1"), "--workers is -1, but it must be 0 or more"),
        (("digits", "--modalities=image,"), "--modalities is 'image,', but it must be names"),
        (("digits", "--modalities=sound"), "no modality 'sound'"),
        (("digits", "--picture=a.jpg"), "the output a.jpg must end in .png"),
        (("digits", "--path=a.csv"), "--path is no flag of this command"),
        (("own",), "the following arguments are required: --path"),
        (("own", "--path=a.npz", "--seed=-1"), "--seed is -1, but it must be"),
        (("own", "--path="), "your data are not named; add --path=FILE"),
        (("points", "--source=a.npz"), "the following arguments are required: --output"),
        (("points", "--source=a.npz", "--output=b.npz", "--low=nan"), "low is nan and high 1"),
        (("points", "--source=a.npz", f"--output={'n' * 300}.npz"), "File name too long"),
        (("points", "--source=a.npz", "--output=b.npz", "--low=1"), "low is 1.0 and high 1"),
    ],
)
def test_a_mistaken_flag_is_one_sentence(prepare, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    two_splits(tmp_path / "a.npz")
    code, _, errors = prepare(*arguments)
    assert code == 2 and words in errors
    assert errors.startswith("error: ") and len(errors.splitlines()) == 1


def test_log_lines_are_for_people(prepare, tmp_path, monkeypatch):
    said = []
    handler = absl_logging.get_absl_handler()
    monkeypatch.setattr(handler.python_handler, "emit", lambda r: said.append(handler.format(r)))
    (tmp_path / "a").mkdir()
    for name, array in {
        "x": np.ones((4, 2)),
        "y": np.eye(4, 3),
        "labels": np.arange(4) % 2,
    }.items():
        np.save(tmp_path / "a" / f"{name}.npy", array)
    (tmp_path / "a" / "note.txt").write_text("")
    assert prepare("own", f"--path={tmp_path / 'a'}")[0] == 0
    lines = [line for line in said if "1 file is not used: note.txt" in line]
    assert len(lines) == 1 and re.match(r"\d\d:\d\d:\d\d  /", lines[0])


def test_own_photographs_are_shown_in_the_colours_they_are_trained_in(prepare, tmp_path):
    for k in range(10):
        Image.new("RGB", (8, 8), (200, 20, 20)).save(tmp_path / f"{k}.png")
    rows = [f"{'ab'[k % 2]},{k}.png,word{k % 2}" for k in range(10)]
    (tmp_path / "items.csv").write_text("\n".join(["label,image,text", *rows]) + "\n")
    code, output, _ = prepare(
        "own", f"--path={tmp_path / 'items.csv'}", f"--picture={tmp_path / 'sheet.png'}"
    )
    assert code == 0 and "image [64, 64, 3] uint8" in output
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB")).astype(int)
    assert (sheet[..., 0] - sheet[..., 1] > 150).sum() >= 6 * 96 * 96
