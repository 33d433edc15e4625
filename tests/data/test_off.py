import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.data.formats.off import parse_off
from jaxcmr.data.items.geometry import Mesh, face_areas
from jaxcmr.errors import UsageError


def parse(text: str) -> Mesh:
    return parse_off(text.encode(), "shape.off")


def test_convex_polygons_become_fans(cube):
    mesh = parse(cube)
    assert mesh.vertices.shape == (8, 3)
    assert mesh.faces.shape == (12, 3)
    np.testing.assert_array_equal(mesh.faces[:2], [[0, 3, 2], [0, 2, 1]])
    assert face_areas(mesh)[1].sum() == pytest.approx(6 * 4)


def test_glued_header_comments_blank_lines_colors_and_windows_ends(cube):
    expected = parse(cube)
    lines = cube.splitlines()
    glued = "OFF8 6 0\n" + "\n".join(lines[2:])
    noisy = (
        "# made by hand\n\nOFF\n"
        + "8 6 0 # counts\n\n"
        + "\n".join(
            line + (" 255 0 0" if line.startswith("4") else "  # end") for line in lines[2:]
        )
    )
    for text in (glued, noisy, cube.replace("\n", "\r\n"), "\ufeff" + cube):
        mesh = parse(text)
        np.testing.assert_array_equal(mesh.vertices, expected.vertices)
        np.testing.assert_array_equal(mesh.faces, expected.faces)


def test_degenerate_faces_are_dropped_and_loose_vertices_kept():
    mesh = parse("OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n9 9 9\n3 0 1 2\n3 0 0 1\n2 0 1\n1 0\n")
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2]])
    assert len(mesh.vertices) == 4


@pytest.mark.parametrize("start", range(6))
@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("color", ["", " 255 0 0"])
def test_a_concave_face_is_not_filled(start, step, color):
    # An L of five unit squares: all of [0, 3] x [0, 3] but [1, 3] x [1, 3].
    outline = ["0 0 0", "3 0 0", "3 1 0", "1 1 0", "1 3 0", "0 3 0"]
    order = " ".join(str((start + step * k) % 6) for k in range(6))
    mesh = parse("OFF\n6 1 0\n" + "\n".join(outline) + f"\n6 {order}{color}\n")
    normals, areas = face_areas(mesh)
    assert areas.sum() == pytest.approx(5)
    np.testing.assert_array_equal(normals[areas > 0][:, 2], step)
    centers = mesh.triangles.mean(1)
    assert not ((centers[:, 0] > 1) & (centers[:, 1] > 1)).any()


TRIANGLE = [[0.0, 0, 0], [2, 0, 0], [0, 3, 0]]


@pytest.mark.parametrize(
    ("keyword", "behind"),
    [
        ("COFF", " 255 0 0 255"),
        ("NOFF", " 0 0 1"),
        ("CNOFF", " 255 0 0 255 0 0 1"),
        ("STOFF", " .5 .5"),
        ("STCNOFF", " 1 1 1 1 0 0 1 .5 .5"),
        ("NCOFF", " 0 0 1 255 0 0 255"),  # as MeshLab has it
        ("COFF ", ""),
    ],
)
def test_what_stands_behind_a_vertex_is_passed_over(keyword, behind):
    vertices = "\n".join(" ".join(map(str, row)) + behind for row in TRIANGLE)
    mesh = parse(f"{keyword}\n3 1 0\n{vertices}\n3 0 1 2\n")
    np.testing.assert_array_equal(mesh.vertices, TRIANGLE)
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2]])


def test_places_are_divided_by_their_weight():
    mesh = parse("4OFF\n3 1 0\n0 0 0 1\n4 0 0 2\n0 -6 0 -2\n3 0 1 2\n")
    np.testing.assert_array_equal(mesh.vertices, TRIANGLE)
    with pytest.raises(UsageError, match="line 4: a coordinate is not finite"):
        parse("4OFF\n3 1 0\n0 0 0 1\n4 0 0 0\n0 6 0 2\n3 0 1 2\n")


def test_the_binary_format_of_geomview(cube):
    expected = parse(cube)
    vertices = expected.vertices.astype(">f4")
    quads = [[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [2, 3, 7, 6], [1, 2, 6, 5], [3, 0, 4, 7]]
    body = b"".join(struct.pack(">6i", 4, *quad, 0) for quad in quads)
    data = b"OFF BINARY\n" + struct.pack(">3i", 8, 6, 0) + vertices.tobytes() + body
    mesh = parse_off(data, "shape.off")
    np.testing.assert_array_equal(mesh.vertices, expected.vertices)
    np.testing.assert_array_equal(mesh.faces, expected.faces)
    rows = np.concatenate([vertices, np.ones((8, 4), ">f4")], 1)  # a color behind each vertex
    body = b"".join(struct.pack(">6i3f", 4, *quad, 3, 1, 0, 0) for quad in quads)  # and each face
    data = b"COFF BINARY\n" + struct.pack(">3i", 8, 6, 0) + rows.tobytes() + body
    np.testing.assert_array_equal(parse_off(data, "shape.off").faces, expected.faces)
    for length in range(12, len(data), 3):
        with pytest.raises(UsageError, match=r"shape.off is damaged or cut off"):
            parse_off(data[:length], "shape.off")


def test_old_line_ends_and_comments_in_another_encoding(cube):
    expected = parse(cube)
    for data in (cube.replace("\n", "\r").encode(), b"# caf\xe9\n" + cube.encode()):
        np.testing.assert_array_equal(parse_off(data, "shape.off").faces, expected.faces)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: an .off file begins with OFF"),
        ("PLY\n1 2 3", "line 1: an .off file begins with OFF, not 'PLY'"),
        ("OFF", "cut off behind its first line"),
        ("OFF\nmany few", "line 2: expected the numbers of vertices and faces, found 'many few'"),
        ("OFF\n-3 1 0", "line 2: expected the numbers"),
        ("OFF\n3", "line 2: expected the numbers"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n", "announces 3 vertices and 1 faces, but only 2 lines follow"),
        ("OFF\n999999999999 1 0\n0 0 0\n", "line 2: expected the numbers"),
        ("OFF\n99999999999 1 0\n0 0 0\n", "is cut off"),
        ("OFF\n3 1 0\n0 0 0\n1 x 0\n0 1 0\n3 0 1 2\n", "line 4: no vertex (x y z): '1 x 0'"),
        ("OFF\n3 1 0\n0 0 0\n1 0\n0 1 0\n3 0 1 2\n", "line 4: no vertex"),
        ("OFF\n3 1 0\n0 0 0\n1 nan 0\n0 1 0\n3 0 1 2\n", "line 4: a coordinate is not finite"),
        ("OFF\n3 1 0\n0 0 0\n1 1e999 0\n0 1 0\n3 0 1 2\n", "line 4: a coordinate is not finite"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1\n", "line 6: no face (count, corners): '3 0 1'"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 -1\n", "line 6: no face"),
        ("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n", "line 6: a face refers to vertex 3"),
    ],
)
def test_a_malformed_file_is_one_sentence_with_its_name_and_line(text, message):
    with pytest.raises(UsageError) as error:
        parse(text)
    assert message in str(error.value)
    assert str(error.value).startswith("shape.off")
    assert "\n" not in str(error.value)


def test_binary_content_is_refused():
    with pytest.raises(UsageError, match=r"shape.off, line 2: not text"):
        parse_off(b"OFF\n\xff\xfe\x00", "shape.off")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80), st.integers(0, 150), st.integers(0, 150))
def test_no_bytes_make_it_fail_otherwise(junk, start, stop):
    """Any damage to a file gives a mesh that refers to its own vertices, or a UsageError."""
    good = b"OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n4 0 1 2 3\n"
    damaged = good[: min(start, stop)] + junk + good[max(start, stop) :]
    try:
        mesh = parse_off(damaged, "shape.off")
    except UsageError:
        return
    assert mesh.vertices.shape[1:] == (3,) and mesh.faces.shape[1:] == (3,)
    assert np.isfinite(mesh.vertices).all()
    assert not len(mesh.faces) or 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.vertices)
