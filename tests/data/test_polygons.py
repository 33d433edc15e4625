import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.data.formats.polygons import polygon_mesh
from jaxcmr.data.items.geometry import Mesh, face_areas
from jaxcmr.errors import UsageError

# Five unit squares in the shape of an L, and a square of 9 with a hole of 1 on a bridge.
L = [(0, 0), (3, 0), (3, 1), (1, 1), (1, 3), (0, 3)]
KEYHOLE = [(0, 0), (3, 0), (3, 3), (0, 3), (0, 0), (1, 1), (1, 2), (2, 2), (2, 1), (1, 1)]


def cut(outline) -> Mesh:
    """The triangles of one polygon, in the plane z = 0 if it has no z."""
    places = np.array(outline, np.float64)
    if places.shape[1] == 2:
        places = np.c_[places, np.zeros(len(places))]
    return polygon_mesh(places, np.arange(len(places)), np.array([len(places)]), "shape")


def winds_around(outline: np.ndarray, point: np.ndarray) -> bool:
    """True where a polygon `[k, 2]` goes around a point: the sum of the angles is a turn."""
    x, y = (outline - point).T
    angle = np.arctan2(
        x * np.roll(y, -1) - y * np.roll(x, -1), x * np.roll(x, -1) + y * np.roll(y, -1)
    )
    return abs(angle.sum()) > np.pi


@pytest.mark.parametrize(
    ("outline", "area"),
    [
        (L, 5),
        (L[2:] + L[:2], 5),
        (KEYHOLE, 8),
        ([(0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (0, 2), (0, 1)], 4),  # corners on the sides
        ([(0, 0), (2, 0), (2, 2), (1, 1)], 2),  # the last corner lies on a diagonal
        ([(0, 0), (4, 0), (1, 1), (0, 4)], 4),  # an arrow: 8 - 4
        ([(0, 0), (2, 0), (2, 0), (0, 2), (0, 0)], 2),  # a triangle with corners repeated
        ([(0, 0), (1, 0), (2, 0), (3, 0)], 0),
        ([(1, 1)] * 5, 0),
    ],
)
@pytest.mark.parametrize("scale", [1, 1e300, 1e-300])
@pytest.mark.parametrize("step", [1, -1])
def test_triangles_cover_a_polygon_and_nothing_else(outline, area, scale, step):
    places = np.array(outline[::step], np.float64) * scale
    mesh = cut(places)
    normals, areas = face_areas(Mesh(mesh.vertices / scale, mesh.faces))
    assert areas.sum() == pytest.approx(area)
    np.testing.assert_array_equal(normals[areas > 1e-9][:, 2], step)  # the winding is kept


@settings(max_examples=80, derandomize=True, deadline=None)
@given(st.integers(3, 40), st.integers(0, 2**32 - 1), st.sampled_from([1.0, 1e9, 1e-9]))
def test_any_polygon_around_a_point_is_covered_wherever_it_lies_in_space(size, seed, scale):
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * (np.arange(size) + 0.8 * rng.random(size)) / size
    outline = rng.uniform(0.2, 1, size)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    if size > 4 and rng.random() < 0.5:  # some corners on the middle of a side
        outline = np.insert(outline, 2, (outline[1] + outline[2]) / 2, 0)
    x, y = outline.T
    area = abs((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    places = scale * (np.c_[outline, np.zeros(len(outline))] @ turn.T + rng.normal(size=3))
    mesh = cut(places)
    _, areas = face_areas(Mesh(mesh.vertices / scale, mesh.faces))
    assert areas.sum() == pytest.approx(area, rel=1e-6)
    for a, b, c in outline[mesh.faces[areas > 1e-9]]:
        assert winds_around(outline, (a + b + c) / 3)


def test_a_bent_quadrilateral_is_cut_along_one_of_its_diagonals():
    mesh = cut([(0, 0, 0), (2, 0, 1), (2, 2, 0), (0, 2, 1)])
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [0, 2, 3]])
    # Seen from above the second corner is concave: only the diagonal from it lies inside.
    mesh = cut([(0, 4, 0), (1, 1, 0.5), (4, 0, 0), (0, 0, 0.5)])
    assert {tuple(sorted(face)) for face in mesh.faces} == {(0, 1, 3), (1, 2, 3)}


def test_a_polygon_that_is_nearly_flat_need_not_be_simple_along_every_axis():
    # Ten corners in a plane, rounded to whole numbers: along one axis two of its sides cross.
    outline = [
        (-536, 305, -330), (-641, 400, -373), (-577, 317, -364), (-116, 183, 5), (-37, 463, 265),
        (-25, 511, 308), (-513, 409, -240), (-306, 958, 322), (-512, 793, 11), (-607, 907, -9),
    ]  # fmt: skip
    places = np.array(outline, np.float64)
    area = np.linalg.norm(np.cross(places, np.roll(places, -1, 0)).sum(0)) / 2
    assert face_areas(cut(outline))[1].sum() == pytest.approx(area, rel=1e-2)


def test_what_crosses_itself_is_refused_where_it_is_flat():
    bow = [(0, 0), (2, 2), (2, 0), (0, 2)]
    for outline in (bow, [(0, 0), (3, 3), (2, 0), (0, 2)]):
        with pytest.raises(UsageError, match="shape: face 1 crosses itself"):
            cut(outline)
    twisted = cut([(0, 0, 0), (1, 0, 0), (0, 0, 1), (1, 0.1, 1)])
    np.testing.assert_array_equal(twisted.faces, [[0, 1, 2], [0, 2, 3]])


def test_faces_of_all_sizes_keep_the_order_of_the_file():
    places = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 3, 0]], np.float64)
    corners = np.array([0, 1, 2, 3, 4, 0, 1, 3, 2, 4, 0, 1, 2, 3, 1])
    counts = np.array([4, 1, 2, 3, 0, 4, 1])
    mesh = polygon_mesh(places, corners, counts, "shape")
    np.testing.assert_array_equal(
        mesh.faces, [[0, 1, 2], [0, 2, 3], [3, 2, 4], [0, 1, 2], [0, 2, 3]]
    )
    assert polygon_mesh(places, corners[:0], counts[:0], "shape").faces.shape == (0, 3)


def test_polygons_that_are_cut_together_keep_their_own_corners():
    # Three combs of three teeth each, in other planes and directions; no corner sees all of one.
    x = [0, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0]
    y = [0, 0, 3, 3, 1, 1, 3, 3, 1, 1, 3, 3]
    flat = np.array([x, y], np.float64).T
    zero = np.zeros(12)
    planes = [np.c_[flat, zero], np.c_[flat[:, 0], zero, flat[:, 1]][::-1], np.c_[zero, flat]]
    places = np.concatenate([plane + 10 * k for k, plane in enumerate(planes)])
    mesh = polygon_mesh(places, np.arange(36), np.array([12, 12, 12]), "shape")
    normals, areas = face_areas(mesh)
    which = mesh.faces // 12
    assert (which == which[:, :1]).all()
    # Five squares below, six above: 5 * 1 + 3 * 2.
    np.testing.assert_allclose(np.bincount(which[:, 0], areas), [11, 11, 11])
    expected = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])  # the second one runs backwards
    np.testing.assert_allclose(normals, expected[which[:, 0]], atol=1e-12)


def test_a_corner_that_is_no_vertex_is_refused():
    for wrong in (-1, 3):
        with pytest.raises(UsageError, match=rf"vertices that it lacks \({wrong} of 3"):
            polygon_mesh(np.eye(3), np.array([0, 1, wrong]), np.array([3]), "shape")


def test_a_polygon_of_too_many_corners_is_refused_at_once():
    steps = np.arange(20_000)
    comb = np.stack([steps, np.where(steps % 2, 5.0, 1.0)], 1)
    with pytest.raises(UsageError, match="concave polygons of 20002 corners"):
        cut(np.concatenate([[(0, 0), (19_999, 0)], comb[::-1]]))
