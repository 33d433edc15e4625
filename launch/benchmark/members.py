"""MMCD's step for 1, 2, 4 and 8 members: one call, that many single-model calls, and PyTorch.

Pairs of vectors of Wikipedia's sizes (128 and 1000), networks FC 1024-1024-256, batches of 100.
PyTorch trains the members one after the other with a center loss and a pair contrast of the same
sizes, and leaves the votes out.
"""

from itertools import pairwise

import numpy as np
from stopwatch import HAS_TORCH, interleaved
from training import epochs

ROWS, BATCH, CLASSES = 1000, 100, 10
STEPS = ROWS // BATCH
SIZES = {"image": 128, "text": 1000}
HIDDEN, EMBEDDING = (1024, 1024), 256
MEMBERS = (1, 2, 4, 8)


def random_pairs(rows=ROWS):
    """Returns vectors by modality, and labels."""
    rng = np.random.default_rng(0)
    inputs = {name: rng.random((rows, size), dtype=np.float32) for name, size in SIZES.items()}
    return inputs, rng.integers(0, CLASSES, rows, dtype=np.int32)


def mmcd(members):
    """Returns the config of MMCD with so many members."""
    from jaxcmr.config import default, encoder, method

    config = default()
    config.train.batch_size = BATCH
    config.data.modalities = tuple(SIZES)
    config.encoders.embedding_size = EMBEDDING
    for name in SIZES:
        config.encoders[name] = encoder("fc", hidden=HIDDEN)
    config.method = method("mmcd")
    config.ensemble.members = members
    return config


def ours(members, models):
    """Returns a function that trains `models` models of `members` members, one after the other."""
    inputs, labels = random_pairs()
    return epochs(mmcd(members), inputs, labels, models)


def theirs(members, device="cpu"):
    """Returns the same as plain PyTorch loops, one after the other."""
    import torch
    import torch.nn.functional as F
    from torch import nn
    from torch_models import pair_contrast, update

    def network(size):
        sizes = (size, *HIDDEN, EMBEDDING)
        layers = [part for pair in pairwise(sizes) for part in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    models = []
    for _ in range(members):
        towers = nn.ModuleList(network(size) for size in SIZES.values()).to(device)
        centers = nn.Parameter(torch.randn(CLASSES, EMBEDDING, device=device))
        models.append((towers, centers, torch.optim.Adam([*towers.parameters(), centers])))
    inputs, labels = random_pairs()
    inputs = [torch.tensor(array, device=device) for array in inputs.values()]
    labels = torch.tensor(labels, device=device).long()

    def run():
        for towers, centers, adam in models:
            for start in range(0, STEPS * BATCH, BATCH):
                rows = slice(start, start + BATCH)
                z = F.normalize(torch.cat([t(x[rows]) for t, x in zip(towers, inputs)]))
                logits = z @ F.normalize(centers).t() / 0.05
                labelled = logits.gather(1, torch.cat([labels[rows]] * 2)[:, None])
                loss = pair_contrast(z) + (logits.mean(1) - labelled[:, 0]).mean()
                update(adam, loss)

    return run


def run(repeats):
    """Prints milliseconds a step, and ratios to the one call."""
    print(f"{'members':>7}{'one call ms':>13}{'single calls ms':>17}{'PyTorch ms':>12}")
    for members in MEMBERS:
        sides = {"one": ours(members, 1), "single": ours(1, members)}
        if HAS_TORCH:
            sides["torch"] = theirs(members)
        found = {side: 1e3 * value / STEPS for side, value in interleaved(sides, repeats).items()}
        one, single = found["one"], found["single"]
        other = found.get("torch", float("nan"))
        print(
            f"{members:7d}{one:13.1f}{single:9.1f} ({single / one:.2f}){other:7.1f} "
            f"({other / one:.2f})",
            flush=True,
        )
