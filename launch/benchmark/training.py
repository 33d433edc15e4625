"""Epochs of a config on random pairs, by the trainer that `launch/main.py` uses."""

import itertools
import tempfile
from pathlib import Path

import numpy as np


def epochs(config, inputs, labels, models=1):
    """Returns a function that trains `models` models in turn, each one epoch in one jitted call.

    Args:
        config: of the run, of one stage; each model has all of its members.
        inputs: items by modality.
        labels: `[N]` int.
        models: number of models that are trained one after the other.
    """
    import jax

    from jaxcmr.train import stages
    from jaxcmr.train.trainer import Trainer
    from jaxcmr.types import Dataset

    classes, ids = tuple(map(str, np.unique(labels))), np.arange(len(labels)).astype(str)
    (stage,) = stages.plan(config, Path(tempfile.gettempdir()))  # no epoch writes a file
    trainer = Trainer(stage, len(classes), Dataset(inputs, labels, None, ids, classes, {}))
    # A step takes the memory of its state over, so that each model needs a copy.
    states = [jax.tree.map(lambda leaf: leaf.copy(), trainer.untrained) for _ in range(models)]
    epoch = itertools.count()

    def run():
        number = next(epoch)
        for model in range(models):
            states[model], *_ = trainer.run_epoch(states[model], number, {})
        jax.block_until_ready(states)

    return run
