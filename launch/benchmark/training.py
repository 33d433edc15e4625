"""The jitted training step of a config, on random pairs that lie on the device."""

import numpy as np


def compiled_steps(config, inputs, labels, *, steps, total_steps, models=1):
    """Returns a function that trains `models` models in turn, each `steps` steps in one call.

    Args:
        config: of the run; each model has all of its members.
        inputs: items by modality.
        labels: `[N]` int.
        steps: of a call, on batches of `config.train.batch_size`.
        total_steps: of the run that the call is a part of, for the schedule.
        models: number of models that are trained one after the other.
    """
    import jax

    from jaxcmr import methods
    from jaxcmr.train import feed, optimizer, state
    from jaxcmr.train.step import build_step, hyper_parameters
    from jaxcmr.types import Dataset

    rows, classes = len(labels), tuple(map(str, np.unique(labels)))
    ids = np.arange(rows).astype(str)
    data = feed.resident(Dataset(inputs, labels, None, ids, classes, {}))
    method = methods.build(config, len(classes))
    update = optimizer.build(config.optimizer, total_steps)
    sample = jax.tree.map(lambda leaf: leaf[:2], data.inputs)
    members = config.ensemble.members
    states = [
        state.create(method, update, sample, seed=seed, members=members, rows=rows)
        for seed in range(models)
    ]
    step = build_step(method, update, steps_per_epoch=steps, total_steps=total_steps)
    hp = hyper_parameters(config, update, states[0].params)
    order = feed.epoch_order(jax.random.key(1), 0, rows)
    batches = order[: steps * config.train.batch_size].reshape(steps, -1)

    def run():
        for model in range(models):
            states[model], terms = step(states[model], data, batches, hp)
        jax.block_until_ready((states, terms))

    return run
