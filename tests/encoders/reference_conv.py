"""XLA's own convolution, and what tests of the other forms compare with it."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def reference(images, kernel, strides, padding):
    if isinstance(padding, int):
        padding = ((padding, padding), (padding, padding))
    return lax.conv_general_dilated(
        images,
        kernel,
        (strides, strides) if isinstance(strides, int) else strides,
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=images.shape[3] // kernel.shape[2],
    )


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def value_and_gradients(convolve, images, kernel):
    out, pull = jax.vjp(convolve, images, kernel)
    weights = jnp.cos(jnp.arange(out.size * 1.0)).reshape(out.shape)
    return out, *pull(weights.astype(out.dtype))


def close(actual, expected, tolerance=2e-5):
    def check(a, b):
        np.testing.assert_allclose(a, b, atol=tolerance * max(1.0, np.abs(b).max()))

    jax.tree.map(check, actual, expected)


def equations(function, *args):
    """Returns all equations in the jaxpr of `function`, nested ones included."""
    found = []

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            found.append(equation)
            for sub in jax.tree.leaves(
                equation.params,
                is_leaf=lambda leaf: hasattr(leaf, "eqns") or hasattr(leaf, "jaxpr"),
            ):
                if hasattr(sub, "jaxpr"):
                    walk(sub.jaxpr)
                elif hasattr(sub, "eqns"):
                    walk(sub)

    # A new function each time: traces are cached, and the backend is not part of the key.
    walk(jax.make_jaxpr(lambda *args: function(*args))(*args).jaxpr)
    return found


def primitives(function, *args):
    """Returns the names of all primitives in the jaxpr of `function`."""
    return {equation.primitive.name for equation in equations(function, *args)}


def convolutions(function, *args):
    """Returns the parameters of all convolutions in the jaxpr of `function`."""
    names = ((equation.primitive.name, equation.params) for equation in equations(function, *args))
    return [params for name, params in names if name == "conv_general_dilated"]
