"""Numpy's files from anywhere: what is read, and one sentence for every damage."""

import io
import zipfile

import numpy as np
import pytest

from jaxcmr.errors import UsageError
from jaxcmr.storage import numpyfiles


def _npy(array, **more):
    buffer = io.BytesIO()
    np.save(buffer, array, **more)
    return buffer.getvalue()


def _header(text):
    """A `.npy` file of another header."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64)


def _patched_zip(place, value):
    """An archive of one array with one byte of its table of contents changed."""
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(2))
    data = bytearray(buffer.getvalue())
    data[data.index(b"PK\x01\x02") + place] = value
    return bytes(data)


def _zip(name, content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def test_arrays_come_back_and_bytes_become_text(tmp_path):
    arrays = {"a": np.eye(2), "b": np.array([b"x", b"\xc3\xa9", b"\xff"]), "c": np.array(["y"])}
    np.savez(tmp_path / "a.npz", **arrays)
    found = numpyfiles.read_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(found["a"], np.eye(2))
    assert found["b"].tolist() == ["x", "é", "\ufffd"] and found["c"].tolist() == ["y"]


def test_a_large_file_is_mapped(tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.eye(9))
    assert not isinstance(numpyfiles.read_npy(tmp_path / "a.npy"), np.memmap)
    monkeypatch.setattr(numpyfiles, "MAPPED", 700)
    mapped = numpyfiles.read_npy(tmp_path / "a.npy")
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, np.eye(9))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        _npy(np.array([None], object), allow_pickle=True),
        _header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,"),
        _header(b"{'descr': ',,,4', 'fortran_order': False, 'shape': (2,)}"),
        _header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999,)}"),
        _header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999,)}"),
        _npy(np.zeros(2, "V3")),
        _npy(np.zeros(2, "M8[s]")),
        _npy(np.array(["ab"])).replace(b"a\0\0\0", b"\xff\xff\xff\xff"),
        _zip("a.npy", _npy(np.eye(2))),
    ],
)
def test_what_is_no_npy_is_one_sentence(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.npy cannot be read") as error:
        numpyfiles.read_npy(tmp_path / "a.npy")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        _npy(np.eye(2)),
        _zip("note.txt", b"not an array"),
        _zip("a.npy", _header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999,)}")),
        _zip("two\nlines.npy", _npy(np.eye(2))),
        _zip("a.npy", _npy(np.array(["ab"])).replace(b"a\0\0\0", b"\xff\xff\xff\xff")),
        _patched_zip(6, 200),  # the version that is needed
        _patched_zip(8, 1),  # encrypted
        _patched_zip(10, 77),  # the way of packing
        _patched_zip(46, 255),  # the name
    ],
)
def test_what_is_no_npz_is_one_sentence(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.npz cannot be read") as error:
        numpyfiles.read_npz(tmp_path / "a.npz")
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match=r"a\.npz cannot be read"):
        numpyfiles.map_npz(tmp_path / "a.npz", {"a"})


def test_the_array_that_cannot_be_read_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", good=np.eye(2), meta=np.array({"scale": 2}, object))
    with pytest.raises(UsageError, match=r"a\.npz cannot be read \(meta holds object; save num"):
        numpyfiles.read_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", good=np.eye(2), when=np.zeros(2, "M8[s]"))
    with pytest.raises(UsageError, match=r"when holds datetime64\[s\]; save numbers or text"):
        numpyfiles.read_npz(tmp_path / "a.npz")


def test_arrays_that_are_neither_numbers_nor_text_are_no_error(tmp_path):
    np.savez(
        tmp_path / "a.npz", a=np.eye(2), meta=np.array({"b": 2}, object), when=np.zeros(2, "M8[s]")
    )
    found = numpyfiles.read_any_npz(tmp_path / "a.npz")
    assert found["meta"].shape == () and found["meta"].item() is None
    assert found["when"].dtype == "M8[s]" and found["a"].shape == (2, 2)


def test_an_object_of_an_impossible_shape_is_one_sentence(tmp_path):
    lying = _header(b"{'descr': '|O', 'fortran_order': False, 'shape': (-4,)}")
    (tmp_path / "a.npy").write_bytes(lying)
    (tmp_path / "a.npz").write_bytes(_zip("a.npy", lying))
    for read, name in ((numpyfiles.read_any_npy, "a.npy"), (numpyfiles.read_any_npz, "a.npz")):
        with pytest.raises(UsageError, match="cannot be read"):
            read(tmp_path / name)


def test_sizes_are_compared_before_room_is_made(tmp_path, monkeypatch):
    lying = _header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999999,)}")
    (tmp_path / "a.npz").write_bytes(_zip("a.npy", lying))
    (tmp_path / "a.npy").write_bytes(lying)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("numpy was called"))
    with pytest.raises(UsageError, match=r"a announces \[999999999\] float64, more than its"):
        numpyfiles.read_npz(tmp_path / "a.npz")
    with pytest.raises(UsageError, match=r"it announces \[999999999\] float64, more than its"):
        numpyfiles.read_npy(tmp_path / "a.npy")


def test_a_deflated_member_that_cannot_be_as_large_as_it_says(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", _npy(np.zeros(2)))
    data = bytearray(buffer.getvalue())
    place = data.index(b"PK\x01\x02") + 24  # the size in the table of contents
    data[place : place + 4] = (1 << 30).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(UsageError, match="a cannot be as large as it says"):
        numpyfiles.read_npz(tmp_path / "a.npz")


def test_arrays_larger_than_the_machine_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"take 1000000\.0 GB, but .* folder of \.npy"):
        numpyfiles.check_room(10**15)
    numpyfiles.check_room(10**6)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_the_format_has_a_head(version):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.zeros((2, 3), ">f4"), version)
    buffer.seek(0)
    assert numpyfiles.head(buffer) == ((2, 3), np.dtype(">f4"))


def test_a_billion_texts_of_no_letter_in_a_small_file_are_refused(tmp_path):
    header = b"{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000,)}\n"
    data = b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header
    (tmp_path / "a.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("a.npy", data)
    with pytest.raises(UsageError, match=r"announces \[1000000000\] <U0, more than its"):
        numpyfiles.read_npy(tmp_path / "a.npy")
    with pytest.raises(UsageError, match=r"announces \[1000000000\] <U0, more than its"):
        numpyfiles.read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_arrays_of_an_archive_are_mapped_where_they_are_not_packed(tmp_path, save):
    arrays = {"a": np.arange(12.0).reshape(3, 4), "b": np.asfortranarray(np.eye(3)[1:])}
    arrays |= {"words": np.array(["x", "yz"]), "none": np.zeros((0, 2)), "left": np.zeros(2)}
    save(tmp_path / "a.npz", **arrays)
    found = numpyfiles.map_npz(tmp_path / "a.npz", {"a", "b", "words", "none", "other"})
    assert sorted(found) == ["a", "b", "none", "words"]
    for name, array in found.items():
        np.testing.assert_array_equal(array, arrays[name])
    mapped = [name for name, array in found.items() if isinstance(array, np.memmap)]
    assert mapped == (["a", "b"] if save is np.savez else [])
