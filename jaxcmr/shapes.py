"""The shapes and dtypes in signatures, `Float[Array, "b d"]`: jaxtyping's where it is installed.

Tests check them at run time. Without jaxtyping, which nothing here needs otherwise, a signature
says only that it is an array.
"""

try:
    from jaxtyping import Array, Bool, Float, Int, Integer, ScalarLike, Shaped
except ModuleNotFoundError:
    from jax import Array
    from jax.typing import ArrayLike as ScalarLike

    class Shaped:
        """`Shaped[Array, "b d"]` is `Array`."""

        def __class_getitem__(cls, array_and_shape: tuple) -> type:
            return array_and_shape[0]

    Bool = Float = Int = Integer = Shaped

__all__ = ["Array", "Bool", "Float", "Int", "Integer", "ScalarLike", "Shaped"]
