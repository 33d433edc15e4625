"""One epoch of RONO on 3D MNIST: our jitted step against a plain PyTorch loop, and the ceiling.

5000 pairs of a 28 x 28 image and a 2048-d point feature, batches of 128, the published networks,
losses (center, pair contrast, classification) and Adam.
"""

import time

import numpy as np
from stopwatch import HAS_TORCH, interleaved
from training import epochs

ROWS, BATCH, CLASSES = 5000, 128, 10
STEPS = ROWS // BATCH


def random_pairs(rows=ROWS):
    """Returns images, point features and labels."""
    rng = np.random.default_rng(0)
    images = rng.random((rows, 28, 28, 1), dtype=np.float32)
    features = rng.random((rows, 2048), dtype=np.float32)
    return images, features, rng.integers(0, CLASSES, rows, dtype=np.int32)


def operations():
    """Counts the multiplications and additions of an epoch that no implementation can leave out.

    Forward, gradient to the weights, and gradient to the inputs except of the two first layers.
    """
    first = {"conv1": 28 * 28 * 9 * 96, "point1": 2048 * 512}
    rest = {
        "conv2": 14 * 14 * 9 * 96 * 64,
        "image": 3136 * 1024 + 1024 * 512 + 512 * 256,
        "point2": 512 * 256,
        "head": 2 * (256 * 128 + 128 * CLASSES),
    }
    return 2 * (2 * sum(first.values()) + 3 * sum(rest.values())) * BATCH * STEPS


def matmul_ceiling():
    """Returns the best of several measured rates of a large float32 matmul, in operations/s."""
    import jax

    size = 2048
    x = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda x: x @ x)
    seconds = []
    for _ in range(8):
        start = time.perf_counter()
        product(x).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds[1:])


def published():
    """Returns the config: the published networks, and the optimiser of the features' protocol."""
    from ml_collections import ConfigDict

    from jaxcmr.config import default, encoder, method

    config = default()
    config.train.batch_size = BATCH
    config.encoders.image = encoder("mnist_cnn")
    config.encoders.points = encoder("feature_mlp")
    config.method = method("rono")
    config.optimizer.learning_rate, config.optimizer.schedule = 1e-4, "constant"
    config.optimizer.groups.image = ConfigDict({"learning_rate": 5e-5})
    config.optimizer.groups.centers = ConfigDict({"weight_decay": 0.0})
    return config


def ours():
    """Returns a function that runs one epoch in one jitted call: the step of `launch/main.py`."""
    images, features, labels = random_pairs()
    return epochs(published(), {"image": images, "points": features}, labels)


def theirs():
    """Returns the same as a plain PyTorch loop over shuffled batches."""
    import torch
    from torch import nn
    from torch_models import MnistCNN, Rono, update

    point_net = nn.Sequential(
        *(nn.Linear(2048, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU(), nn.Dropout(0.4)),
        *(nn.Linear(512, 256), nn.BatchNorm1d(256), nn.ReLU()),
    )
    rono = Rono(MnistCNN(), point_net, CLASSES)
    groups = [
        {"params": rono.images.parameters(), "lr": 5e-5, "weight_decay": 1e-5},
        {"params": rono.points.parameters(), "lr": 1e-4, "weight_decay": 1e-5},
        {"params": rono.head.parameters(), "lr": 1e-4, "weight_decay": 1e-5},
        {"params": [rono.centers], "lr": 1e-4},
    ]
    adam = torch.optim.Adam(groups)
    images, features, labels = (torch.tensor(array) for array in random_pairs())
    images, labels = images.permute(0, 3, 1, 2).contiguous(), labels.long()

    def run():
        order = torch.randperm(ROWS)
        for start in range(0, STEPS * BATCH, BATCH):
            rows = order[start : start + BATCH]
            update(adam, rono(images[rows], features[rows], labels[rows]))

    return run


def run(repeats):
    """Prints seconds per epoch, their ratio, and the share of the matmul ceiling."""
    sides = {"ours": ours()}
    if HAS_TORCH:
        sides["PyTorch"] = theirs()
    seconds = interleaved(sides, repeats)
    ceiling = max(matmul_ceiling() for _ in range(2))
    print(f"ceiling: {ceiling / 1e9:.0f} GFLOP/s; an epoch counts {operations() / 1e12:.3f} TFLOP")
    for side, value in seconds.items():
        share = operations() / value / ceiling
        print(f"{side:8}{value:8.2f} s an epoch, {share:5.0%} of the ceiling")
    if len(seconds) == 2:
        print(f"ratio {seconds['PyTorch'] / seconds['ours']:.2f}")
