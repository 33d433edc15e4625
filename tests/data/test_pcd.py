import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.data.formats.pcd import parse_pcd, unpack_lzf
from jaxcmr.errors import UsageError

CLOUD = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)


def head(kind: str, fields="x y z", size="4 4 4", type="F F F", count="1 1 1", points=30) -> bytes:
    return (
        f"# .PCD v0.7\nVERSION 0.7\nFIELDS {fields}\nSIZE {size}\nTYPE {type}\nCOUNT {count}\n"
        f"WIDTH {points}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {points}\nDATA {kind}\n"
    ).encode()


def literal(data: bytes) -> bytes:
    """LZF of bytes without a repetition: runs of at most 32."""
    parts = [data[k : k + 32] for k in range(0, len(data), 32)]
    return b"".join(bytes([len(part) - 1]) + part for part in parts)


def sample(kind: str) -> bytes:
    """A small file of each kind, with a field before and padding between the coordinates."""
    start = head(kind, "i x _ y z", "4 4 1 4 8", "U F U F F", "1 1 3 1 1")
    rows = [(7, x, 0, 0, 0, y, z) for x, y, z in CLOUD.tolist()]
    if kind == "ascii":
        return start + "\n".join(" ".join(map(repr, row)) for row in rows).encode()
    if kind == "binary":
        return start + b"".join(struct.pack("<If3Bfd", *row) for row in rows)
    x, y, z = CLOUD.T
    columns = [np.full(30, 7, "<u4"), x, np.zeros(90, "u1"), y, z.astype("<f8")]
    body = b"".join(column.tobytes() for column in columns)
    packed = literal(body)
    return start + struct.pack("<2I", len(packed), len(body)) + packed


KINDS = ("ascii", "binary", "binary_compressed")


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_may_have_several_numbers(kind):
    np.testing.assert_array_equal(parse_pcd(sample(kind), "x.pcd"), CLOUD.astype(np.float64))


@pytest.mark.parametrize("kind", ["binary", "ascii"])
def test_old_and_foreign_headers(kind):
    data = sample(kind).replace(b"COUNT 1 1 3 1 1\n", b"COUNT  1 1\t3 1 1 \r\n")
    data = data.replace(b"POINTS 30\n", b"")  # width times height
    data = data.replace(b"# .PCD v0.7\n", "# café\n\n# DATA none\n".encode())
    np.testing.assert_array_equal(parse_pcd(data, "x.pcd"), CLOUD.astype(np.float64))
    plain = head("Binary").replace(b"COUNT 1 1 1\n", b"") + CLOUD.tobytes()
    plain = plain.replace(b"FIELDS", b"COLUMNS")
    np.testing.assert_array_equal(parse_pcd(plain, "x.pcd"), CLOUD.astype(np.float64))


@pytest.mark.parametrize("kind", ["ascii", "binary"])
def test_points_that_were_not_measured_are_left_out(kind):
    rows = [(1.0, 2.0, 3.0), (np.nan, np.nan, np.nan), (4.0, 5.0, np.nan), (7.0, 8.0, 9.0)]
    if kind == "ascii":
        body = "\n".join(" ".join(map(str, row)) for row in rows).encode()
    else:
        body = np.array(rows, "<f4").tobytes()
    found = parse_pcd(head(kind, points=4) + body, "x.pcd")
    np.testing.assert_array_equal(found, [[1, 2, 3], [7, 8, 9]])
    alone = head("ascii", points=1) + b"nan nan nan\n"
    with pytest.raises(UsageError, match="holds no point that was measured, but 1 that are NaN"):
        parse_pcd(alone, "x.pcd")


def test_whole_numbers_are_coordinates_too():
    body = np.array([[1, -2, 3], [4, 5, 60000]], np.int64)
    start = head("binary", size="2 1 8", type="I I U", points=2)
    rows = b"".join(struct.pack("<hbQ", *row) for row in body.tolist())
    np.testing.assert_array_equal(parse_pcd(start + rows, "x.pcd"), body)


def test_lzf_repeats_what_it_has_unpacked():
    # "abc", 3 + 2 bytes from 3 before, then "!": the repetition overlaps itself.
    assert unpack_lzf(b"\x02abc" + bytes([3 << 5, 2]) + b"\0!", 9) == b"abcabcab!"
    # 7 in the control byte: the length goes on in the next one, 7 + 1 + 2.
    assert unpack_lzf(b"\0a" + bytes([7 << 5, 1, 0]), 11) == b"a" * 11
    for data, size in ((b"\0a", 2), (b"\1ab", 1), (bytes([3 << 5, 2]), 5), (b"\0a\xe0", 9)):
        with pytest.raises((ValueError, IndexError)):
            unpack_lzf(data, size)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "has no line DATA"),
        (b"FIELDS x y z\n" * 9000, "has no line DATA"),
        (head("binary")[:60], "has no line DATA"),
        (head("zip"), "DATA 'zip' is none of ascii"),
        (head("binary", fields="x y w"), "needs one field 'z' of COUNT 1; its fields are 'x y w'"),
        (head("binary", fields="x y y"), "needs one field 'y'"),
        (head("binary", count="1 1 2"), "needs one field 'z' of COUNT 1"),
        (head("binary", count="1 1"), "name 3, 3, 3 and 2 fields"),
        (
            head("binary", count="1 1 0"),
            "the field 'z' has the type 'F', the size '4' and the count '0'",
        ),
        (head("binary", size="4 4 3"), "the field 'z' has the type 'F', the size '3'"),
        (head("binary", type="F F C"), "the field 'z' has the type 'C'"),
        (head("binary", points=0), "holds no point"),
        (head("binary", points=10**12), "announces 12000000000000 bytes, but 0 follow"),
        (head("ascii", points=10**12), "1000000000000 lines of 3 numbers are needed"),
        (head("ascii", points=2) + b"1 2 3\n1 2", "2 lines of 3 numbers are needed"),
        (head("ascii", points=1) + b"1 2 x", "1 lines of 3 numbers are needed"),
        (head("binary", "x y z _", "4 4 4 8", "F F F F", "1 1 1 16000000"), "but 0 follow"),
        (sample("binary")[:-1], "announces 690 bytes, but 689 follow"),
        (sample("binary_compressed")[:-1], "bytes, but .* follow"),
        (head("binary_compressed") + struct.pack("<2I", 4, 2**32 - 1) + b"\0abc", "but 400 follow"),
        (head("binary_compressed", points=1) + struct.pack("<2I", 2, 12) + b"\1a", "damaged .LZF"),
    ],
)
def test_damage_is_one_sentence_with_the_name_and_the_field(data, message):
    with pytest.raises(UsageError, match=message) as error:
        parse_pcd(data, "shape.pcd")
    assert str(error.value).startswith("shape.pcd") and "\n" not in str(error.value)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.binary(max_size=30), st.integers(0, 1000), st.integers(0, 1000), st.sampled_from(KINDS))
def test_no_bytes_make_it_fail_otherwise(junk, start, stop, kind):
    good = sample(kind)
    try:
        points = parse_pcd(good[: min(start, stop)] + junk + good[max(start, stop) :], "x.pcd")
    except UsageError as error:
        assert str(error).isprintable()
        return
    assert points.ndim == 2 and points.shape[1] == 3
