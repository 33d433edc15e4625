import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.data.formats.ply import parse_ply_mesh, parse_ply_points
from jaxcmr.data.items.geometry import face_areas
from jaxcmr.errors import UsageError

PLACES = [(0, 0, 0), (3, 0, 0), (3, 1, 0), (1, 1, 0), (1, 3, 0), (0, 3, 0), (0, 0, 2)]
FACES = [[0, 1, 2, 3, 4, 5], [0, 1, 6], [0, 6, 5], [1, 2, 6, 6]]  # the first one is an L of area 5
FORMATS = ("ascii", "binary_little_endian", "binary_big_endian")
NUMPY = {
    "float": "f4", "double": "f8", "uchar": "u1", "int8": "i1", "ushort": "u2", "int": "i4",
    "uint32": "u4", "short": "i2", "int64": "i8",
}  # fmt: skip


def ply(kind: str, elements, newline="\n") -> bytes:
    """Writes elements (name, properties, rows); "list type type name" is a list."""
    order = ">" if kind == "binary_big_endian" else "<"
    head, body = ["ply", f"format {kind} 1.0", "comment café"], b""
    for name, properties, rows in elements:
        head += [f"element {name} {len(rows)}", *(f"property {p}" for p in properties)]
        for row in rows:
            words: list[tuple[str, float]] = []
            for p, value in zip(properties, row):
                types = p.split()[:-1]
                if types[0] == "list":
                    words.append((types[1], len(value)))
                    words += [(types[2], item) for item in value]
                else:
                    words.append((types[0], value))
            if kind == "ascii":
                body += (" ".join(str(value) for _, value in words) + newline).encode()
            else:
                body += b"".join(np.array(v, order + NUMPY[t]).tobytes() for t, v in words)
    return newline.join([*head, "end_header", ""]).encode() + body


def solid(kind, place="float", count="uchar", corner="int", faces=FACES, newline="\n") -> bytes:
    """A mesh with other properties around the ones that matter, and another element before."""
    return ply(
        kind,
        [
            ("camera", ["float fov", "list uchar float matrix"], [(1, [1, 2]), (2, [])]),
            (
                "vertex",
                [f"{place} z", "uchar red", f"{place} x", f"{place} y"],
                [(z, 200, x, y) for x, y, z in PLACES],
            ),
            (
                "face",
                ["uchar flags", f"list {count} {corner} vertex_indices", "list uchar float uv"],
                [(k, face, [0.5] * k) for k, face in enumerate(faces)],
            ),
            ("edge", ["int a"], [(3,)]),
        ],
        newline,
    )


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "types",
    [
        ("float", "uchar", "int"),
        ("double", "uint32", "uint32"),
        ("short", "int8", "ushort"),
        ("int64", "int", "uchar"),
    ],
)
def test_polygons_of_any_mixture_types_and_order_of_bytes(kind, types):
    mesh = parse_ply_mesh(solid(kind, *types), "x.ply")
    np.testing.assert_array_equal(mesh.vertices, PLACES)
    areas = face_areas(mesh)[1]
    assert len(areas) == 4 + 1 + 1 + 1  # the quadrilateral has a corner twice
    assert areas[:4].sum() == pytest.approx(5)
    np.testing.assert_array_equal(mesh.faces[4:], [[0, 1, 6], [0, 6, 5], [1, 2, 6]])
    np.testing.assert_array_equal(parse_ply_points(solid(kind, *types), "x.ply"), PLACES)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_end_in_any_way_and_equal_faces_are_read_at_once(kind, newline):
    faces = [[0, 1, 6], [0, 6, 5], [5, 6, 4]]
    mesh = parse_ply_mesh(solid(kind, faces=faces, newline=newline), "x.ply")
    np.testing.assert_array_equal(mesh.faces, faces)


@pytest.mark.parametrize("kind", FORMATS)
def test_strips_are_triangles_that_face_one_way(kind):
    places = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0), (0, 2, 0)]
    strips = [[0, 1, 2, 3, 4, -1, 2, 3, 4], [0, 1, 2], [0, 1]]
    data = ply(
        kind,
        [
            ("vertex", ["float x", "float y", "float z"], places),
            ("tristrips", ["list int int vertex_indices"], [[strip] for strip in strips]),
        ],
    )
    mesh = parse_ply_mesh(data, "x.ply")
    expected = [[0, 1, 2], [2, 1, 3], [2, 3, 4], [2, 3, 4], [0, 1, 2]]
    np.testing.assert_array_equal(mesh.faces, expected)
    np.testing.assert_array_equal(face_areas(mesh)[0], [[0, 0, 1]] * 5)


CLOUD = [("vertex", ["float x", "float y", "float z"], [(1, 2, 3)])]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is no .ply file, or its header is cut off"),
        (b"ply\nformat ascii 1.0\nelement vertex 5\n", "its header is cut off"),
        (b"ply\nformat text 1.0\nend_header\n", "has the format 'text'; it must be one of ascii"),
        (b"ply\nend_header\n", "has the format ''; it must"),
        (b"ply\nformat " + b"x" * 500 + b"\nend_header\n", "has the format 'x{40}'; it must"),
        (b"ply\nformat ascii 1.0\nelement vertex -1\nend_header\n", "the line 'element vertex -1'"),
        (b"ply\nformat ascii 1.0\nelement vertex\nend_header\n", "the line 'element vertex'"),
        (b"ply\nformat ascii 1.0\nproperty float x\nend_header\n", "the line 'property float x'"),
        (b"ply\nformat ascii 1.0\nend_header\n", "holds no face"),
        (ply("ascii", CLOUD), "holds no face"),
        (solid("ascii").replace(b"float x", b"real x"), "the line 'property real x'"),
        (solid("ascii").replace(b"float x", b"float u"), "x, y and z are needed"),
        (
            b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty list char int n\n"
            b"element face 1\nproperty list uchar int vertex_index\nend_header\n5 1 7\n1 0\n",
            r"has lists among the numbers of its vertices \(n\)",
        ),
        (solid("ascii").replace(b"vertex_indices", b"corners"), "vertex_indices are needed"),
        (solid("ascii").replace(b"element vertex", b"element vertices"), "holds no vertex"),
        (solid("ascii").replace(b"vertex 7", b"vertex 0"), "holds no point"),
        (solid("ascii").replace(b"3 0 1 6", b"3 0 1 7"), r"lacks \(7 of 7, counted from 0\)"),
        (solid("ascii").replace(b"3 0 1 6", b"3 0 1 -1"), r"lacks \(-1 of 7"),
        (solid("ascii").replace(b"3 0 1 6", b"3 0 1 1.5"), "corners are no whole numbers"),
        (solid("ascii").replace(b"3 0 1 6", b"3 0 1 nan"), "is cut off, or damaged"),
        (solid("ascii").replace(b"3 0 1 6", b"-3 0 1 6"), "is cut off, or damaged"),
        (solid("ascii").replace(b"3 0 1 6", b"nan 0 1 6"), "is cut off, or damaged"),
        (solid("ascii").replace(b"3 0 1 6", b"3 0 one 6"), "is not all numbers"),
        (solid("ascii").replace(b"vertex 7", b"vertex 99999999999"), "is cut off, or damaged"),
        (solid(FORMATS[1]).replace(b"face 4", b"face 999999999999"), "is cut off, or damaged"),
        (solid(FORMATS[1])[:-12], "is cut off, or damaged"),
    ],
)
def test_damage_is_one_sentence_with_the_name(data, message):
    with pytest.raises(UsageError, match=message) as error:
        parse_ply_mesh(data, "shape.ply")
    assert str(error.value).startswith("shape.ply") and "\n" not in str(error.value)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=30), st.integers(0, 700), st.integers(0, 700), st.sampled_from(FORMATS))
def test_no_bytes_make_it_fail_otherwise(junk, start, stop, kind):
    good = solid(kind)
    damaged = good[: min(start, stop)] + junk + good[max(start, stop) :]
    for parse in (parse_ply_mesh, parse_ply_points):
        try:
            parse(damaged, "x.ply")
        except UsageError as error:
            assert str(error).isprintable()
