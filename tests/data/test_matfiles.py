"""MATLAB's files of level 5: what scipy writes is read back; no damage ends the process."""

import io
import struct
import zlib

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from jaxcmr.data.formats.matfiles import full, parse_mat


def written(variables, **options):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, variables, **options)
    return buffer.getvalue()


def parse(data):
    return parse_mat(memoryview(data))


@pytest.mark.parametrize("compressed", [False, True])
def test_numbers_texts_and_cells_come_back(compressed):
    rng = np.random.default_rng(0)
    cell = np.empty((1, 3), object)
    cell[0] = [rng.random((2, 3)), np.zeros((0, 0)), np.array([[1, 2]], np.int16)]
    variables = {
        kind: rng.integers(0, 100, (3, 4, 2)).astype(kind)
        for kind in ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    }
    text = np.array(["ab", "c", "\u00e9"])
    found = parse(
        written(variables | {"cell": cell, "text": text, "one": 3.0}, do_compression=compressed)
    )
    assert set(found) == {*variables, "cell", "text", "one"}
    for kind, array in variables.items():
        assert found[kind].dtype == np.dtype(kind)
        np.testing.assert_array_equal(found[kind], array)
    for one, other in zip(found["cell"], cell[0], strict=True):
        np.testing.assert_array_equal(one, other)
    assert found["text"].tolist() == ["ab", "c", "\u00e9"] and found["one"].tolist() == [[3.0]]


def big_endian(variable):
    return b"MATLAB".ljust(124) + struct.pack(">H", 0x0100) + b"MI" + variable


def test_a_file_of_the_other_order_of_bytes_by_hand():
    flags = struct.pack(">IIII", 6, 8, 6, 0)  # class 6: double
    shape = struct.pack(">IIii", 5, 8, 2, 1)
    name = struct.pack(">HHBBBB", 1, 1, ord("x"), 0, 0, 0)  # one byte in the tag itself
    stored = struct.pack(">HHhh", 4, 3, 300, -5)  # doubles may be stored as smaller numbers
    content = flags + shape + name + stored
    variable = struct.pack(">II", 14, len(content)) + content
    np.testing.assert_array_equal(parse(big_endian(variable))["x"], [[300.0], [-5.0]])


def test_what_is_neither_numbers_nor_text_is_none():
    nested = np.empty(1, object)
    nested[0] = np.empty(1, object)
    nested[0][0] = np.ones(2)
    variables = {"s": {"x": 1}, "z": np.ones(2) * 1j, "nested": nested, "kept": np.ones((1, 2))}
    found = parse(written(variables))
    assert [name for name, value in found.items() if value is not None] == ["kept"]
    assert set(found) == set(variables)


def test_a_compressed_variable_that_announces_more_than_it_can_hold():
    content = zlib.compress(struct.pack("<II", 14, 1 << 31))
    data = b"MATLAB".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    with pytest.raises(ValueError, match="announces 2147483648 bytes"):
        parse(data + struct.pack("<II", 15, len(content)) + content)


def test_a_sparse_array_of_one_number_that_announces_gigabytes():
    parts = np.array([0]), np.array([0] + [1] * 40_000), np.array([1.0])
    with pytest.raises(ValueError, match=r"of 1 numbers announces the shape \[40000, 40000\]"):
        full(*parts, (40_000, 40_000))


@pytest.mark.parametrize("compressed", [False, True])
def test_sparse_arrays_become_full_ones(compressed):
    array = np.array([[0, 2.5, 0, 0], [1, 0, 0, -3], [0, 4, 0, 0]])
    variables = {"text": scipy.sparse.csc_matrix(array), "none": scipy.sparse.csc_matrix((2, 3))}
    found = parse(written(variables, do_compression=compressed))
    np.testing.assert_array_equal(found["text"], array)
    np.testing.assert_array_equal(found["none"], np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("rows", "starts", "values"),
    [
        ([5], [0, 1, 1], [1.0]),
        ([0], [0, 2, 2], [1.0]),
        ([0, 1], [0, 1], [1.0, 2.0]),
        ([0, 1], [2, 0, 2], [1.0, 2.0]),
        ([0, 1], [0, 2**40, 2], [1.0, 2.0]),
        ([0, 1], [1, 1, 2], [1.0, 2.0]),
        ([], [], []),
    ],
)
def test_sparse_parts_that_do_not_fit(rows, starts, values):
    with pytest.raises(ValueError, match=r"sparse|out of bounds"):
        full(np.array(rows), np.array(starts), np.array(values), (3, 2))


def test_stored_types_that_end_scipys_reader():
    data = bytearray(written({"x": np.eye(3)}))
    place = data.index(struct.pack("<II", 9, 72))
    data[place] = 206
    with pytest.raises(ValueError, match="'x' is stored as type 206"):
        parse(data)


@pytest.mark.parametrize("compressed", [False, True])
def test_every_damaged_byte_and_every_cut_is_a_value_error_or_harmless(compressed):
    cell = np.empty(2, object)
    cell[:] = [np.ones(2), np.array(["ab"])]
    variables = {"x": np.eye(2), "c": cell, "s": scipy.sparse.csc_matrix(np.eye(2))}
    data = written(variables, do_compression=compressed)
    for place in range(len(data)):
        for damaged in (
            data[:place],
            *(data[:place] + bytes([value]) + data[place + 1 :] for value in (0, 1, 14, 206, 255)),
        ):
            try:
                parse(damaged)
            except (ValueError, OverflowError, zlib.error):
                continue
