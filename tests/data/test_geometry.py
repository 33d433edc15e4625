import numpy as np
import pytest

from jaxcmr.data.items.geometry import Mesh, face_areas, normalize, normalize_mesh, sample_surface
from jaxcmr.errors import UsageError

# Two triangles in the plane z = 0, of area 1/2 and 3/2.
PLATES = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0], [5, 0, 0], [2, 1, 0]], np.float64),
    np.array([[0, 1, 2], [3, 4, 5]]),
)


def test_normalize_centers_the_box_and_reaches_the_sphere():
    points = np.array([[0.0, 0, 0], [2, 0, 0], [2, 4, 0], [1, 1, 4]])
    result = normalize(points, "x")
    # The box is [0, 2] x [0, 4] x [0, 4], its center (1, 2, 2); the farthest corner is at 3.
    np.testing.assert_allclose(result, (points - [1, 2, 2]) / 3, atol=1e-15)
    np.testing.assert_allclose(normalize(result, "x"), result, atol=1e-15)


def test_normalize_is_free_of_scale_and_place_and_survives_extremes():
    points = np.random.default_rng(0).normal(size=(2, 50, 3))
    expected = normalize(points, "x")
    np.testing.assert_allclose(normalize(7 * points + [1, 2, 3], "x"), expected, atol=1e-12)
    np.testing.assert_allclose(normalize(points * 1e307, "x"), expected, atol=1e-12)
    np.testing.assert_allclose(normalize(points * 1e-200, "x"), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0, 0, 0], [np.nan, 0, 0]], "pot has coordinates that are not finite"),
        ([[1, 2, 3], [1, 2, 3]], "pot has no extent"),
    ],
)
def test_normalize_refuses(points, message):
    with pytest.raises(UsageError, match=message):
        normalize(np.array(points, np.float64), "pot")


def test_loose_vertices_do_not_move_a_mesh():
    far = Mesh(np.concatenate([[[99.0, 99, 99]], PLATES.vertices]), PLATES.faces + 1)
    np.testing.assert_allclose(
        normalize_mesh(far, "x").triangles, normalize_mesh(PLATES, "x").triangles
    )
    with pytest.raises(UsageError, match="pot has no face"):
        normalize_mesh(Mesh(PLATES.vertices, PLATES.faces[:0]), "pot")


def test_areas_and_normals_by_hand():
    flat = Mesh(PLATES.vertices, np.array([[0, 1, 2], [3, 4, 5], [0, 2, 1], [0, 0, 1]]))
    normals, areas = face_areas(flat)
    np.testing.assert_allclose(areas, [1 / 2, 3 / 2, 1 / 2, 0])
    np.testing.assert_allclose(normals, [[0, 0, 1], [0, 0, 1], [0, 0, -1], [0, 0, 0]])


def test_points_lie_on_the_surface_in_proportion_to_area():
    points = sample_surface(PLATES, 4000, np.random.default_rng(0)).astype(np.float64)
    assert points.dtype == np.float64 and points.shape == (4000, 3)
    second = points[:, 0] >= 2
    # 3/2 of 2 units of area; the draw is stratified, so this is exact up to one point.
    assert abs(second.sum() - 3000) <= 1
    x, y = points[~second, 0], points[~second, 1]
    assert (x >= 0).all() and (y >= 0).all() and (x + y <= 1 + 1e-6).all()
    # A uniform triangle has its mean at a third of each leg and the variance 1/18.
    np.testing.assert_allclose([x.mean(), y.mean()], 1 / 3, atol=0.03)
    np.testing.assert_allclose([x.var(), y.var()], 1 / 18, atol=0.006)


def test_sampling_is_reproducible_and_needs_area():
    draw = lambda seed: sample_surface(PLATES, 50, np.random.default_rng(seed))
    np.testing.assert_array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1), draw(2))
    line = Mesh(PLATES.vertices, np.array([[0, 1, 3]]))
    with pytest.raises(UsageError, match="pot has faces without area only"):
        sample_surface(line, 5, np.random.default_rng(0), "pot")
