"""Later epochs compile nothing, and inside one the device never waits for the host."""

import threading
from contextlib import nullcontext

import jax
import numpy as np
import paired
import pytest

from jaxcmr import presets
from jaxcmr.config import encoder
from jaxcmr.methods import matching
from jaxcmr.train import log, run, stages
from jaxcmr.train.trainer import Trainer

METHODS = {
    "rono": ("mmcd_wikipedia", "rono"),
    "romo": ("romo_wikipedia", ""),
    "mmcd": ("mmcd_wikipedia", ""),
}
EPOCHS, CALLS = 3, 3


def _shrunk(config):
    """The config for tiny vectors: an epoch is three calls of two steps, and all that follows."""
    for modality in config.data.modalities:
        config.encoders[modality] = encoder("fc", hidden=(8,), dropout=0.5)
    presets.shorten(config, EPOCHS, batch_size=10)
    config.evaluate.every_epochs = 1
    if config.method.name != "romo":
        config.method.warmup_epochs = 1
    for part in (config, *config.stage.values()):
        part.train.steps_per_call = 2
    return config


class Held:
    """An array that a call of the step has yet to make: it can be fetched, and nothing else."""

    explicit = threading.local()  # whether `jax.device_get` is what reads it

    def __init__(self, array, followed):
        self.array, self._followed = array, followed

    def __array__(self, *args, **kwargs):
        assert getattr(self.explicit, "here", False), "not read by jax.device_get"
        assert self._followed.wait(10), "read before the next call is sent"
        return np.asarray(self.array)


class BusyDevice:
    """A compiled step that is done with a call when the next one comes, or none is left."""

    def __init__(self, step):
        self._step, self.sent = step, []

    def __call__(self, state, *rest):
        for followed in self.sent:
            followed.set()
        self.sent.append(threading.Event())
        found = self._step(released(state), *rest)
        if len(self.sent) == CALLS:
            self.sent[-1].set()
        return jax.tree.map(lambda leaf: Held(leaf, self.sent[-1]), found)


def released(tree):
    """The arrays that are held."""
    return jax.tree.map(lambda leaf: leaf.array if isinstance(leaf, Held) else leaf, tree)


@pytest.fixture
def fetched(monkeypatch):
    """A list with an element each `jax.device_get`."""
    real, found = jax.device_get, []

    def device_get(tree):
        found.append(tree)
        Held.explicit.here = True
        try:
            return real(tree)
        finally:
            Held.explicit.here = False

    monkeypatch.setattr(jax, "device_get", device_get)
    return found


@pytest.fixture
def compiled():
    """The names of the functions that have been traced, lowered or compiled."""
    found = []

    def note(event, seconds, **more):
        if event.startswith("/jax/core/compile/"):
            found.append(more.get("fun_name", event))

    jax.monitoring.register_event_duration_secs_listener(note)
    yield found
    jax.monitoring.unregister_event_duration_listener(note)


@pytest.mark.parametrize(
    "method", [*(pytest.param(n, marks=pytest.mark.slow) for n in ("rono", "romo")), "mmcd"]
)
def test_later_epochs_compile_nothing_and_never_wait_for_the_host(
    real_config, tmp_path, monkeypatch, method, compiled, fetched
):
    """All stages; refresh, diagnosis, validation and checkpoints compile nothing, too."""
    config, run_epoch = _shrunk(real_config(*METHODS[method])), Trainer.run_epoch

    def watched(trainer, state, epoch, *rest):
        real, fetches = trainer._step, len(fetched)
        trainer._step = busy = BusyDevice(real)
        # The first epoch moves constants to the device while it traces.
        with jax.transfer_guard("disallow") if epoch else nullcontext():
            state, *others = run_epoch(trainer, state, epoch, *rest)
        trainer._step = real
        assert len(busy.sent) == CALLS
        assert len(fetched) - fetches == CALLS + 2  # and where the state stands, and the order
        return released(state), *others

    def end_of_epoch(line, *_):
        if line["epoch"] > 1:
            assert compiled == []
        compiled.clear()

    monkeypatch.setattr(Trainer, "run_epoch", watched)
    monkeypatch.setattr(log, "log_progress", end_of_epoch)
    train, held_out = paired.dataset(rows=60), paired.held_out()
    planned = stages.plan(config, tmp_path)
    run.train_stages(planned, paired.CLASSES, train, held_out, held_out, {})


def test_clustering_again_compiles_nothing(compiled):
    embeddings = np.random.default_rng(0).normal(size=(1, 2, 30, 4)).astype(np.float32)
    cluster = lambda classes: matching.cluster_members(jax.random.key(0), embeddings, 3, classes)
    _, memories = cluster(cluster(None)[1].classes)
    compiled.clear()
    cluster(memories.classes)
    assert compiled == []
