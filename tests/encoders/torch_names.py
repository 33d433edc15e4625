"""Places weights with PyTorch's names and layouts into the variables of our encoders."""

import numpy as np

LEAVES = {"running_mean": "mean", "running_var": "var", "bias": "bias"}


def place(weights: dict[str, np.ndarray], modules: dict[str, str]) -> dict:
    """Returns variables: `modules` maps a PyTorch module name to our path, `a/b`.

    Linear layers and pointwise convolutions (`[out, in, 1, ...]`) become kernels `[in, out]`.
    """
    variables = {"params": {}, "batch_stats": {}}
    for name, value in weights.items():
        module, leaf = name.rsplit(".", 1)
        if module not in modules or leaf == "num_batches_tracked":
            continue
        collection = "batch_stats" if leaf.startswith("running") else "params"
        if leaf == "weight":
            leaf = "scale" if value.ndim == 1 else "kernel"
            value = value if value.ndim == 1 else value.reshape(value.shape[:2]).T
        node = variables[collection]
        for part in modules[module].split("/"):
            node = node.setdefault(part, {})
        node[LEAVES.get(leaf, leaf)] = value
    return {name: tree for name, tree in variables.items() if tree}


def buffer_sums(variables: dict, modules: dict[str, str], buffers: list[str], updates: int = 1):
    """Returns sum and sum of squares of each listed buffer, `[2, len(buffers)]`."""
    sums = []
    for name in buffers:
        module, leaf = name.rsplit(".", 1)
        if leaf == "num_batches_tracked":
            value = np.float64(updates)
        else:
            value = variables["batch_stats"]
            for part in modules[module].split("/"):
                value = value[part]
            value = np.asarray(value[LEAVES[leaf]], np.float64)
        sums.append((value.sum(), np.square(value).sum()))
    return np.array(sums).T
