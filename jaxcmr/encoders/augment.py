"""Augmentations: pure functions of a key and a batch, with new draws for each item.

Each takes `(key, batch, strength)`, keeps shapes and dtypes, runs inside `jit`, and is the identity
at strength zero; the defaults are the field's. Points are `[B, N, 3]`, images `[B, H, W, C]` float
in [0, 1], meshes the dict that MeshNet takes.
"""

import jax
import jax.numpy as jnp

Mesh = dict[str, jax.Array]


def scale_points(key: jax.Array, points: jax.Array, stretch: float = 0.5) -> jax.Array:
    """Stretches each cloud along each axis apart, by `U(1 / (1 + stretch), 1 + stretch)`."""
    shape = (points.shape[0], 1, 3)
    factor = jax.random.uniform(key, shape, minval=1 / (1 + stretch), maxval=1 + stretch)
    return (points * factor).astype(points.dtype)


def shift_points(key: jax.Array, points: jax.Array, distance: float = 0.2) -> jax.Array:
    """Moves each cloud by `U(-distance, distance)` along each axis."""
    shape = (points.shape[0], 1, 3)
    move = jax.random.uniform(key, shape, minval=-distance, maxval=distance)
    return (points + move).astype(points.dtype)


def jitter_points(key: jax.Array, points: jax.Array, sigma: float = 0.01) -> jax.Array:
    """Moves each point by normal noise of deviation `sigma`, cut at `5 sigma`, along each axis."""
    noise = jnp.clip(jax.random.normal(key, points.shape), -5.0, 5.0)
    return (points + sigma * noise).astype(points.dtype)


def rotate_points(
    key: jax.Array, points: jax.Array, angle: float = jnp.pi, axis: int = 2
) -> jax.Array:
    """Turns each cloud about a coordinate axis by `U(-angle, angle)` radians.

    Args:
        key: random key.
        points: `[B, N, 3]`.
        angle: largest angle, in radians; pi for any.
        axis: 0, 1 or 2: the axis that stays, upwards in the data (2 in ModelNet).

    Raises:
        ValueError: for another axis.
    """
    matrices = _rotations(key, points.shape[0], angle, axis)
    return jnp.einsum("bnc,bdc->bnd", points, matrices.astype(points.dtype))


def roll_points(key: jax.Array, points: jax.Array, angle: float = 0.2) -> jax.Array:
    """Turns each cloud about the first axis by `U(-angle, angle)`: a 3D digit in its plane."""
    return rotate_points(key, points, angle, axis=0)


def drop_points(key: jax.Array, points: jax.Array, rate: float = 0.875) -> jax.Array:
    """Replaces a share of each cloud's points, `U(0, rate)` of them, by its first point.

    The number of points stays; a network that takes a maximum over points sees the dropped ones no
    more. (PointNet++'s augmentation.)
    """
    share_key, drop_key = jax.random.split(key)
    share = jax.random.uniform(share_key, (points.shape[0], 1), maxval=rate)
    dropped = jax.random.uniform(drop_key, points.shape[:2]) < share
    return jnp.where(dropped[..., None], points[:, :1], points)


def flip_images(key: jax.Array, images: jax.Array, rate: float = 0.5) -> jax.Array:
    """Mirrors a share `rate` of the images left to right."""
    flipped = jax.random.bernoulli(key, rate, (images.shape[0], 1, 1, 1))
    return jnp.where(flipped, images[:, :, ::-1], images)


def crop_images(key: jax.Array, images: jax.Array, padding: int = 4) -> jax.Array:
    """Shifts each image by up to `padding` pixels: zeros around it, then a crop of its old size."""
    padding = int(padding)
    batch, height, width, channels = images.shape
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = jnp.pad(images, around)
    corners = jax.random.randint(key, (batch, 2), 0, 2 * padding + 1)
    cut = lambda image, corner: jax.lax.dynamic_slice(
        image, (corner[0], corner[1], 0), (height, width, channels)
    )
    return jax.vmap(cut)(padded, corners)


def zoom_images(key: jax.Array, images: jax.Array, cut: float = 0.5) -> jax.Array:
    """Cuts a part of the same shape out of each image, anywhere, and resizes it to the whole.

    Args:
        key: random key.
        images: `[B, H, W, C]`.
        cut: largest share of the area that is cut away, in [0, 1); the share is uniform.
    """
    batch, height, width, _ = images.shape
    area_key, place_key = jax.random.split(key)
    side = jnp.sqrt(jax.random.uniform(area_key, (batch, 1), minval=1 - cut, maxval=1.0))
    size = jnp.array([[height, width]])
    # `scale_and_translate` maps input x to output x * scale + translation.
    start = jax.random.uniform(place_key, (batch, 2)) * (1 - side) * size
    scale = jnp.broadcast_to(1 / side, (batch, 2))
    zoom = lambda image, scale, move: jax.image.scale_and_translate(
        image, image.shape, (0, 1), scale, move, "linear", antialias=False
    )
    return jax.vmap(zoom)(images, scale, -start * scale).astype(images.dtype)


def warp_images(key: jax.Array, images: jax.Array, strength: float = 0.2) -> jax.Array:
    """Turns, stretches and shears each image about its center: `x -> (I + A) x`.

    The four entries of A are `U(-strength, strength)`; linear interpolation, zeros from outside.
    """
    batch, height, width, _ = images.shape
    change = jax.random.uniform(key, (batch, 2, 2), minval=-strength, maxval=strength)
    matrices = jnp.eye(2)[None] + change
    center = jnp.array([[(height - 1) / 2], [(width - 1) / 2]])
    grid = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"))
    offsets = grid.reshape(2, -1) - center

    def warp(image: jax.Array, matrix: jax.Array) -> jax.Array:
        places = (matrix @ offsets + center).reshape(2, height, width)
        one = lambda channel: jax.scipy.ndimage.map_coordinates(channel, places, order=1)
        return jax.vmap(one, in_axes=-1, out_axes=-1)(image)

    return jax.vmap(warp)(images, matrices).astype(images.dtype)


def jitter_colors(key: jax.Array, images: jax.Array, strength: float = 0.4) -> jax.Array:
    """Changes brightness and contrast of each image, and cuts the result to [0, 1].

    `m + c (b x - m)`, b and c drawn from `U(1 - strength, 1 + strength)`, m the mean of `b x`.
    """
    shape = (2, images.shape[0], 1, 1, 1)
    brightness, contrast = jax.random.uniform(key, shape, minval=1 - strength, maxval=1 + strength)
    lit = images * brightness
    mean = lit.mean((1, 2, 3), keepdims=True)
    out = mean + contrast * (lit - mean)
    return jnp.clip(out, 0.0, 1.0).astype(images.dtype)


def jitter_faces(key: jax.Array, mesh: Mesh, sigma: float = 0.01) -> Mesh:
    """Moves each real face, centers and corners apart, by clipped normal noise, as MeshNet does.

    Normals, neighbors and mask stay; padded faces are left alone. Returns a new dict.
    """
    real = mesh["mask"][..., None]
    keys = dict(zip(("centers", "corners"), jax.random.split(key)))
    moved = {name: jitter_points(keys[name], mesh[name], sigma) for name in keys}
    return mesh | {name: jnp.where(real, value, mesh[name]) for name, value in moved.items()}


def rotate_faces(key: jax.Array, mesh: Mesh, angle: float = jnp.pi, axis: int = 2) -> Mesh:
    """Turns each mesh, its normals with it, about a coordinate axis; see `rotate_points`."""
    batch = mesh["mask"].shape[0]
    matrices = _rotations(key, batch, angle, axis)

    def turn(vectors: jax.Array) -> jax.Array:
        threes = vectors.reshape(batch, -1, 3)
        turned = jnp.einsum("bnc,bdc->bnd", threes, matrices.astype(vectors.dtype))
        return turned.reshape(vectors.shape)

    return mesh | {name: turn(mesh[name]) for name in ("centers", "corners", "normals")}


def _rotations(key: jax.Array, batch: int, angle: float, axis: int) -> jax.Array:
    """Draws one rotation matrix about `axis` for each item: `[batch, 3, 3]`."""
    if axis not in (0, 1, 2):
        raise ValueError(f"axis is {axis}; choose 0, 1 or 2.")
    turn = jax.random.uniform(key, (batch,), minval=-angle, maxval=angle)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrix = jnp.zeros((batch, 3, 3)).at[:, axis, axis].set(1.0)
    matrix = matrix.at[:, first, first].set(jnp.cos(turn)).at[:, first, second].set(-jnp.sin(turn))
    return matrix.at[:, second, first].set(jnp.sin(turn)).at[:, second, second].set(jnp.cos(turn))


# What a config may name; those of images see floats `[B, H, W, C]` in [0, 1].
IMAGE_AUGMENTATIONS = {
    function.__name__: function
    for function in (flip_images, crop_images, zoom_images, warp_images, jitter_colors)
}
AUGMENTATIONS = IMAGE_AUGMENTATIONS | {
    function.__name__: function
    for function in (
        *(scale_points, shift_points, jitter_points, rotate_points, roll_points, drop_points),
        *(jitter_faces, rotate_faces),
    )
}
