"""Training of a config on random pairs, by the trainer that `launch/main.py` uses."""

import itertools
import tempfile
import time
from pathlib import Path

import numpy as np


def trainer(config, inputs, labels, stage=-1):
    """Returns the trainer of one stage of a config.

    Args:
        config: of the run.
        inputs: items by modality.
        labels: `[N]` int.
        stage: place of the stage in `config.stages`.
    """
    from jaxcmr.train import stages
    from jaxcmr.train.trainer import Trainer
    from jaxcmr.types import Dataset

    classes, ids = tuple(map(str, np.unique(labels))), np.arange(len(labels)).astype(str)
    plan = stages.plan(config, Path(tempfile.gettempdir()))  # no epoch writes a file
    return Trainer(plan[stage], len(classes), Dataset(inputs, labels, None, ids, classes, {}))


def epochs(config, inputs, labels, models=1):
    """Returns a function that trains `models` models in turn, each one epoch in one jitted call.

    Args:
        config: of the run, of one stage; each model has all of its members.
        inputs: items by modality.
        labels: `[N]` int.
        models: number of models that are trained one after the other.
    """
    import jax

    of_all = trainer(config, inputs, labels)
    # A step takes the memory of its state over, so that each model needs a copy.
    states = [jax.tree.map(lambda leaf: leaf.copy(), of_all.untrained) for _ in range(models)]
    epoch = itertools.count()

    def run():
        number = next(epoch)
        for model in range(models):
            states[model], *_ = of_all.run_epoch(states[model], number, {})
        jax.block_until_ready(states)

    return run


def second_epoch(config, inputs, labels):
    """Trains two epochs of streamed batches; returns the seconds and wait share of the second."""
    of_all = trainer(config, inputs, labels)
    state, *_ = of_all.run_epoch(of_all.untrained, 0, {})
    began = time.perf_counter()
    _, _, speed, _ = of_all.run_epoch(state, 1, {})
    return time.perf_counter() - began, speed["wait_share"]


def first_call(trainer):
    """Returns the jitted step, a state, and the other arguments of the first call of an epoch."""
    import jax

    state = jax.tree.map(lambda leaf: leaf.copy(), trainer.untrained)
    data, rows = next(iter(trainer._feed.calls(jax.random.key(0), 0)))
    return trainer._step, state, (data, rows, trainer._hp)
