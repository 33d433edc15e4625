"""Prepared arrays follow the files they are made of, whatever the times of these say."""

import os

import numpy as np
import pytest
from PIL import Image

from jaxcmr import data
from jaxcmr.data import cache


def _picture(path, color):
    """Writes a picture whose file has the same size in any color."""
    Image.new("RGB", (4, 4), color).save(path, compress_level=0)


def _replace(path, write):
    """Writes a file of another content under the same name, size and time of the last change."""
    before = path.stat()
    write(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_a_stamp_tells_versions_of_one_size_and_time_apart(tmp_path):
    (tmp_path / "a").write_bytes(b"one")
    before = cache.stamp(tmp_path / "a")
    assert before == cache.stamp(tmp_path / "a") and before[0] == 3
    _replace(tmp_path / "a", lambda path: path.write_bytes(b"two"))
    assert cache.stamp(tmp_path / "a") != before
    assert cache.stamp(tmp_path / "none") == (0, 0, 0)


@pytest.mark.parametrize("modality", ["image", "points"])
def test_a_manifest_whose_files_change_while_it_does_not_is_read_anew(tmp_path, config, modality):
    rng = np.random.default_rng(0)
    clouds = rng.normal(size=(10, 30, 3)).astype(np.float32)
    lines = ["label,image,points"]
    for k in range(10):
        _picture(tmp_path / f"{k}.png", (0, 0, 100 + k))
        np.save(tmp_path / f"{k}.npy", clouds[k])
        lines.append(f"{k % 2},{k}.png,{k}.npy")
    (tmp_path / "items.csv").write_text("\n".join(lines))
    config.name, config.path = "own", str(tmp_path / "items.csv")
    first = data.load(config, workers=1)
    if modality == "points":
        for k in range(10):
            _replace(tmp_path / f"{k}.npy", lambda path: np.save(path, -clouds[0]))
    else:
        for k in range(10):
            _replace(tmp_path / f"{k}.png", lambda path, k=k: _picture(path, (100 + k, 0, 0)))
    second = data.load(config, workers=1)
    changed = {
        name: not np.array_equal(items, second.train.inputs[name])
        for name, items in first.train.inputs.items()
    }
    assert changed == {"image": modality == "image", "points": modality == "points"}
