"""Reads named weights from a file: safetensors, npz or a PyTorch checkpoint, by its content."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxcmr.display import shown
from jaxcmr.encoders.weights.torch_files import LEGACY_START, numbers, read_torch
from jaxcmr.errors import UsageError, reason
from jaxcmr.storage import numpyfiles, safetensors
from jaxcmr.storage.paths import expanded

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
    """Reads a safetensors file; bfloat16 is widened to float32.

    Raises:
        UsageError: if the header is damaged or points outside the file.
    """
    raw = Path(path).read_bytes()
    try:
        _, places = safetensors.layout(raw)
    except ValueError as error:
        raise UsageError(
            f"the safetensors file {path} is damaged ({error}); download it again"
        ) from None
    return {
        name: numbers(raw[place.start : place.stop], place.dtype).reshape(place.shape)
        for name, place in places.items()
    }


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
