import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.data.formats.obj import parse_obj
from jaxcmr.data.items.geometry import face_areas
from jaxcmr.errors import UsageError

L = "v 0 0 0\nv 3 0 0\nv 3 1 0\nv 1 1 0\nv 1 3 0\nv 0 3 0\n"  # five unit squares


def parse(text: str):
    return parse_obj(text.encode("latin-1"), "shape.obj")


@pytest.mark.parametrize(
    "face",
    [
        "f 1 2 3 4 5 6",
        "f 3 4 5 6 1 2",
        "f -6 -5 -4 -3 -2 -1",
        "f 1/1 2/1 3/1 4/1 5/1 6/1",
        "f 1//1 2//1 3//1 4//1 5//1 6//1",
        "f 1/9/9 2/9/9 3/9/9 4/9/9 5/9/9 6/9/9  # note",
        "f 1 2 3 \\\n4 5 6",
        "f\t1 2 3 \\\r\n4 5 6\r",
        "  f 1 2 3 4 5 6",
    ],
)
def test_a_concave_polygon_is_not_filled(face):
    mesh = parse(L + face + "\n")
    normals, areas = face_areas(mesh)
    assert areas.sum() == pytest.approx(5)
    np.testing.assert_array_equal(normals[:, 2], 1)
    centers = mesh.triangles.mean(1)
    assert not ((centers[:, 0] > 1) & (centers[:, 1] > 1)).any()


def test_corners_count_back_from_the_vertices_so_far():
    mesh = parse(
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\nv 0 0 5\nv 1 0 5\nv 0 1 5\nf -3 -2 -1\nf 1 2 -1\n"
    )
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [3, 4, 5], [0, 1, 5]])


def test_all_groups_count_and_all_else_is_passed_over():
    text = (
        "# café\nmtllib ../../secret.mtl\no one\nv 0 0 0 1\nv 1 0 0 1.0\nvt 0 0\nvn 0 0 1\n"
        "v 0 1 0 .5 .5 .5\ng a\nusemtl m\ns off\nf 1 2 3\nl 1 2\np 1\no two\nv 0 0 1\nf 1 2 4\n"
    )
    mesh = parse(text)
    np.testing.assert_array_equal(mesh.vertices, [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [0, 1, 3]])
    np.testing.assert_array_equal(parse(text.replace("\n", "\r")).faces, mesh.faces)


def test_a_mark_of_utf_8_hides_no_vertex():
    mesh = parse("\xef\xbb\xbf" + L + "f 1 2 3\n")
    np.testing.assert_array_equal(mesh.triangles, [[[0, 0, 0], [3, 0, 0], [3, 1, 0]]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no face"),
        ("v 0 0 0\nl 1 1\n", "holds no face"),
        (L + "f 1 2 x\n", "line 7: no face: 'f 1 2 x'"),
        (L + "f 1 2 0\n", "line 7: no face: 'f 1 2 0'"),
        (L + "f 1 2 99999999999999999999\n", "line 7: no face"),
        (L + "f 1 2 7\n", r"lacks \(6 of 6, counted from 0\)"),
        (L + "f 1 2 -7\n", r"lacks \(-1 of 6"),
        (L.replace("v 1 1 0", "v 1 one 0") + "f 1 2 3\n", "no vertex .v x y z.: 'v 1 one 0'"),
        (L.replace("v 1 1 0", "v 1 1") + "f 1 2 3\n", "no vertex .v x y z.: 'v 1 1'"),
    ],
)
def test_damage_is_one_sentence_with_the_name(text, message):
    with pytest.raises(UsageError, match=message) as error:
        parse(text)
    assert str(error.value).startswith("shape.obj") and "\n" not in str(error.value)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.binary(max_size=30), st.integers(0, 90), st.integers(0, 90))
def test_no_bytes_make_it_fail_otherwise(junk, start, stop):
    good = (L + "f 1 2 3 4 5 6\nf -1/2 -2//3 1\n").encode()
    try:
        mesh = parse_obj(good[: min(start, stop)] + junk + good[max(start, stop) :], "x.obj")
    except UsageError as error:
        assert str(error).isprintable()
        return
    assert mesh.vertices.shape[1:] == (3,) and mesh.faces.shape[1:] == (3,)
