"""MMCD's step for 1, 2, 4 and 8 members: one call, that many single-model calls, and PyTorch.

Pairs of vectors of Wikipedia's sizes (128 and 1000), networks FC 1024-1024-256, batches of 100. The
data is random: speed does not depend on it. PyTorch trains the members one after the other with a
center loss and a contrastive loss of the same sizes, and leaves the votes out.
"""

import importlib.util
from itertools import pairwise

import numpy as np
from stopwatch import interleaved

ROWS, BATCH, CLASSES, STEPS = 2000, 100, 10, 10
SIZES = {"image": 128, "text": 1000}
HIDDEN, EMBEDDING = (1024, 1024), 256
MEMBERS = (1, 2, 4, 8)


def random_pairs():
    """Returns vectors by modality, and labels."""
    rng = np.random.default_rng(0)
    inputs = {name: rng.random((ROWS, size), dtype=np.float32) for name, size in SIZES.items()}
    return inputs, rng.integers(0, CLASSES, ROWS, dtype=np.int32)


def ours(members, calls):
    """Returns a function that runs STEPS steps of `members` members, `calls` times in a row."""
    import jax
    from ml_collections import ConfigDict

    from jaxcmr import methods, presets
    from jaxcmr.config import default, encoder
    from jaxcmr.train import feed, optimizer, state
    from jaxcmr.train.step import build_step, hyper_parameters
    from jaxcmr.types import Dataset

    config = default()
    config.data.modalities = tuple(SIZES)
    config.encoders.embedding_size = EMBEDDING
    for name in SIZES:
        config.encoders[name] = encoder("fc", hidden=HIDDEN)
    config.method = ConfigDict(presets.MMCD)
    config.ensemble.members = members
    inputs, labels = random_pairs()
    ids, names = np.arange(ROWS).astype(str), tuple("0123456789")
    data = feed.resident(Dataset(inputs, labels, None, ids, names, {}))
    method = methods.build(config, CLASSES)
    adam = optimizer.build(config.optimizer, 1000)
    sample = jax.tree.map(lambda leaf: leaf[:2], data.inputs)
    create = lambda seed: state.create(method, adam, sample, seed=seed, members=members, rows=ROWS)
    states = [create(seed) for seed in range(calls)]
    step = build_step(method, adam, steps_per_epoch=STEPS, total_steps=1000)
    hp = hyper_parameters(config, adam, states[0].params)
    batches = feed.epoch_order(jax.random.key(1), 0, ROWS)[: STEPS * BATCH].reshape(STEPS, BATCH)

    def run():
        for call in range(calls):
            states[call], terms = step(states[call], data, batches, hp)
        jax.block_until_ready((states, terms))

    return run


def theirs(members):
    """Returns the same as plain PyTorch loops, one after the other."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    def network(size):
        sizes = (size, *HIDDEN, EMBEDDING)
        layers = [part for pair in pairwise(sizes) for part in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    models = []
    for _ in range(members):
        towers = nn.ModuleList(network(size) for size in SIZES.values())
        centers = nn.Parameter(torch.randn(CLASSES, EMBEDDING))
        models.append((towers, centers, torch.optim.Adam([*towers.parameters(), centers])))
    inputs, labels = random_pairs()
    inputs = [torch.tensor(array) for array in inputs.values()]
    labels = torch.tensor(labels).long()

    def contrast(z):
        scores = (z @ z.t() / 0.22).exp()
        scores = scores - torch.diag(scores.diag())
        partners = torch.cat([scores.diagonal(BATCH), scores.diagonal(-BATCH)])
        return -(partners / scores.sum(1)).log().mean()

    def run():
        for towers, centers, adam in models:
            for start in range(0, STEPS * BATCH, BATCH):
                rows = slice(start, start + BATCH)
                z = F.normalize(torch.cat([t(x[rows]) for t, x in zip(towers, inputs)]))
                logits = z @ F.normalize(centers).t() / 0.05
                own = logits.gather(1, torch.cat([labels[rows]] * 2)[:, None])
                loss = contrast(z) + (logits.mean(1) - own[:, 0]).mean()
                adam.zero_grad()
                loss.backward()
                adam.step()

    return run


def run(repeats):
    """Prints milliseconds a step, and ratios to the one call."""
    print(f"{'members':>7}{'one call ms':>13}{'single calls ms':>17}{'PyTorch ms':>12}")
    for members in MEMBERS:
        sides = {"one": ours(members, 1), "single": ours(1, members)}
        if importlib.util.find_spec("torch"):
            sides["torch"] = theirs(members)
        found = {side: 1e3 * value / STEPS for side, value in interleaved(sides, repeats).items()}
        one, single = found["one"], found["single"]
        other = found.get("torch", float("nan"))
        print(
            f"{members:7d}{one:13.1f}{single:9.1f} ({single / one:.2f}){other:7.1f} "
            f"({other / one:.2f})",
            flush=True,
        )
