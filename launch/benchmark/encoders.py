"""Time and memory of the encoders, forward and backward, against PyTorch on the same machine."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from resident import mebibytes
from stopwatch import HAS_TORCH, interleaved

from jaxcmr.errors import UsageError

SCAN_STEPS = 4
# Name -> (batch size, shape of one input). Batch sizes keep PyTorch's edge tensors in memory.
CASES = {
    "mnist_cnn": (128, (28, 28, 1)),
    "mnist_cnn_scan": (128, (28, 28, 1)),
    "resnet18": (32, (112, 112, 3)),
    "resnet18_scan": (32, (112, 112, 3)),
    "pointnet": (32, (1024, 3)),
    "dgcnn": (8, (1024, 3)),
    "meshnet": (8, (1024,)),
}


def named(only):
    """Returns the names of the encoders to measure, all of them if `only` is empty.

    Raises:
        UsageError: for an unknown name.
    """
    if unknown := sorted(set(only) - set(CASES)):
        raise UsageError(f"there is no encoder {unknown[0]!r}; choose from {', '.join(CASES)}")
    return only or list(CASES)


def inputs_of(name):
    """Returns a random batch, in our layout."""
    batch, shape = CASES[name]
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.standard_normal((batch, *shape), dtype=np.float32)
    if name != "meshnet":
        return normal(*shape)
    normals = normal(*shape, 3)
    return {
        "centers": normal(*shape, 3),
        "corners": normal(*shape, 9),
        "normals": normals / np.linalg.norm(normals, axis=-1, keepdims=True),
        "neighbors": rng.integers(0, shape[0], (batch, *shape, 3), dtype=np.int32),
        "mask": np.ones((batch, *shape), bool),
    }


def ours(name, members):
    """Returns a function that runs one forward and backward pass, or SCAN_STEPS inside a scan."""
    import jax
    import jax.numpy as jnp

    from jaxcmr.encoders import ENCODERS

    encoder = ENCODERS[name.removesuffix("_scan")]()
    inputs = jax.tree.map(jnp.asarray, inputs_of(name))
    one = jax.tree.map(lambda leaf: leaf[:2], inputs)
    keys = jax.random.split(jax.random.key(0), members)
    variables = jax.jit(jax.vmap(encoder.init, in_axes=(0, None)))(keys, one)
    if members == 1:
        variables = jax.tree.map(lambda leaf: leaf[0], variables)

    def loss(params, state, inputs, key):
        out, state = encoder.apply({"params": params, **state}, inputs, train=True, key=key)
        return jnp.square(out).mean(), state

    gradient = jax.grad(loss, has_aux=True)
    if members > 1:
        gradient = jax.vmap(gradient, in_axes=(0, 0, None, 0))

    def step(variables, inputs):
        state = {name: value for name, value in variables.items() if name != "params"}
        keys_now = keys if members > 1 else keys[0]
        grads, state = gradient(variables["params"], state, inputs, keys_now)
        params = jax.tree.map(lambda p, g: p - 1e-3 * g, variables["params"], grads)
        return {"params": params, **state}

    def scan(variables, inputs):
        body = lambda variables, _: (step(variables, inputs), None)
        return jax.lax.scan(body, variables, length=SCAN_STEPS)[0]

    run = jax.jit(scan if name.endswith("_scan") else step)
    return lambda: jax.block_until_ready(run(variables, inputs))


def theirs(name, members):
    """Returns the same in PyTorch: `members` models one after the other, step by step."""
    import torch
    import torch_models

    classes = {
        "mnist_cnn": torch_models.MnistCNN,
        "resnet18": torch_models.ResNet18,
        "pointnet": torch_models.PointNet,
        "dgcnn": torch_models.DGCNN,
        "meshnet": torch_models.MeshNet,
    }
    models = [classes[name.removesuffix("_scan")]().train() for _ in range(members)]
    optimizers = [torch.optim.SGD(model.parameters(), lr=1e-3) for model in models]
    channels_first = lambda x: torch.tensor(np.moveaxis(x, -1, 1).copy())
    batch = inputs_of(name)
    if name == "meshnet":
        parts = [channels_first(batch[key]) for key in ("centers", "corners", "normals")]
        inputs = (*parts, torch.tensor(batch["neighbors"], dtype=torch.int64))
    else:
        inputs = channels_first(batch)

    def run():
        for _ in range(SCAN_STEPS if name.endswith("_scan") else 1):
            for model, optimizer in zip(models, optimizers):
                torch_models.update(optimizer, model(inputs).square().mean())

    return run


SIDES = {"ours": ours, "theirs": theirs} if HAS_TORCH else {"ours": ours}


def compare_time(names, members, repeats):
    """Prints milliseconds a sample (and member), for one model and for `members` of them."""
    print(f"{'encoder':16}{'members':>8}{'batch':>7}{'ours ms':>10}{'PyTorch ms':>12}{'ratio':>7}")
    for name in names:
        for count in sorted({1, members}):
            sides = {side: build(name, count) for side, build in SIDES.items()}
            steps = SCAN_STEPS if name.endswith("_scan") else 1
            samples = CASES[name][0] * steps * count
            found = interleaved(sides, repeats)
            mine, other = found["ours"], found.get("theirs", float("nan"))
            print(
                f"{name:16}{count:8d}{CASES[name][0]:7d}{1e3 * mine / samples:10.3f}"
                f"{1e3 * other / samples:12.3f}{other / mine:7.2f}",
                flush=True,
            )


def compare_memory(names):
    """Prints the peak memory of one model's step above that of the idle process, in MiB."""
    print(f"{'encoder':16}{'batch':>7}{'ours MiB':>10}{'PyTorch MiB':>13}")
    for name in names:
        peaks = {side: _peak_alone(name, side) for side in SIDES}
        other = peaks.get("theirs", float("nan"))
        print(f"{name:16}{CASES[name][0]:7d}{peaks['ours']:10.0f}{other:13.0f}", flush=True)


def _peak_alone(name, side):
    """Returns what `print_peak` prints in a process of its own."""
    main = Path(__file__).with_name("main.py")
    command = [sys.executable, main, "encoders", f"--only={name}", "--memory", f"--side={side}"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def print_peak(name, side):
    """Prints the growth of this process's largest resident size while the side runs (Linux).

    The growth is that above the process with weights and inputs, before the first step; the peak
    is that of the second step, for the first one compiles.
    """
    run = SIDES[side](name, 1)
    before = mebibytes("VmRSS")
    run()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forgets the peak
    run()
    print(json.dumps(mebibytes("VmHWM") - before))
