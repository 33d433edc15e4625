"""The loop: what it writes, what it keeps, and that a stopped run goes on bit for bit."""

import itertools
import json
from types import SimpleNamespace

import jax
import numpy as np
import paired
import pytest

from jaxcmr.errors import UsageError
from jaxcmr.train import log, trainer


def _fit(folder, config=None, dataset=None):
    config = config or paired.config()
    return paired.trainer(config, folder, dataset, paired.held_out()).fit()


def _lines(folder):
    """The metrics without what a clock says."""
    lines = log.read(folder / "metrics.jsonl")
    return [{k: v for k, v in line.items() if k != "steps_per_second"} for line in lines]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, _fit(folder)


def _assert_equal_states(one, other):
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params)):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(jax.tree.leaves(one.opt_state), jax.tree.leaves(other.opt_state)):
        np.testing.assert_array_equal(a, b)
    assert int(one.step) == int(other.step)


def test_metrics_have_a_line_an_epoch_with_step_epoch_and_losses_by_name(uninterrupted):
    lines = log.read(uninterrupted[0] / "metrics.jsonl")
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert [line["step"] for line in lines] == [4, 8, 12, 16]
    for line in lines:
        assert line["loss"] == pytest.approx(line["crc"] + line["rdc"] + line["pair"], rel=1e-5)
        assert 0 <= line["val_mAP"] <= 1


def test_best_is_the_epoch_with_the_best_validation_score(uninterrupted):
    folder, fitted = uninterrupted
    scores = [line["val_mAP"] for line in log.read(folder / "metrics.jsonl")]
    assert fitted.best_epoch == 1 + int(np.argmax(scores))
    assert int(fitted.best.step) == 4 * fitted.best_epoch
    assert int(fitted.last.step) == 16


@pytest.mark.parametrize("stop_after", [1, 3])
def test_a_stopped_run_goes_on_bit_for_bit(uninterrupted, tmp_path, monkeypatch, stop_after):
    real = log.log_progress

    def stop(line, epochs, left):
        real(line, epochs, left)
        if line["epoch"] == stop_after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(log, "log_progress", stop)
        with pytest.raises(KeyboardInterrupt):
            _fit(tmp_path)
    # What a crash leaves: a line whose epoch no checkpoint holds, and half a line.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 99, "epoch": 9}) + '\n{"step": 1')
    resumed = _fit(tmp_path)
    _assert_equal_states(uninterrupted[1].last, resumed.last)
    _assert_equal_states(uninterrupted[1].best, resumed.best)
    assert resumed.best_epoch == uninterrupted[1].best_epoch
    assert _lines(tmp_path) == _lines(uninterrupted[0])


def test_a_finished_run_is_read_back_without_training(uninterrupted):
    folder, fitted = uninterrupted
    before = (folder / "metrics.jsonl").read_text()
    again = _fit(folder)
    _assert_equal_states(fitted.last, again.last)
    _assert_equal_states(fitted.best, again.best)
    assert (folder / "metrics.jsonl").read_text() == before


def test_the_time_left_does_not_count_the_compilation_again(tmp_path, monkeypatch):
    took, spent, left, ticks = [100.0, 3.0, 3.0, 3.0], [], [], itertools.count()
    real = trainer.Trainer.validate

    def validate(self, state):
        spent.append(took[len(spent)])
        return real(self, state)

    clock = SimpleNamespace(monotonic=lambda: sum(spent) + 1e-6 * next(ticks))
    monkeypatch.setattr(trainer, "time", clock)
    monkeypatch.setattr(trainer.Trainer, "validate", validate)
    monkeypatch.setattr(log, "log_progress", lambda line, epochs, seconds: left.append(seconds))
    _fit(tmp_path)
    assert left == pytest.approx([300, 6, 3, 0], abs=0.1)


def test_the_untrained_state_is_there_before_anything_is_written(tmp_path):
    trainer = paired.trainer(paired.config(), tmp_path)
    assert int(trainer.untrained.step) == 0 and trainer.untrained.alive.tolist() == [True]
    assert not any(tmp_path.iterdir())


def test_a_batch_larger_than_the_set_is_a_sentence(tmp_path):
    config = paired.config()
    config.train.batch_size = 64
    with pytest.raises(UsageError, match=r"batch_size is 64.*48 rows"):
        _fit(tmp_path, config)


def test_a_checkpoint_that_does_not_fit_is_a_sentence(uninterrupted):
    config = paired.config()
    config.encoders.embedding_size = 5
    with pytest.raises(UsageError, match="does not fit"):
        _fit(uninterrupted[0], config)


def test_a_loss_that_is_not_finite_names_step_term_and_member(tmp_path):
    config = paired.config()
    dataset = paired.dataset()
    dataset.inputs["text"][:] = np.inf
    with pytest.raises(UsageError, match=r"'(pair|rdc|crc)' of member 0 is not finite at step 1"):
        _fit(tmp_path, config, dataset)
