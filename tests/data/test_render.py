import numpy as np
import pytest

from jaxcmr.data.formats.off import parse_off
from jaxcmr.data.items.geometry import normalize, normalize_mesh, sample_surface
from jaxcmr.data.items.render import (
    camera_ring,
    fade,
    lambert,
    render_mesh,
    render_points,
    surface_frame,
)
from jaxcmr.data.standin.solids import box, merge, turn

SIZE = 32


def covered(image):
    return image < 255


def test_cameras_are_rotations_at_the_elevation():
    cameras = camera_ring(4, 30.0)
    np.testing.assert_allclose(
        cameras @ cameras.transpose(0, 2, 1), np.eye(3) * np.ones((4, 1, 1)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(cameras), 1)
    # The first stands on the -y axis, raised by 30 degrees, and its right is +x.
    np.testing.assert_allclose(cameras[0, 2], [0, -np.sqrt(3) / 2, 1 / 2], atol=1e-12)
    np.testing.assert_allclose(cameras[0, 0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(cameras[1, 2], [np.sqrt(3) / 2, 0, 1 / 2], atol=1e-12)


def test_shading_is_two_sided_and_darker_behind():
    light = np.array([-0.45, 0.6, 0.66]) / np.sqrt(0.45**2 + 0.6**2 + 0.66**2)
    normals = np.array([light, -light, [0.6, 0.45, 0.66]])
    assert lambert(normals)[0] == lambert(normals)[1] == pytest.approx(0.22 + 0.73)
    assert lambert(normals)[2] < lambert(normals)[0]
    np.testing.assert_allclose(fade(np.array([-5, -1, 0, 1])), [0.8, 0.8, 0.9, 1.0])


def test_a_plate_seen_from_above_covers_what_it_covers():
    plate = normalize_mesh(box((0, 0, 0), (2, 1, 1e-6)), "plate")
    image = render_mesh(plate, camera_ring(1, 90.0), 64)[0]
    # The picture is 2 * 1.04 half extents wide; the plate has a fill of 1/1.04 by 0.5/1.04.
    assert covered(image).mean() == pytest.approx(0.5 / 1.04**2, abs=0.03)
    rows, columns = np.nonzero(covered(image))
    assert np.ptp(columns) > 1.9 * np.ptp(rows)
    assert (
        len(
            np.unique(image[rows.min() + 2 : rows.max() - 1, columns.min() + 2 : columns.max() - 1])
        )
        == 1
    )


def test_nearer_faces_hide_farther_ones():
    near, far = box((0, -1, 0), (1, 0.1, 1)), box((0, 1, 0), (1, 0.1, 1))
    both = normalize_mesh(merge([turn(near, 0.3), far]), "x")
    swapped = both._replace(faces=both.faces[::-1])
    cameras = camera_ring(4, 20.0)
    image = render_mesh(both, cameras, SIZE)
    np.testing.assert_array_equal(image, render_mesh(swapped, cameras, SIZE))
    assert not np.array_equal(image[0], image[2])


def test_turning_the_object_is_turning_the_ring(cube):
    mesh = normalize_mesh(
        merge([parse_off(cube.encode(), "cube"), box((1, 0, 1), (3, 0.5, 0.5))]), "x"
    )
    cameras = camera_ring(4)
    image = render_mesh(mesh, cameras, SIZE).astype(int)
    turned = render_mesh(turn(mesh, -np.pi / 2), cameras, SIZE).astype(int)
    different = np.abs(np.roll(turned, 1, 0) - image) > 8
    assert different.mean() < 0.01  # rays along edges may fall on either side


def test_a_cloud_looks_like_its_mesh(cube):
    mesh = normalize_mesh(parse_off(cube.encode(), "cube"), "cube")
    cloud = sample_surface(mesh, 2000, np.random.default_rng(0))
    cameras = camera_ring(3)
    solid, splat = render_mesh(mesh, cameras, SIZE), render_points(cloud, cameras, SIZE)
    assert solid.shape == splat.shape == (3, SIZE, SIZE) and splat.dtype == np.uint8
    assert (covered(solid) == covered(splat)).mean() > 0.95
    inside = covered(solid) & covered(splat)
    error = np.abs(solid.astype(int) - splat)[inside]
    assert np.median(error) < 12 and (error > 60).mean() < 0.2


def test_normals_of_a_sphere_point_outwards():
    points = np.random.default_rng(0).normal(size=(800, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    normals, radius = surface_frame(points)
    np.testing.assert_allclose(np.abs((normals * points).sum(1)), 1, atol=0.02)
    # 800 points on an area of 4 pi: a disc with five others has about 6 / 800 of it.
    assert radius == pytest.approx(np.sqrt(4 * np.pi * 6 / 800 / np.pi), rel=0.2)


@pytest.mark.parametrize("count", [2, 3, 20])
def test_few_or_equal_points_are_drawn(count):
    cloud = normalize(np.arange(3.0 * count).reshape(-1, 3) ** 2, "x")
    cloud = np.concatenate([cloud, cloud[:1], cloud[:1]])
    image = render_points(cloud, camera_ring(2), SIZE)
    assert (covered(image).sum((1, 2)) > 0).all()
    assert covered(image).mean() < 0.5


def test_order_of_points_does_not_matter():
    cloud = normalize(np.random.default_rng(0).normal(size=(60, 3)), "x")
    cameras = camera_ring(2)
    image = render_points(cloud, cameras, SIZE)
    other = render_points(cloud[::-1], cameras, SIZE)
    assert (np.abs(image.astype(int) - other) > 2).mean() < 0.01
