"""Checks the arguments of pure functions: labels, masks, rows and numbers.

Shapes and dtypes are always checked. Values are checked where they are known: an argument that is
traced by `jax.jit` or `jax.vmap`, or that lies spread over other processes, cannot be refused.
There a label outside the classes is no label, an index outside the rows is no row, and a row that
holds NaN or infinity takes no part.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxcmr.errors import UsageError, reason

_SHORT = (jnp.int8, jnp.uint8, jnp.int16, jnp.uint16)
SLACK = 2e-3  # what probabilities in half precision may be off


def is_concrete(*arguments: Any) -> bool:
    """Returns whether all values are known: none is traced or lies in another process."""
    arrays = [leaf for leaf in jax.tree.leaves(arguments) if isinstance(leaf, jax.Array)]
    return not any(isinstance(a, jax.core.Tracer) or not a.is_fully_addressable for a in arrays)


def native(array: Any) -> Any:
    """Returns numpy's numbers in a type that JAX has; everything else as it is.

    JAX refuses other orders of bytes, which come out of HDF5, FITS and IDX files, and long doubles.
    """
    if not isinstance(array, np.ndarray | np.generic):
        return array
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
    return array.astype(np.float64 if wide else array.dtype.newbyteorder("="), copy=False)


def on_host(array: Any) -> np.ndarray:
    """Returns an array of any kind as numpy's; raises a `UsageError` for rows of many lengths."""
    try:
        return native(np.asarray(jax.device_get(array) if isinstance(array, jax.Array) else array))
    except ValueError as error:
        raise UsageError(f"the rows are no array ({reason(error)}); give them one length") from None


def check_shape(name: str, array: Any, *axes: int | str) -> Any:
    """Returns `array`, a list as an array; raises a `UsageError` unless it has these axes.

    A letter stands for any length; "..." in the first place for any number of axes.
    """
    if not hasattr(array, "shape"):
        array = np.asarray(array) if is_concrete(array) else jnp.asarray(array)
    shape = np.shape(array)
    if not _fits(shape, axes):
        column = shape[-1:] == (1,) and _fits(shape[:-1], axes)
        wanted = f"[{', '.join(map(str, axes))}]" + f", as {name}[..., 0]" * column
        raise UsageError(f"{_with(name, 'has')} shape {shape}: give {wanted}")
    return native(array)


def _fits(shape: tuple[int, ...], axes: tuple[int | str, ...]) -> bool:
    if axes[:1] == ("...",):
        axes = axes[1:]
        shape = shape[max(len(shape) - len(axes), 0) :]
    same = (isinstance(axis, str) or axis == size for axis, size in zip(axes, shape))
    return len(shape) == len(axes) and all(same)


def one_a_row(values: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the shape that values of rows `[..., B]` must have: `[B]`, or all of it."""
    return shape[-1:] if np.ndim(values) == 1 else shape


def check_whole(name: str, value: Any, low: float, high: int | None = None) -> int:
    """Returns a whole number of at least `low` (and at most `high`) as an `int`.

    Raises:
        UsageError: it is no number, a fraction, or out of range.
    """
    number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"
    if not number or not math.isfinite(value) or value != int(value):
        least = f" of at least {low}" if math.isfinite(low) else ""
        raise UsageError(f"{name} is {value!r}: give a whole number{least}")
    if value < low or (high is not None and value > high):
        limits = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise UsageError(f"{name} is {value}: give a number {limits}")
    return int(value)


def check_range(
    name: str, value: Any, low: float = -math.inf, high: float = math.inf, *, slack: float = 0.0
) -> None:
    """Raises a `UsageError` if a number, or one of an array, is NaN, infinite or out of range."""
    if not is_concrete(value):
        return
    numbers = on_host(value)
    if not is_real(numbers):
        raise UsageError(f"{name} is {value!r}: give numbers")
    numbers = numbers.astype(np.float64)
    wrong = ~(np.isfinite(numbers) & (numbers >= low - slack) & (numbers <= high + slack))
    if wrong.any():
        finite = "a finite number" if np.isinf([low, high]).all() else f"{low:g} to {high:g}"
        limits = finite if math.isfinite(high) or math.isinf(low) else f"at least {low:g}"
        start = _with(name, "holds") if numbers.ndim else f"{name} is"
        raise UsageError(f"{start} {numbers[wrong].flat[0]:g}: give {limits}")


def check_positive(name: str, value: Any) -> None:
    """Raises a `UsageError` if a number, or one of an array, is not above 0 and finite."""
    check_range(name, value, 0.0)
    if is_concrete(value) and not (on_host(value) > 0).all():
        raise UsageError(f"{name} is 0: give a number above 0")


def check_distributions(name: str, rows: Any, mask: Any = None) -> None:
    """Raises a `UsageError` unless rows `[..., K]` of the mask `[...]` are probabilities, sum 1."""
    if not is_concrete(rows, mask):
        return
    rows = on_host(rows).astype(np.float64)[... if mask is None else on_host(mask).astype(bool)]
    check_range(name, rows, 0.0, 1.0, slack=SLACK)
    sums = rows.sum(-1)
    wrong = np.abs(sums - 1) > SLACK * max(rows.shape[-1], 10)
    if wrong.any():
        raise UsageError(
            f"{_with(name, 'holds')} a row that sums to {sums[wrong].flat[0]:g}: give "
            "probabilities, which sum to 1"
        )


def class_labels(
    labels: Any, classes: int | None, shape: tuple[int, ...], *, name: str = "labels"
) -> jax.Array:
    """Returns labels as int32, -1 where there is none.

    Labels are whole numbers in `0..classes - 1`; a negative one is no label, and neither is a
    traced one of K or more. `classes` is None where labels are only compared with each other.

    Raises:
        UsageError: the shape is another, they are no whole numbers, or one is K or more.
    """
    check_shape(name, labels, *shape)
    limit = 2**31 - 1 if classes is None else classes
    if is_concrete(labels):
        host = on_host(labels)
        _check_labels(name, host, limit)
        if not isinstance(labels, jax.Array):  # before a conversion to 32 bits wraps them
            labels = np.where(host < 0, host.dtype.type(0), host).astype(np.int32)
            labels -= host < 0
    labels = _at_least_32_bits(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise UsageError(f"{name} are {labels.dtype}: give whole numbers, -1 for no label")
    return jnp.where((labels >= 0) & (labels < limit), labels, -1).astype(jnp.int32)


def whole_numbers(numbers: Any, *, name: str) -> np.ndarray:
    """Returns whole numbers of any shape on the host as int64.

    Raises:
        UsageError: they are something else, or too large.
    """
    host = on_host(numbers)
    _check_labels(name, host, 2**63 - 1)
    return host.astype(np.int64)


def given_labels(labels: Any, classes: int, name: str = "labels", least: int = 0) -> np.ndarray:
    """Returns labels on the host as int32 `[N]`, every one of them a class.

    Raises:
        UsageError: they are not one dimension of whole numbers in [least, classes); with a `least`
            of -1 there may be rows without a label.
    """
    array = on_host(labels)
    if array.ndim != 1:
        raise UsageError(f"{name} have shape {array.shape}; give one label a row, shape [N]")
    whole = array.dtype.kind == "f" and np.array_equal(array, np.round(array))
    if not whole and array.dtype.kind not in "iu":
        raise UsageError(f"{name} are {array.dtype}; give whole numbers 0 to K - 1")
    wrong = np.flatnonzero((array < least) | (array >= classes))
    if wrong.size:
        raise UsageError(
            f"{name} hold {array[wrong[0]]:g} in row {wrong[0]}, outside 0 to {classes - 1}; "
            "count the classes from 0 and check their number"
        )
    return array.astype(np.int32)


def _at_least_32_bits(numbers: Any) -> jax.Array:
    """Returns whole numbers in a type that can be compared with any number of classes or rows."""
    numbers = jnp.asarray(native(numbers))
    return numbers.astype(jnp.int32) if numbers.dtype in _SHORT else numbers


def _check_labels(name: str, host: np.ndarray, limit: int) -> None:
    if not host.size:
        return
    if host.dtype.kind not in "iu":
        raise UsageError(f"{name} are {host.dtype}: give whole numbers, -1 for no label")
    if host.max() >= limit:
        row = int(host.argmax())
        raise UsageError(
            f"{_with(name, 'holds')} {host.flat[row]} in row {row}, beyond {limit - 1}: give "
            "classes counted from 0, or a negative number for no label"
        )


def row_mask(mask: Any, shape: tuple[int, ...], *, name: str = "mask") -> jax.Array:
    """Returns a mask as bool of `shape`, see `truth`; None is True everywhere."""
    if mask is None:
        return jnp.ones(shape, bool)
    check_shape(name, mask, *shape)
    return truth(mask, name=name)


def truth(mask: Any, *, name: str = "mask") -> jax.Array:
    """Returns truth values of any shape as bool; traced numbers count as true above 0.

    Raises:
        UsageError: it holds something else than truth values (or 0, 1).
    """
    if getattr(mask, "dtype", np.dtype(object)).kind == "b":
        return jnp.asarray(mask)  # unread: reading would wait for a device
    if not is_concrete(mask):
        return jnp.asarray(mask) > 0
    host = on_host(mask)
    if not (is_real(host) and np.isin(host, (0, 1)).all()):
        odd = next((value for value in host.flat if not np.isin(value, (0, 1))), host.dtype)
        raise UsageError(f"{_with(name, 'holds')} {odd}: give True or False")
    return jnp.asarray(host.astype(bool))


def row_index(index: Any, size: int, mask: Any = None, *, name: str = "index") -> jax.Array:
    """Returns row numbers `[B]` as int32, `size` (dropped by scatters) where there is no row.

    The index holds whole numbers, in `[0, size)` where the mask `[B]` (None: everywhere) is true.

    Raises:
        UsageError: shapes do not fit, they are no whole numbers, or one is outside.
    """
    check_shape(name, index, "B")
    counted = row_mask(mask, np.shape(index))
    if is_concrete(index, mask):
        host, counted = on_host(index), _on_host_mask(mask, np.shape(index))
        wrong = counted & ((host < 0) | (host >= size)) if host.dtype.kind in "iu" else counted
        if wrong.any():
            raise UsageError(
                f"{_with(name, 'holds')} {host[wrong][0]}: give whole numbers of 0 to {size - 1}"
            )
        index = index if isinstance(index, jax.Array) else np.where(counted, host, 0)
    index = _at_least_32_bits(index)
    return jnp.where(counted & (index >= 0) & (index < size), index, size).astype(jnp.int32)


def finite_rows(rows: Any) -> Any:
    """Returns which rows `[..., d]` hold only finite numbers, in float32 too: `[...]` bool."""
    if isinstance(rows, jax.Array):
        return jnp.isfinite(rows.astype(jnp.promote_types(jnp.float32, rows.dtype))).all(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        floats = np.asarray(rows).astype(np.float32, copy=False)
        return np.isfinite(floats.sum(-1, dtype=np.float64))  # no second array of the size


def check_rows(name: str, rows: Any, mask: Any = None) -> None:
    """Raises a `UsageError` unless `rows` are `[N, d]` real, finite numbers where the mask is true.

    Traced rows only have their shape checked: leave the others out by `finite_rows`.
    """
    check_shape(name, rows, "N", "d")
    row_mask(mask, np.shape(rows)[:1])
    array = rows if isinstance(rows, jax.Array) else on_host(rows)
    if not is_real(array) or not array.shape[1]:
        raise UsageError(
            f"{_with(name, 'has')} shape {array.shape} and type {array.dtype}: give rows "
            "of real numbers"
        )
    if not is_concrete(rows, mask):
        return
    with jax.ensure_compile_time_eval():
        wrong = ~on_host(finite_rows(array)) & _on_host_mask(mask, array.shape[:1])
    if wrong.any():
        row = int(wrong.argmax())
        raise UsageError(
            f"{_with(name, 'holds')} NaN, infinity or a number beyond float32 in row {row} "
            f"(and {wrong.sum() - 1} others): leave such rows out"
        )


def _with(name: str, verb: str) -> str:
    """Returns the name with its verb, "has" or "holds": a mask holds, labels hold."""
    plural = {"has": "have", "holds": "hold"}[verb]
    return f"{name} {plural if name.endswith('s') else verb}"


def _on_host_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.ones(shape, bool) if mask is None else on_host(mask).astype(bool)


def is_real(array: Any) -> bool:
    """Returns whether an array holds real numbers (or truth values), of any precision."""
    dtype = array.dtype
    return any(jnp.issubdtype(dtype, kind) for kind in (jnp.floating, jnp.integer, jnp.bool_))
