import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxcmr import data
from jaxcmr.data import pointfiles
from jaxcmr.errors import UsageError

PREPARE = Path(__file__).parents[2] / "launch" / "prepare.py"


@pytest.fixture
def prepare(capsys):
    """Runs the entry point in this process: (exit code, output, errors)."""
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
