"""Reads named weights from a file: safetensors, npz or a PyTorch checkpoint, by its content."""

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxcmr.display import shown
from jaxcmr.encoders.weights.torch_files import LEGACY_START, numbers, read_torch
from jaxcmr.errors import UsageError, reason
from jaxcmr.storage import numpyfiles
from jaxcmr.storage.paths import expanded

SAFETENSORS_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "bfloat16",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}
# Where training scripts keep the weights inside a checkpoint, best first.
NESTED = ("state_dict", "model_state_dict", "model")


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the weights in a file, by name; nothing in the file is ever executed.

    The format is recognised by the content. A checkpoint's `state_dict` (or `model_state_dict`, or
    `model`) is unwrapped, and a prefix `module.` that all names share is dropped.

    Raises:
        UsageError: if there is no such file, its format is unknown or it is damaged.
    """
    path = expanded(path)
    try:
        with open(path, "rb") as file:
            start = file.read(len(LEGACY_START))
    except OSError as error:
        raise UsageError(f"cannot open the weights {path}: {error.strerror}") from None
    zipped = _is_zip(path)
    if (zipped and not _is_npz(path)) or start == LEGACY_START:
        weights = _state_dict(read_torch(path), path)
    elif zipped:
        weights = numpyfiles.read_npz(path)
    elif start[8:9] == b"{":
        weights = read_safetensors(path)
    else:
        raise UsageError(
            f"{path} is neither .safetensors nor .npz nor a PyTorch checkpoint: it starts with "
            f"{start[:8]!r}"
        )
    if weights and all(name.startswith("module.") for name in weights):
        weights = {name[len("module.") :]: array for name, array in weights.items()}
    return weights


def read_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a safetensors file: length of the header (8 bytes), JSON header, raw numbers.

    bfloat16 is widened to float32.

    Raises:
        UsageError: if the header is damaged or points outside the file.
    """
    raw = Path(path).read_bytes()
    try:
        length = int.from_bytes(raw[:8], "little")
        if length > len(raw) - 8:
            raise ValueError(f"a header of {length} bytes in a file of {len(raw)}")
        header, data = json.loads(raw[8 : 8 + length]), memoryview(raw)[8 + length :]
        return {
            name: _safetensor(name, entry, data)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"the safetensors file {path} is damaged ({error}); download it again"
        ) from None


def _safetensor(name: str, entry: dict, data: memoryview) -> np.ndarray:
    kind, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in SAFETENSORS_DTYPES:
        raise ValueError(f"{name} has the unknown dtype {kind!r}")
    dtype = SAFETENSORS_DTYPES[kind]
    if any(not isinstance(n, int) or n < 0 for n in (*shape, start, stop)):
        raise ValueError(f"{name} has the shape {shape} at bytes {start} to {stop}")
    if stop > len(data) or stop - start != math.prod(shape) * jnp.dtype(dtype).itemsize:
        raise ValueError(f"{name} of shape {shape} does not fit bytes {start} to {stop}")
    return numbers(bytes(data[start:stop]), dtype).reshape(shape)


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # raised on an archive in several pieces
        return False


def _is_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except Exception as error:  # zipfile raises many kinds of errors on damaged archives
        raise UsageError(
            f"{path} is a damaged archive ({reason(error)}); download it again"
        ) from None


def _state_dict(tree: Any, path: Path) -> dict[str, np.ndarray]:
    if not isinstance(tree, dict):
        raise UsageError(
            f"the checkpoint {path} holds no weights by name; save `model.state_dict()`"
        )
    for name in NESTED:
        if isinstance(tree.get(name), dict) and tree[name]:
            return _state_dict(tree[name], path)
    weights = {name: array for name, array in tree.items() if isinstance(array, np.ndarray)}
    if not weights:
        raise UsageError(
            f"the checkpoint {path} holds no weights under its top level or {', '.join(NESTED)}; "
            f"it has {shown(', '.join(map(str, tree)), 120) or 'nothing'}"
        )
    return weights
