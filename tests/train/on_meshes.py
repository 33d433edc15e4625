"""Run by test_meshes on eight virtual devices: trains on several meshes, prints what it saw."""

import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import collectives
import jax
import jax.numpy as jnp
import numpy as np
import paired
from ml_collections import ConfigDict

from jaxcmr.config import encoder
from jaxcmr.config import method as method_section
from jaxcmr.methods.base import Method
from jaxcmr.train import checkpoint, devices, feed, forward, stages
from jaxcmr.train.state import TrainState
from jaxcmr.train.trainer import Trainer
from jaxcmr.types import Outputs

RUNS = {
    "rono": ((1, 1, "resident"), (1, 8, "resident"), (4, 1, "resident"), (2, 4, "streamed")),
    "label_vote": ((1, 1, "resident"), (1, 8, "streamed"), (4, 1, "resident"), (2, 4, "resident")),
    "mmcd": ((1, 1, "resident"), (2, 4, "resident")),
}
EPOCHS = 5  # of ten steps


def config_of(method: str, member: int, data: int, feeding: str = "resident") -> ConfigDict:
    """Four members on batches of 16, one tower with batch norm and one without."""
    config = paired.config()
    numbers = paired.RONO if method == "rono" else {"warmup_epochs": 2}
    config.method = method_section(method, **numbers)
    config.encoders.image = encoder("feature_mlp", hidden=(), dropout=0.2)
    config.ensemble.members = 4
    config.train.epochs, config.train.batch_size = EPOCHS, 16
    config.mesh.member, config.mesh.data = member, data
    config.data.feeding = feeding
    config.evaluate.batch_size = 30
    if feeding == "streamed":
        config.data.resident_bytes = feed.PIECE * 3 * 16 * 4 * (12 + 9)
    return config


def trainer_of(config: ConfigDict, change=lambda method: method) -> Trainer:
    """The trainer of a config, with a changed method."""
    (stage,) = stages.plan(config, Path("nowhere"))
    data, validation = paired.dataset(rows=160), paired.dataset(rows=50, seed=1)
    return Trainer(stage._replace(method=change(stage.method)), paired.CLASSES, data, validation)


def train(config: ConfigDict, epochs: int = EPOCHS, change=lambda method: method):
    """Returns the losses `[10 epochs, 4]`, the validation score and the last state."""
    trainer = trainer_of(config, change)
    now, losses = trainer.untrained, []
    for epoch in range(epochs):
        now, terms, *_ = trainer.run_epoch(now, epoch, {})
        losses.append(terms["loss"])
    return np.concatenate(losses), trainer.validate(now)["val_mAP"], now


def compiled(config: ConfigDict):
    """Compiles the step as the loop does."""
    trainer = trainer_of(config)
    batches, rows = next(iter(trainer._feed.calls(jax.random.key(0), 0)))
    return trainer._step.lower(trainer.untrained, batches, rows, trainer._hp).compile()


def in_eight_parts(method: Method) -> Method:
    """Applies a method in training to an eighth of the batch at a time, one after the other."""

    def apply(variables, inputs, hp, *, key, train: bool):
        if not train:
            return method.apply(variables, inputs, hp, key=key, train=False)
        found = []
        for place, part_key in enumerate(jax.random.split(key, 8)):
            part = {name: jnp.split(rows, 8)[place] for name, rows in inputs.items()}
            found.append(method.apply(variables, part, hp, key=part_key, train=True))
        outputs, states = zip(*found)
        embeddings = jnp.concatenate([each.embeddings for each in outputs], 1)
        logits = jnp.concatenate([each.logits for each in outputs], 1)
        joined = Outputs(embeddings, logits, outputs[0].centers)
        return joined, jax.tree.map(lambda *leaves: sum(leaves) / 8, *states)

    return method._replace(apply=apply)


def applied(config: ConfigDict, apply, variables) -> tuple[Outputs, dict]:
    """Applies all four members to sixteen items, as a step does."""
    every = forward.build(config, SimpleNamespace(apply=apply), devices.build(config))
    keys = jax.random.split(jax.random.key(0), 4)
    return jax.jit(lambda inputs: every(variables, inputs, {}, keys, train=True))(
        {"image": jnp.ones((16, 3))}
    )


def counted() -> jax.Array:
    """Returns the count in the state of each member after a step on eight parts."""
    config = config_of("rono", 1, 8)
    config.train.batch_statistics = "device"

    def apply(variables, inputs, hp, *, key, train: bool):
        return Outputs(inputs["image"][None]), {"steps": variables["steps"] + 1}

    return applied(config, apply, {"steps": jnp.full(4, 2)})[1]["steps"]


def called_back() -> jax.Array:
    """Returns the embeddings of members that numpy computes, each on a device of its own."""

    def apply(variables, inputs, hp, *, key, train: bool):
        rows = inputs["image"][None] * variables["scale"]
        return Outputs(jax.pure_callback(np.square, rows, rows, vmap_method="expand_dims")), {}

    return applied(config_of("rono", 4, 1), apply, {"scale": jnp.arange(4.0)})[0].embeddings


def bytes_per_device(tree) -> int:
    """The most that any device holds of a tree."""
    held = {}
    for leaf in jax.tree.leaves(tree):
        for shard in leaf.addressable_shards:
            held[shard.device] = held.get(shard.device, 0) + shard.data.nbytes
    return max(held.values(), default=0)


def restored(folder: Path, saved: TrainState, member: int, data: int) -> str:
    """Writes a state, reads it on another mesh, and compares all bits."""
    like = trainer_of(config_of("label_vote", member, data)).untrained
    with checkpoint.Checkpoints(folder) as checkpoints:
        checkpoints.save_last(saved, {"epoch": EPOCHS})
        found, record = checkpoints.restore_last(like)
    assert record == {"epoch": EPOCHS}
    leaves = lambda state: jax.tree.leaves(state.replace(key=jax.random.key_data(state.key)))
    for one, other, ours in zip(leaves(saved), leaves(found), leaves(like), strict=True):
        assert one.dtype == other.dtype and other.sharding == ours.sharding
        np.testing.assert_array_equal(one, other)
    return "equal"


def seen(config: ConfigDict, found) -> dict:
    """Returns what is to be known of a run, of which `train` found losses, score and state."""
    losses, score, last = found
    program = compiled(config)
    sent = collectives.collectives(program.as_text(), config.mesh.member, config.mesh.data)
    return {
        "losses": losses.tolist(),
        "score": score,
        "state_bytes": bytes_per_device((last.params, last.opt_state)),
        "belief_bytes": bytes_per_device(last.beliefs),
        "temporary_bytes": program.memory_analysis().temp_size_in_bytes,
        "collectives": collectives.count(sent),
        "sent": sum(size for _, axis, size, inside in sent if inside and axis != "none"),
        "outside": [entry[:3] for entry in sent if not entry[3]],
    }


def moments(state: TrainState) -> list:
    """Returns the running moments of batch norm."""
    return [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(state.model_state)]


def main(folder: str) -> None:
    report, states = {"devices": jax.device_count()}, {}
    for method, runs in RUNS.items():
        for member, data, feeding in runs:
            config = config_of(method, member, data, feeding)
            found = train(config)
            states[f"{method} {member}x{data}"] = found[-1]
            report[f"{method} {member}x{data}"] = seen(config, found)
            print(method, member, data, file=sys.stderr, flush=True)
    config = config_of("rono", 1, 8)
    config.train.batch_statistics = "device"
    # One epoch: with two items a part, what is rounded away grows fast.
    found, by_hand = train(config, 1), train(config_of("rono", 1, 1), 1, in_eight_parts)
    report["rono 1x8 device"] = seen(config, found) | {"moments": moments(found[-1])}
    report["rono in eight parts"] = {"losses": by_hand[0].tolist(), "moments": moments(by_hand[-1])}
    count = counted()
    report["count"] = [str(count.dtype), count.tolist()]
    report["called back"] = called_back()[:, 0, 0, 0].tolist()
    report["checkpoints"] = {
        f"{saved} to {member}x{data}": restored(
            Path(folder) / saved, states[f"label_vote {saved}"], member, data
        )
        for saved, member, data in (("2x4", 1, 1), ("1x1", 4, 2))
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)
