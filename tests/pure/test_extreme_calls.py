"""Every public function of losses, labels and retrieval, called with every extreme of its kind."""

import functools
import importlib
import pkgutil

import calls_of_beliefs  # noqa: F401  (fills the table)
import calls_of_clusters  # noqa: F401
import calls_of_losses  # noqa: F401
import calls_of_retrieval  # noqa: F401
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from extremes import (
    ACCEPTED,
    ALONE,
    EITHER,
    FINE,
    REFUSED,
    Argument,
    Extreme,
    cut,
    first_row,
    rows_axis,
)
from table import EXEMPT, TABLE, key_of

import jaxcmr.beliefs
import jaxcmr.losses
import jaxcmr.noise
import jaxcmr.retrieval
from jaxcmr.errors import UsageError

ON_HOST = (
    "beliefs.cluster_scores",
    "beliefs.label_errors",
    "noise.injection",
    "noise.open_set",
    "noise.transition",
    "retrieval.metrics",
    "retrieval.search",
    "retrieval.blocks",
    "retrieval.labels",
)
calls = 0  # how many were made


def public_functions():
    rooms = (jaxcmr.losses, jaxcmr.beliefs, jaxcmr.noise, jaxcmr.retrieval)
    names = ["jaxcmr.numerics"]
    for room in rooms:
        names += [
            module.name for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}.")
        ]
    for module in names:
        for name, found in vars(importlib.import_module(module)).items():
            ours = callable(found) and not isinstance(found, type)
            if ours and not name.startswith("_") and found.__module__ == module:
                yield found


def test_every_public_function_is_called():
    public = {key_of(function) for function in public_functions()}
    assert public == TABLE.keys() | EXEMPT.keys(), "add the function to tests/pure/calls_of_*.py"
    assert not TABLE.keys() & EXEMPT.keys()


def on_host(key):
    return key.startswith(ON_HOST)


def ordinary(key):
    values = TABLE[key].arguments.items()
    return {name: one.value if isinstance(one, Argument) else one for name, one in values}


def extremes_of(key):
    """Yields `(argument, extreme's name, Extreme)`, those that the table has instead included."""
    entry = TABLE[key]
    for name, argument in entry.arguments.items():
        for title, extreme in argument.extremes.items() if isinstance(argument, Argument) else ():
            instead = entry.instead.get(f"{name}/{title}", extreme)
            if isinstance(instead, tuple) and not isinstance(instead, Extreme):
                instead = Extreme(extreme.change, *instead)
            if instead is not None:
                yield name, title, instead


def looked_at(key, arguments):
    """Calls a function with all values in sight; what can be traced is not computed."""
    global calls
    calls += 1
    run = functools.partial(TABLE[key].function, **arguments)
    return run() if on_host(key) else jax.eval_shape(run)


def is_half_narrow(leaf):
    return jnp.issubdtype(leaf.dtype, jnp.floating) and jnp.finfo(leaf.dtype).bits < 32


@pytest.mark.parametrize("key", TABLE)
def test_what_can_be_seen_is_refused_or_right(key):
    wrong = []
    for name, title, extreme in extremes_of(key):
        arguments = ordinary(key)
        arguments[name] = extreme.change(arguments[name])
        try:
            with jax.enable_x64(title == "doubles"):
                result = looked_at(key, arguments)
        except UsageError as error:
            if extreme.concrete not in (REFUSED, EITHER):
                wrong.append(f"{name}/{title}: refused: {error}")
            if "\n" in str(error) or len(str(error)) > 300:
                wrong.append(f"{name}/{title}: no sentence: {error}")
        except Exception as error:
            wrong.append(f"{name}/{title}: {type(error).__name__}: {str(error)[:150]}")
        else:
            if extreme.concrete == REFUSED:
                wrong.append(f"{name}/{title}: accepted")
            leaves = [leaf for leaf in jax.tree.leaves(result) if hasattr(leaf, "dtype")]
            if any(map(is_half_narrow, leaves)):
                wrong.append(f"{name}/{title}: a result in half precision")
            if on_host(key):
                wrong += [f"{name}/{title}: NaN" for leaf in leaves if not is_fine(leaf)]
    assert not wrong, "\n".join(wrong)


def is_fine(leaf):
    leaf = np.asarray(leaf)
    return leaf.dtype.kind not in "fc" or bool(np.isfinite(leaf).all())


@functools.cache
def traced(key):
    """Returns `(names of the traced arguments, compiled function of them)`.

    Of a loss it gives the gradients, too, of the sum over all rows but the first: what a mask that
    leaves the first row out sends back.
    """
    entry, static = TABLE[key], ordinary(key)
    names = [
        name for name, one in entry.arguments.items() if isinstance(one, Argument) and one.is_array
    ]
    static = {name: value for name, value in static.items() if name not in names}

    def run(arrays):
        call = lambda arrays: entry.function(**static, **arrays)
        floats = {n: a for n, a in arrays.items() if jnp.issubdtype(a.dtype, jnp.floating)}
        if not entry.slopes or not floats:
            return call(arrays), ()
        values, backward = jax.vjp(lambda floats: call({**arrays, **floats}), floats)
        return values, backward(jax.tree.map(others_of, values))[0]

    return names, jax.jit(run)


def others_of(values):
    """Returns a gradient of 1 for all rows but the first, and for what is not one of a row."""
    if not jnp.issubdtype(values.dtype, jnp.floating):
        return np.zeros(values.shape, jax.dtypes.float0)
    ones = np.ones(values.shape, values.dtype)
    return ones if rows_axis(ones) is None else first_row(ones, ones.dtype.type(0))


def without_first(leaf):
    leaf, axis = np.asarray(leaf), rows_axis(leaf)
    return None if axis is None else np.delete(leaf, 0, axis)


def differences(name, outcome, result, plain):
    """Says where a result, and the gradients that come with it, are not as they should be."""
    values, slopes = result
    if outcome == FINE and not all(map(is_fine, jax.tree.leaves(values))):
        yield f"{name}: not finite"
    if outcome in (ALONE, FINE) and not all(map(is_fine, jax.tree.leaves(slopes))):
        yield f"{name}: a gradient is not finite"
    if outcome == ALONE:
        for leaf, expected in zip(jax.tree.leaves(result), jax.tree.leaves(plain), strict=True):
            others, same = without_first(leaf), without_first(expected)
            if others is not None and not np.allclose(others, same, 1e-4, 1e-5, equal_nan=True):
                yield f"{name}: another row changed"


@pytest.mark.parametrize("key", [key for key in TABLE if not on_host(key)])
def test_what_cannot_be_seen_touches_no_other_row(key):
    global calls
    names, run = traced(key)
    if not names:
        return
    ordinaries = {
        name: jnp.asarray(value) for name, value in ordinary(key).items() if name in names
    }
    plain, wrong = jax.device_get(run(ordinaries)), []
    assert all(map(is_fine, jax.tree.leaves(plain)))
    for name, title, extreme in (*extremes_of(key), *junk_under_masks(key)):
        if extreme.traced is None:
            continue
        changes = name if isinstance(name, dict) else {name: extreme.change(ordinary(key)[name])}
        arrays = ordinaries | {
            one: jnp.asarray(value, ordinaries[one].dtype) for one, value in changes.items()
        }
        calls += 1
        result = jax.device_get(run(arrays))
        wrong += differences(f"{'+'.join(changes)}/{title}", extreme.traced, result, plain)
    assert not wrong, "\n".join(wrong)


def junk_under_masks(key):
    """Yields calls whose first row is masked, or has no label, and holds NaN everywhere."""
    arguments, values = TABLE[key].arguments, ordinary(key)
    junk = {
        name: first_row(values[name], np.float32(np.nan))
        for name, one in arguments.items()
        if isinstance(one, Argument)
        and {"1e30", "1e15", "NaN"} & one.extremes.keys()
        and one.is_array
        and one.value.dtype.kind == "f"
        and rows_axis(one.value) is not None
    }
    if not junk:
        return
    for name, one in arguments.items():
        if isinstance(one, Argument) and "first row out" in one.extremes:
            outcome = one.extremes["first row out"].traced
            masked = {name: one.extremes["first row out"].change(one.value)}
            yield masked | junk, "first row out, NaN", Extreme(None, ACCEPTED, outcome)


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("key", [key for key in TABLE if not on_host(key)])
def test_no_row_and_one_row_are_refused_or_computed(key, rows):
    arguments = {
        name: value if isinstance(value, tuple) else cut(value, rows)
        for name, value in ordinary(key).items()
    }
    try:
        looked_at(key, arguments)
    except UsageError as error:
        assert "\n" not in str(error)
