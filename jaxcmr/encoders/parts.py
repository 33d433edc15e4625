"""Batches in parts: on a CPU, work whose arrays fit the cache goes faster than one large piece."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxcmr.encoders.platform import platform


def number_of_parts(batch: int, bytes_of_one: int, limit: int) -> int:
    """Returns the least number of equal parts whose arrays have at most `limit` bytes, if any has.

    Accelerators want one large product: there it is always 1, and in a program for any platform.

    Args:
        batch: number of items.
        bytes_of_one: bytes that are written and read back for one of them.
        limit: bytes of a part.
    """
    if platform() != "cpu":
        return 1
    divisors = (parts for parts in range(1, batch + 1) if batch % parts == 0)
    return next((n for n in divisors if batch // n * bytes_of_one <= limit), batch or 1)


def map_parts(function: Callable[..., Any], parts: int, *arrays: jax.Array) -> Any:
    """Returns `function(*arrays)`, computed part by part of the first axis of all arrays."""
    if parts == 1:
        return function(*arrays)
    results = lax.map(lambda part: function(*part), _split(arrays, parts))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), results)


def sum_parts(function: Callable[..., jax.Array], parts: int, *arrays: jax.Array) -> jax.Array:
    """Returns the sum of `function` over the parts of the first axis of all arrays."""
    if parts == 1:
        return function(*arrays)
    split = _split(arrays, parts)
    result = jax.eval_shape(function, *(array[0] for array in split))
    add = lambda total, part: (total + function(*part), None)
    return lax.scan(add, jnp.zeros(result.shape, result.dtype), split)[0]


def _split(arrays: tuple[jax.Array, ...], parts: int) -> tuple[jax.Array, ...]:
    return tuple(array.reshape(parts, -1, *array.shape[1:]) for array in arrays)
