"""HDF5 files: groups, links, text, and nothing from other files."""

import h5py
import numpy as np
import pytest

from jaxcmr.data.formats import hdf5files, matlab
from jaxcmr.errors import UsageError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.h5"


def test_arrays_in_groups_and_under_two_names_are_all_there(path):
    with h5py.File(path, "w") as file:
        file["train/image"] = np.eye(2)
        file["train/sub/names"] = [b"a", "é".encode()]
        file["again"] = file["train/image"]  # the same array
        file["soft"] = h5py.SoftLink("/train/image")
        file["nowhere"] = h5py.SoftLink("/none")
        file["train/up"] = file["/"]  # a group that holds itself
    found = hdf5files.read_hdf5(path)
    assert set(found) == {"train/image", "train/sub/names", "again", "soft"}
    np.testing.assert_array_equal(found["again"], np.eye(2))
    assert found["train/sub/names"].tolist() == ["a", "é"]
    assert hdf5files.hdf5_heads(path)["train/image"] == ((2, 2), np.dtype("f8"))


def test_nothing_is_read_from_other_files(path, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.eye(2)
    (tmp_path / "raw").write_bytes(bytes(16))
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    with pytest.raises(UsageError, match="x leads to another file; copy its array into this one"):
        hdf5files.read_hdf5(path)
    with pytest.raises(UsageError, match="x leads to another file"):
        matlab.read_mat(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("y", (2,), "f8", external=[(str(tmp_path / "raw"), 0, 16)])
    for read in (hdf5files.read_hdf5, lambda path: hdf5files.hdf5_rows(path, {"y"})):
        with pytest.raises(UsageError, match="y leads to another file"):
            read(path)
    layout = h5py.VirtualLayout((2, 2), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (2, 2))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("z", layout)
    with pytest.raises(UsageError, match="z leads to another file"):
        hdf5files.read_hdf5(path)


def test_rows_are_read_at_each_use(path):
    numbers = np.arange(12).reshape(4, 3)
    with h5py.File(path, "w") as file:
        file["train/x"], file["y"] = numbers, numbers
    rows = hdf5files.hdf5_rows(path, {"train/x"})
    assert list(rows) == ["train/x"] and rows["train/x"].shape == (4, 3)
    np.testing.assert_array_equal(rows["train/x"][np.array([3, 0, 3])], numbers[[3, 0, 3]])
    np.testing.assert_array_equal(rows["train/x"][2], numbers[2])


def test_an_array_that_was_never_written_makes_no_room_for_itself(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (1 << 30, 1), "u1", chunks=(1 << 20, 1))
    with pytest.raises(UsageError, match=r"x announces \[1073741824, 1\], of which the file holds"):
        hdf5files.read_hdf5(path)


def test_texts_that_the_library_would_read_for_ever_are_refused(path):
    names = [f"name {'x' * k}" for k in range(200)]  # more than one heap
    with h5py.File(path, "w") as file:
        file["names"] = names
    assert hdf5files.read_hdf5(path)["names"].tolist() == names
    whole = path.read_bytes()
    first = whole.find(b"GCOL") + 16
    for number, size in ((0, 0), (0, 8), (1, 1 << 20), (1, (1 << 64) - 16)):
        damaged = bytearray(whole)
        damaged[first : first + 2] = number.to_bytes(2, "little")
        damaged[first + 8 : first + 16] = size.to_bytes(8, "little")
        path.write_bytes(damaged)
        with pytest.raises(UsageError, match="a heap of texts is damaged"):
            hdf5files.read_hdf5(path)


def test_an_array_of_no_shape_is_empty(path):
    with h5py.File(path, "w") as file:
        file["x"] = h5py.Empty("f8")
    assert hdf5files.read_hdf5(path)["x"].shape == (0,)


def test_texts_empty_arrays_and_what_is_left_out_of_matlabs_files(tmp_path, caplog):
    with h5py.File(tmp_path / "a.mat", "w") as file:
        names = file.create_dataset("names", data=np.array([[97, 233], [98, 32]], np.uint16))
        names.attrs["MATLAB_class"] = np.bytes_(b"char")  # axes are reversed: rows "ab", "é "
        empty = file.create_dataset("none", data=np.array([0, 5], np.uint64))
        empty.attrs["MATLAB_empty"] = 1
        file["wave"] = np.zeros(2, [("real", "f8"), ("imag", "f8")])
        file["struct/x"] = np.eye(2)
    found = matlab.read_mat(tmp_path / "a.mat")
    assert found["names"].tolist() == ["ab", "é"]
    assert found["none"].shape == (0, 5)
    assert set(found) == {"names", "none"}
    assert "2 variables are neither numbers nor text and are left out: struct, wave" in caplog.text
