"""Config files: what is none, or fails, is one sentence that names the file."""

import os
import sys
from pathlib import Path

import pytest

from jaxcmr.config import loading
from jaxcmr.errors import UsageError

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
GOOD = "from jaxcmr.config import default\ndef get_config(variant=''):\n    c = default()\n"


def test_a_file_with_a_variant_is_loaded_and_locked():
    config = loading.load(f"{CONFIGS}/rono_modelnet.py:quick", CONFIGS)
    assert config.train.epochs == 8 and config.is_locked
    assert loading.name_of("configs/rono_modelnet.py:quick") == "rono_modelnet-quick"
    assert loading.name_of("configs/rono_modelnet.py") == "rono_modelnet"


def test_a_colon_in_a_folder_or_a_file_is_no_variant(tmp_path):
    folder = tmp_path / "a:b"
    folder.mkdir()
    (folder / "c.py").write_text(GOOD + "    c.seed = 7 if variant else 5\n    return c\n")
    assert loading.load(f"{folder}/c.py", CONFIGS).seed == 5
    assert loading.load(f"{folder}/c.py:x", CONFIGS).seed == 7


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 1\n", "is no config file: it has no function get_config"),
        ("get_config = 1\n", "is no config file: it has no function get_config"),
        ("label,image\na,b\n", "fails in line 1 with NameError: name 'label' is not defined"),
        ("a photo of a cat\n", "is no config file: line 1 is no Python (invalid syntax)"),
        ("\0\0", "is no config file: "),
        ("\n\nraise RuntimeError('no\\nluck')\n", "fails in line 3 with RuntimeError: no luck"),
        ("import nowhere\n", "fails in line 1 with ModuleNotFoundError: No module named"),
        ("raise SystemExit(3)\n", "fails in line 1 with SystemExit: 3"),
        ("def get_config():\n    return None\n", "returns a NoneType, but it must return the"),
        ("def get_config():\n    return {'seed': 1}\n", "returns a dict, but it must return the"),
        ("def get_config():\n    return 1 / 0\n", "fails in line 2 with ZeroDivisionError"),
        ("def get_config(variant):\n    return None\n", "needs a variant, --config="),
        (GOOD + "    c.seed = 'many'\n    return c\n", "fails in line 4 with TypeError"),
    ],
)
def test_what_is_no_config_is_said(tmp_path, content, words):
    file = tmp_path / "own.py"
    file.write_text(content)
    with pytest.raises(UsageError) as error:
        loading.load(str(file), CONFIGS)
    assert words in str(error.value) and "own.py" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_cannot_be_opened_inside_a_config_is_said_with_its_line(tmp_path):
    (tmp_path / "mine.py").write_text("open('/nowhere/at/all')\n")
    with pytest.raises(UsageError, match=r"mine\.py fails in line 1 with FileNotFoundError"):
        loading.load(f"{tmp_path}/mine.py", CONFIGS)


@pytest.fixture
def write(tmp_path):
    """`(path, text) -> the path`: writes a file below the folder of the test."""

    def write(path: str, text: str) -> str:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return str(file)

    return write


def test_a_config_builds_on_ours_whatever_the_working_directory(write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write(
        "mine.py",
        "from configs import mmcd_modelnet\n"
        "def get_config():\n"
        "    from configs.rono_mnist3d import RONO\n"
        "    config = mmcd_modelnet.get_config('quick')\n"
        "    config.seed = int(100 * RONO['margin'])\n"
        "    return config\n",
    )
    config = loading.load(file, CONFIGS)
    assert (config.seed, config.train.epochs, config.stage.pairs.train.epochs) == (30, 2, 2)
    modules = set(sys.modules)
    assert loading.load("mine.py", CONFIGS) == config
    assert set(sys.modules) == modules


def test_a_config_builds_on_what_lies_beside_it_and_nothing_is_left_for_the_next(write):
    mine = "import common\nfrom parts.length import EPOCHS\n" + GOOD
    mine += "    c.seed, c.train.epochs = common.SEED, EPOCHS\n    return c\n"
    path, modules = sys.path[:], set(sys.modules)
    for folder, seed in (("first", 1), ("second", 2)):
        write(f"{folder}/common.py", f"from parts.length import EPOCHS\nSEED = {seed}\n")
        write(f"{folder}/parts/length.py", f"EPOCHS = {seed + 10}\n")
        config = loading.load(write(f"{folder}/mine.py", mine), CONFIGS)
        assert (config.seed, config.train.epochs) == (seed, seed + 10)
    assert sys.path == path and set(sys.modules) == modules


def test_no_file_takes_the_place_of_an_installed_package_or_of_ours(write, monkeypatch):
    write("numpy.py", "raise RuntimeError('this is not numpy')\n")
    write("configs/rono_mnist3d.py", "raise RuntimeError('this is not ours')\n")
    monkeypatch.setitem(sys.modules, "configs", sys)  # of somebody else
    lines = "import numpy\nfrom configs.rono_mnist3d import RONO\n" + GOOD
    file = write("mine.py", lines + "    c.seed = int(numpy.float32(7))\n    return c\n")
    assert loading.load(file, CONFIGS).seed == 7
    assert sys.modules["configs"] is sys


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 1\nraise RuntimeError('no luck')\n", r"common\.py fails in line 2 with RuntimeError"),
        ("def f():\n  return 1 +\n", r"common\.py is no config file: line 2 is no Python"),
        ("import nowhere\n", r"common\.py fails in line 1 with ModuleNotFoundError"),
    ],
)
def test_what_fails_beside_a_config_is_said_with_its_file_and_line(write, content, words):
    write("common.py", content)
    with pytest.raises(UsageError, match=words):
        loading.load(write("mine.py", "import common\n"), CONFIGS)


def test_data_classes_and_classes_with_annotations_may_stand_in_a_config(write):
    lines = "from __future__ import annotations\nimport dataclasses\n"
    lines += "@dataclasses.dataclass\nclass Numbers:\n    seed: int = 3\n" + GOOD
    file = write("mine.py", lines + "    c.seed = Numbers().seed\n    return c\n")
    assert loading.load(file, CONFIGS).seed == 3


def test_a_variant_of_a_config_without_variants_is_said(tmp_path):
    (tmp_path / "own.py").write_text("def get_config():\n    return None\n")
    with pytest.raises(UsageError, match=r"own\.py takes no variant, but 'slow' is given"):
        loading.load(f"{tmp_path}/own.py:slow", CONFIGS)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("configs/rono_modelnt.py", r"did you mean configs/rono_modelnet\.py\?"),
        ("rono_modelnet", r"there is no config file rono_modelnet \(did you mean configs/"),
        ("configs/zzz.py", r"there is no config file configs/zzz\.py; see the folder configs/"),
        ("{0}", r"is a folder, but --config takes a file"),
        ("{0}/items.csv", r"--config=configs/rono_custom\.py --config\.data\.path=.*items\.csv"),
        ("{0}/binary.py", r"binary\.py is no config file"),
    ],
)
def test_a_file_that_is_not_there_or_something_else_is_said(tmp_path, monkeypatch, argument, words):
    monkeypatch.chdir(CONFIGS.parent)
    (tmp_path / "items.csv").write_text("label,image\na,b.png\n")
    (tmp_path / "binary.py").write_bytes(bytes(range(128, 256)))
    with pytest.raises(UsageError, match=words):
        loading.load(argument.format(tmp_path), CONFIGS)


def test_a_file_that_cannot_be_read_is_said(tmp_path, monkeypatch):
    file = tmp_path / "own.py"
    file.write_text(GOOD + "    return c\n")

    def refuse(self, path):
        raise PermissionError(13, os.strerror(13), path)

    monkeypatch.setattr("importlib.machinery.SourceFileLoader.get_data", refuse)
    with pytest.raises(UsageError, match=r"own\.py cannot be read: Permission denied"):
        loading.load(str(file), CONFIGS)


def test_a_config_is_suggested_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as error:
        loading.load("configs/rono_modelnet.py", CONFIGS)
    near = str(error.value).partition("did you mean ")[2].partition("?)")[0]
    assert (tmp_path / near).resolve() == CONFIGS / "rono_modelnet.py"
