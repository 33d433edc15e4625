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


def buffer_sums(variables: dict, modules: dict[str, str], buffers: list[str], updates=None):
    """Returns sum and sum of squares of each listed buffer, `[2, len(buffers)]`.

    `updates`: how often each buffer's batch norm ran, once if None.
    """
    sums = []
    for name, count in zip(buffers, updates or [1] * len(buffers)):
        module, leaf = name.rsplit(".", 1)
        if leaf == "num_batches_tracked":
            value = np.float64(count)
        else:
            value = variables["batch_stats"]
            for part in modules[module].split("/"):
                value = value[part]
            value = np.asarray(value[LEAVES[leaf]], np.float64)
        sums.append((value.sum(), np.square(value).sum()))
    return np.array(sums).T
