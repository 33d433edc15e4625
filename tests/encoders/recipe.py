"""The weight recipe of the golden encoder numbers: weights from names and shapes alone.

A golden file stores inputs, outputs and, in `meta[case]["state"]`, the names and shapes of the
reference network's weights; the weights themselves come from a generator seeded by each name.
"""

import json
import zlib

import numpy as np


def weights(meta: dict) -> dict[str, np.ndarray]:
    """Returns the float32 weights (PyTorch names and layouts) that the case `meta` was run with."""
    shapes = {name: tuple(shape) for name, shape in meta["state"]}
    norms = {name[:-12] for name in shapes if name.endswith("running_mean")}

    def value(name: str, shape: tuple[int, ...]) -> np.ndarray:
        normal = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
        prefix, leaf = name[: name.rfind(".") + 1], name[name.rfind(".") + 1 :]
        if leaf == "num_batches_tracked":
            return np.zeros((), np.int64)
        if prefix in norms:
            if leaf == "weight":
                normal = 1 + 0.1 * normal
            elif leaf == "running_var":
                normal = 1 + 0.1 * abs(normal)
            else:
                normal = 0.1 * normal
        elif name not in meta.get("unit_scale", ()):
            normal = normal / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.1 * normal
        return normal.astype(np.float32)

    values = {name: value(name, shape) for name, shape in shapes.items()}
    aliases = meta.get("aliases", {})
    return {name: values[aliases.get(name, name)] for name in values}


def cases(path) -> dict[str, tuple[dict, dict[str, np.ndarray]]]:
    """Reads a golden file: case name -> (meta of the case, arrays of the case by key)."""
    with np.load(path, allow_pickle=False) as file:
        meta = json.loads(str(file["meta"]))
        arrays = {name: file[name] for name in file.files}
    return {
        case: (
            meta[case],
            {k[len(case) + 1 :]: v for k, v in arrays.items() if k.startswith(case + "/")},
        )
        for case in meta
        if not case.startswith("_")
    }
