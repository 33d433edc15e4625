"""Puts published weights in the place of an encoder's initial ones."""

from collections.abc import Mapping
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxcmr.encoders.base import Variables
from jaxcmr.encoders.weights.files import read_weights
from jaxcmr.encoders.weights.names import NameMap
from jaxcmr.errors import UsageError


def pretrained(
    variables: Variables, weights: str | Path | Mapping[str, np.ndarray], names: NameMap
) -> Variables:
    """Returns `variables` with the weights of a published network in their place.

    Kernels go from PyTorch's layout (`[out, in, kh, kw]`, `[out, in]`, `[out, in, 1]`) to ours
    (`[kh, kw, in, out]`, `[in, out]`). A bias in front of a batch norm where ours has none is
    refused like any name that nothing takes.

    Args:
        variables: of one member, as `Encoder.init` returns them.
        weights: a file for `read_weights`, or what it returned.
        names: the names there; see `names.NAMES`.

    Raises:
        UsageError: if names or shapes do not match; all that do not are listed.
    """
    where = "the weights" if isinstance(weights, Mapping) else f"the weights {weights}"
    if not isinstance(weights, Mapping):
        weights = read_weights(weights)
    weights = _fold(weights, names.folded)
    flat, used = flatten_dict(variables), set()
    problems = {"missing": [], "unexpected": [], "of another shape": []}
    for path, value in flat.items():
        name = names.source(path)
        if name is None:
            continue
        if name not in weights:
            problems["missing"].append(name)
            continue
        used.add(name)
        array = _our_layout(weights[name], value.shape, grey=name == names.stem)
        if array.shape == value.shape:
            flat[path] = jnp.asarray(array, value.dtype)
        else:
            problems["of another shape"].append(
                f"{name} gives {array.shape} for {'/'.join(path[1:])} {value.shape}"
            )
    problems["unexpected"] = [
        name
        for name in weights
        if name not in used
        and not name.endswith("num_batches_tracked")
        and not name.startswith(names.ignored)
    ]
    if any(problems.values()):
        lists = "; ".join(
            f"{what}: {', '.join(found)}" for what, found in problems.items() if found
        )
        raise UsageError(
            f"{where} do not fit the encoder ({lists}); choose the encoder and its options that "
            "the file was made for"
        )
    return unflatten_dict(flat)


def _fold(weights: Mapping[str, np.ndarray], folded: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Takes biases in front of batch norms into the running means."""
    weights = dict(weights)
    for bias, mean in folded.items():
        if bias in weights and mean in weights and weights[bias].shape == weights[mean].shape:
            weights[mean] = weights[mean] - weights.pop(bias)
    return weights


def _our_layout(array: np.ndarray, shape: tuple[int, ...], grey: bool) -> np.ndarray:
    """Transposes a kernel from PyTorch's layout; vectors stay as they are."""
    if array.ndim < 2:
        return array
    if len(shape) == 2 and array.ndim > 2 and array.shape[2:] == (1,) * (array.ndim - 2):
        array = array.reshape(array.shape[:2])
    array = np.moveaxis(array, (0, 1), (-1, -2))
    if grey and array.ndim == 4 and shape[2:3] == (1,):
        array = array.sum(2, keepdims=True)
    return array
