import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr import data
from jaxcmr.data.formats.idx import parse_idx, read_idx
from jaxcmr.data.sources import mnist3d
from jaxcmr.data.standin.digitclouds import digit_cloud
from jaxcmr.errors import UsageError


def idx(array: np.ndarray) -> bytes:
    return (
        b"\0\0\x08"
        + bytes([array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


def packed(content):
    """The same bytes every second: the names of tests hold them."""
    return gzip.compress(content, mtime=0)


def write_mnist(folder, rows=(12, 8)):
    rng = np.random.default_rng(0)
    for prefix, count in zip(("train", "t10k"), rows):
        images = (rng.random((count, 28, 28)) > 0.9).astype(np.uint8) * 200
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images), 1))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(labels))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(mnist3d, "TRAIN", 11)
    monkeypatch.setattr(mnist3d, "TEST", 6)


def test_one_pixel_is_a_box_with_all_sides():
    image = np.zeros((28, 28), np.uint8)
    image[3, 5] = 1
    cloud = digit_cloud(image)
    # Front and back 2 * 25, four sides of 150; 1 x 1 x 6 becomes 1/6 x 1/6 x 1, z first.
    assert len(cloud) == 2 * 25 + 4 * 150
    np.testing.assert_allclose(np.ptp(cloud, axis=0), [1, 1 / 6, 1 / 6], atol=1e-12)
    np.testing.assert_allclose(cloud.mean(0), 0, atol=1e-12)


def test_touching_pixels_have_no_side_between_them():
    image = np.zeros((28, 28))
    image[3, 5] = image[3, 6] = 0.5
    assert len(digit_cloud(image)) == 2 * (2 * 25) + 6 * 150
    image[0, 0] = 1  # at the edge of the picture all sides are open
    assert len(digit_cloud(image)) == 3 * (2 * 25) + 10 * 150


def test_an_empty_picture_has_no_cloud():
    with pytest.raises(UsageError, match="all zero"):
        digit_cloud(np.zeros((28, 28)))


def test_the_published_spot_values(shared):
    train = read_idx(shared / "data" / "mnist" / "train-images-idx3-ubyte.gz")
    np.testing.assert_allclose(
        digit_cloud(train[0])[340], [0.13965517, -0.1094358, 0.47305447], atol=5e-9
    )
    second = digit_cloud(train[1])
    assert len(second) == 26_200
    np.testing.assert_allclose(second[5200], [0.05689655, 0.37270992, 0.32146947], atol=5e-9)


def voxel_features(points: np.ndarray, cells: int = 8) -> np.ndarray:
    """Returns the counts `[cells**3]` in a cubic grid around `points`, divided by the largest.

    A point on a wall belongs to the lower cell; the cells run z slowest, then x, then y.
    """
    low, high = points.min(0), points.max(0)
    margin = (np.ptp(points, 0).max() - (high - low)) / 2
    walls = np.linspace(low - margin, high + margin, cells + 1)
    above = [np.searchsorted(walls[:, k], points[:, k]) for k in (2, 0, 1)]
    index = np.clip(np.array(above) - 1, 0, cells - 1)
    counts = np.bincount(np.ravel_multi_index(tuple(index), (cells,) * 3), minlength=cells**3)
    return counts / counts.max()


@pytest.mark.parametrize("step", [25, pytest.param(1, marks=pytest.mark.slow)])
def test_the_voxels_of_all_rows_are_the_published_ones(shared, step):
    folder = shared / "data" / "mnist"
    test = read_idx(folder / "t10k-images-idx3-ubyte.gz")
    with np.load(folder / "author_voxelgrid_8x8x8_test.npz") as file:
        expected = file["x"]
    assert expected.shape == (1000, 512)
    for image, row in zip(test[:1000:step], expected[::step]):
        np.testing.assert_allclose(voxel_features(digit_cloud(image)), row, rtol=0, atol=1e-6)


def test_files_are_cut_to_the_split(config, small, tmp_path):
    write_mnist(tmp_path)
    config.name, config.root = "mnist3d", str(tmp_path)
    splits = data.load(config)
    assert splits.train.inputs["image"].shape == (11, 28, 28, 1)
    assert splits.train.inputs["points"].shape == (11, 16, 3)
    assert splits.test.inputs["points"].dtype == np.float32
    np.testing.assert_array_equal(splits.test.labels, np.arange(6))
    assert splits.train.provenance["source"] == "files" and len(splits.test) == 6
    again = data.load(config)
    np.testing.assert_array_equal(again.train.inputs["points"], splits.train.inputs["points"])
    cloud = digit_cloud(splits.train.inputs["image"][4, :, :, 0]).astype(np.float32)
    distance = np.abs(splits.train.inputs["points"][4][:, None] - cloud).max(-1).min(1)
    assert distance.max() == 0


def test_files_of_the_official_sizes_give_the_papers_counts(config, tmp_path):
    write_mnist(tmp_path, (6000, 1100))
    config.name, config.root, config.modalities = "mnist3d", str(tmp_path), ("image",)
    splits = data.load(config)
    assert (len(splits.train), len(splits.test)) == (5000, 1000) and splits.validation is None
    np.testing.assert_array_equal(splits.train.labels, np.arange(5000) % 10)


def test_given_features(config, small, tmp_path):
    write_mnist(tmp_path)
    config.name, config.root, config.modalities = "mnist3d", str(tmp_path), ("image", "features")
    with pytest.raises(UsageError, match=r"no point features at .*mnist3d_features.npz"):
        data.load(config)
    arrays = {"train_features": np.ones((11, 5)), "test_features": np.ones((6, 5))}
    np.savez(tmp_path / "mnist3d_features.npz", **arrays)
    assert data.load(config).train.inputs["features"].shape == (11, 5)
    np.savez(tmp_path / "mnist3d_features.npz", **{**arrays, "test_features": np.ones((7, 5))})
    with pytest.raises(UsageError, match=r"test_features must be \[6, D\], it is \[7, 5\]"):
        data.load(config)
    np.savez(tmp_path / "mnist3d_features.npz", **{**arrays, "test_features": np.ones((6, 4))})
    with pytest.raises(UsageError, match=r"shapes \[11, 5\] and \[6, 4\]"):
        data.load(config)


def test_the_stand_in_is_allowed_or_not(config, caplog):
    config.name = "mnist3d"
    with pytest.raises(UsageError, match=r"no MNIST files .* --config.data.fallback=digits"):
        data.load(config)
    config.fallback, config.train_size, config.test_size = "digits", 60, 30
    splits = data.load(config)
    assert "STAND-IN DATA" in caplog.text
    assert splits.train.provenance["source"] == "stand-in"
    assert len(splits.train) == 60 and len(splits.test) == 30
    config.name = "digits"  # the stand-in by its own name looks for no files
    same = data.load(config)
    np.testing.assert_array_equal(same.train.inputs["points"], splits.train.inputs["points"])
    ink = splits.train.inputs["image"] > 0
    assert 0.05 < ink.mean() < 0.35 and not ink[:, :4].any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with"),
        (b"\0\0\x0d\x01" + bytes(8), "begins with 00 00 0d 01, not as an IDX file of bytes"),
        (b"\0\0\x08\x09", "damaged header (9 axes)"),
        (b"\0\0\x08\x03\0\0", "damaged header (3 axes)"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "announces [5] items, which take 13 bytes, but it has 11"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "announces [4294967295, 4294967295, 4294967295]"),
        (b"\0\0\x08\x03" + b"\0\xff\xff\xff" * 3, "more than 1024 MB"),
        (packed(b"\0\0\x08\x01\0\0\0\x02" + bytes(9999)), "10 bytes, but it has more"),
        (b"\x1f\x8b\x08\0", "cannot be read"),
        (packed(b"\0\0\x08\x01\0\0\0\x05abcde")[:-9], "cannot be read"),
    ],
)
def test_malformed_idx_files(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(UsageError) as error:
        read_idx(path)
    assert message in str(error.value) and str(error.value).startswith(str(path))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_no_bytes_make_the_idx_parser_fail_otherwise(junk):
    try:
        array = parse_idx(b"\0\0\x08" + junk, "x")
    except UsageError:
        return
    assert array.dtype == np.uint8


def test_too_few_digits_and_wrong_sizes(config, small, tmp_path):
    config.name, config.root = "mnist3d", str(tmp_path)
    write_mnist(tmp_path, (5, 8))
    with pytest.raises(UsageError, match="has 5 digits, but 3D MNIST takes 11"):
        data.load(config)
    write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(7, np.uint8)))
    with pytest.raises(UsageError, match=r"holds \[8, 28, 28\] for 7 labels"):
        data.load(config)
