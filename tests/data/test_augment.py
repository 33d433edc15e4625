"""Augmentations: what they keep, what they change, and that their keys decide."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxcmr.encoders import augment

KEY = jax.random.key(0)
POINTS = jax.random.normal(jax.random.key(1), (64, 20, 3))
IMAGES = jax.random.uniform(jax.random.key(2), (64, 8, 10, 3))
MESH = {
    "centers": jax.random.normal(jax.random.key(3), (4, 6, 3)),
    "corners": jax.random.normal(jax.random.key(4), (4, 6, 9)),
    "normals": jax.random.normal(jax.random.key(5), (4, 6, 3)),
    "neighbors": jnp.zeros((4, 6, 3), jnp.int32),
    "mask": jnp.arange(24).reshape(4, 6) % 6 < 5,
}
CASES = {
    "scale_points": POINTS,
    "shift_points": POINTS,
    "jitter_points": POINTS,
    "rotate_points": POINTS,
    "drop_points": POINTS,
    "flip_images": IMAGES,
    "crop_images": IMAGES,
    "zoom_images": IMAGES,
    "jitter_colors": IMAGES,
    "jitter_faces": MESH,
    "rotate_faces": MESH,
}


@functools.cache
def run(name, *strength, **options):
    return jax.jit(lambda key, batch: getattr(augment, name)(key, batch, *strength, **options))


def distance(first, second):
    differences = jax.tree.map(lambda a, b: np.abs(1.0 * a - 1.0 * b).max(), first, second)
    return max(jax.tree.leaves(differences))


@pytest.mark.parametrize("name", CASES)
def test_keys_decide_and_strength_zero_is_the_identity(name):
    inputs = CASES[name]
    first, again, other = (run(name)(jax.random.key(key), inputs) for key in (0, 0, 1))
    shape = lambda tree: jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)
    assert shape(first) == shape(inputs)
    assert distance(first, again) == 0.0
    assert distance(first, other) > 1e-3
    assert distance(run(name, 0.0)(KEY, inputs), inputs) < 1e-6


def test_items_are_drawn_independently():
    same = jnp.broadcast_to(POINTS[:1], POINTS.shape)
    for name in ("scale_points", "shift_points", "rotate_points", "jitter_points"):
        out = np.asarray(run(name)(KEY, same))
        assert len(np.unique(out[:, 3, 0].round(5))) > 60


def test_bounds():
    factor = run("scale_points")(KEY, jnp.ones((64, 1, 3)))
    assert 2 / 3 <= factor.min() < 0.72 and 1.44 < factor.max() <= 1.5
    moved = run("shift_points")(KEY, jnp.zeros((64, 2, 3)))
    assert 0.18 < np.abs(moved).max() <= 0.2
    np.testing.assert_array_equal(moved[:, 0], moved[:, 1])
    noise = np.asarray(run("jitter_points", 0.02)(KEY, jnp.zeros((64, 50, 3))))
    assert 0.06 < np.abs(noise).max() <= 0.1
    np.testing.assert_allclose(noise.std(), 0.02, rtol=0.05)
    lit = run("jitter_colors")(KEY, IMAGES)
    assert lit.min() >= 0.0 and lit.max() <= 1.0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_rotation_keeps_lengths_angles_handedness_and_its_axis(axis):
    frame = jnp.broadcast_to(jnp.eye(3), (64, 3, 3))
    turned = np.asarray(run("rotate_points", axis=axis)(KEY, frame))
    np.testing.assert_allclose(turned @ turned.transpose(0, 2, 1), frame, atol=1e-6)
    np.testing.assert_allclose(np.linalg.det(turned), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(turned[:, axis], frame[:, axis])


def test_rotation_by_a_right_angle():
    turned = augment._rotations(KEY, 200, np.pi / 2, 2)[:, :, 0]  # where x goes
    angles = np.arctan2(turned[:, 1], turned[:, 0])
    assert np.abs(angles).max() <= np.pi / 2 + 1e-6
    assert angles.min() < -1.3 and angles.max() > 1.3


def test_unknown_axis():
    with pytest.raises(ValueError, match="axis is 3; choose 0, 1 or 2"):
        augment.rotate_points(KEY, POINTS, axis=3)


def test_dropped_points_become_the_first():
    out = np.asarray(run("drop_points", 0.5)(KEY, POINTS))
    kept = (out == POINTS).all(-1)
    first = (out == POINTS[:, :1]).all(-1)
    assert (kept | first).all()
    dropped = (~kept).mean(1)
    assert dropped.max() < 0.85
    np.testing.assert_allclose(dropped.mean(), 0.25 * 19 / 20, atol=0.05)


def test_flips_are_mirror_images():
    out = run("flip_images")(KEY, IMAGES)
    same = (out == IMAGES).all((1, 2, 3))
    mirrored = (out == IMAGES[:, :, ::-1]).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 16 < mirrored.sum() < 48


def test_crops_are_windows_of_the_padded_image():
    row = jnp.broadcast_to(jnp.arange(1.0, 9.0)[None, :, None, None], (64, 8, 10, 1))
    out = np.asarray(run("crop_images", 2)(KEY, row))
    shifts = set()
    for image in out:
        column = image[:, 5, 0]
        shift = int(column[4] - 5)
        expected = np.arange(1, 9) + shift
        np.testing.assert_array_equal(
            column, np.where((expected < 1) | (expected > 8), 0, expected)
        )
        shifts.add(shift)
    assert shifts == {-2, -1, 0, 1, 2}


def test_a_zoom_shows_a_part_of_the_image():
    ramp = jnp.broadcast_to(jnp.linspace(0.0, 1.0, 32)[None, None, :, None], (64, 32, 32, 1))
    out = np.asarray(run("zoom_images", 0.75)(KEY, ramp))[..., 0]
    span = out[:, 16, 28] - out[:, 16, 3]  # 25 of 31 steps in the whole image
    assert (span <= 25 / 31 + 1e-3).all() and (span >= 0.5 * 25 / 31 - 1e-3).all()
    assert span.min() < 0.45 and span.max() > 0.75
    assert out.min() >= 0.0 and out.max() <= 1.0


def test_faces_move_apart_from_padded_ones_and_normals_turn_with_them():
    moved = run("jitter_faces")(KEY, MESH)
    padded = ~np.asarray(MESH["mask"])
    for name in ("centers", "corners"):
        np.testing.assert_array_equal(moved[name][padded], MESH[name][padded])
        assert (moved[name][~padded] != MESH[name][~padded]).mean() > 0.99
    np.testing.assert_array_equal(moved["normals"], MESH["normals"])
    turned = run("rotate_faces")(KEY, MESH)
    dot = lambda mesh: (mesh["normals"] * mesh["corners"][..., 3:6]).sum(-1)
    np.testing.assert_allclose(dot(turned), dot(MESH), atol=1e-5)
