import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.data.formats.stl import parse_stl
from jaxcmr.errors import UsageError

TRIANGLES = np.array(
    [[[0, 0, 0], [1, 0, 0], [0, 2, 0]], [[0, 0, 0], [1, 0, 0], [0, 0, 3.5]]], np.float32
)


def text(triangles=TRIANGLES) -> str:
    facets = "".join(
        "  facet normal 0 0 1\n    outer loop\n"
        + "".join(f"      vertex {x} {y} {z}\n" for x, y, z in corners)
        + "    endloop\n  endfacet\n"
        for corners in triangles.tolist()
    )
    return f"solid part 7\n{facets}endsolid part 7\n"


def binary(head=b"", triangles=TRIANGLES) -> bytes:
    rows = b"".join(bytes(12) + corners.astype("<f4").tobytes() + b"\0\0" for corners in triangles)
    return head.ljust(80, b"\0") + len(triangles).to_bytes(4, "little") + rows


@pytest.mark.parametrize(
    "data",
    [
        binary(),
        binary(b"solid facet endsolid"),  # a binary file may begin as text does
        binary(b"solid") + b"behind",
        text().encode(),
        text().upper().encode(),
        ("\ufeff" + text()).encode(),
        text().replace("\n", "\r\n").encode(),
        text().replace("\n", "\r").encode(),
        " ".join(text().split()).encode(),
        (text(TRIANGLES[:1]) + text(TRIANGLES[1:])).encode(),  # two solids
        text().replace("part 7", "caf\xe9").encode("latin-1"),
    ],
)
def test_text_and_binary_give_the_same(data):
    mesh = parse_stl(data, "shape.stl")
    np.testing.assert_array_equal(mesh.triangles, TRIANGLES)
    assert mesh.vertices.dtype == np.float64


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no .stl file or was cut off"),
        (b"OFF\n", "is no .stl file or was cut off"),
        (binary()[:-1], "it has 183 bytes, but its header announces 184"),
        (binary()[:80] + b"\xff" * 4 + binary()[84:], "announces 214748364834"),
        (binary(triangles=TRIANGLES[:0]), "holds no face"),
        (b"solid x\nendsolid x\n", "holds no face"),
        (text()[:-20].encode(), "is cut off: it does not end in 'endsolid'"),
        (text().replace("vertex 0.0 2.0 0.0", "vertex 0.0 two 0.0").encode(), "not three numbers"),
        (text().replace("vertex 0.0 2.0 0.0", "").encode(), "not of three vertices"),
        (
            text().replace("vertex 0.0 2.0 0.0", "vertex 0 2 0\nvertex 0 1 0").encode(),
            "triangulate",
        ),
    ],
)
def test_damage_is_one_sentence_with_the_name(data, message):
    with pytest.raises(UsageError, match=message) as error:
        parse_stl(data, "shape.stl")
    assert str(error.value).startswith("shape.stl") and "\n" not in str(error.value)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.binary(max_size=30), st.integers(0, 400), st.integers(0, 400), st.booleans())
def test_no_bytes_make_it_fail_otherwise(junk, start, stop, is_text):
    good = text().encode() if is_text else binary(b"solid")
    try:
        mesh = parse_stl(good[: min(start, stop)] + junk + good[max(start, stop) :], "x.stl")
    except UsageError as error:
        assert str(error).isprintable()
        return
    assert mesh.vertices.shape[1:] == (3,) and mesh.faces.shape[1:] == (3,)
