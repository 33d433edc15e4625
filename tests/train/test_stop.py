"""SIGTERM: the run saves inside an epoch, and the next start ends as if nothing had happened."""

import os
import signal

import jax
import numpy as np
import paired
import pytest

from jaxcmr.errors import StoppedError
from jaxcmr.train import feed, log, trainer


def _fit(folder, feeding, steps_per_call=2):
    config = paired.config()
    config.train.epochs, config.train.steps_per_call = 3, steps_per_call
    config.data.feeding = feeding
    config.data.resident_bytes = feed.PIECE * 3 * config.train.batch_size * 4 * (12 + 9)
    return paired.trainer(config, folder, paired.dataset(rows=60), paired.held_out()).fit()


def _lines(folder):
    clock = {"steps_per_second", "wait_share"}
    lines = log.read(folder / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k not in clock} for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, _fit(folder, "resident")


@pytest.mark.parametrize("feeding", ["resident", "streamed"])
# Of three epochs of six steps: the signal comes with the next call under way, if there is one.
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(0, 4, marks=pytest.mark.slow),
        (6, 10),
        pytest.param(10, 12, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_stopped_goes_on_bit_for_bit(
    whole, tmp_path, monkeypatch, feeding, before, after
):
    real = trainer.check_members

    def signal_in_the_call(terms, alive, steps_before, **more):
        if steps_before == before:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(terms, alive, steps_before, **more)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "check_members", signal_in_the_call)
        with pytest.raises(StoppedError, match=f"after step {after} .epoch"):
            _fit(tmp_path, feeding)
    assert len(_lines(tmp_path)) == before // 6
    resumed = _fit(tmp_path, feeding)
    for one, other in ((resumed.last, whole[1].last), (resumed.best, whole[1].best)):
        for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True):
            np.testing.assert_array_equal(a, b)
    assert resumed.best_epoch == whole[1].best_epoch
    assert _lines(tmp_path) == _lines(whole[0])


def test_the_handler_of_the_caller_is_put_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    _fit(tmp_path, "resident")
    assert signal.getsignal(signal.SIGTERM) is before
