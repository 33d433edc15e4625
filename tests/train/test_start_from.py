"""A run that starts from the weights of another one."""

import json

import jax
import numpy as np
import paired
import pytest

from jaxcmr.config import method as method_section
from jaxcmr.config import stage
from jaxcmr.errors import UsageError
from jaxcmr.train import checkpoint, stages
from jaxcmr.workdir import weights as workdir_weights


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a run with a best and a last checkpoint, and its untrained state."""
    folder = tmp_path_factory.mktemp("made") / "[run]"
    state = paired.trainer(paired.config()).untrained
    best = state.replace(params=jax.tree.map(lambda leaf: leaf + 1, state.params))
    with checkpoint.Checkpoints(folder / "checkpoints") as checkpoints:
        checkpoints.save_best(best, {"epoch": 1})
        checkpoints.save_last(state, {"epoch": 2})
    return folder, state


def _equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def _to_start(folder, start, train=None):
    config = paired.config()
    config.start_from = str(start)
    plan = stages.plan(config, folder)
    return stages.weights_to_start(plan, paired.CLASSES, train or paired.dataset())


def test_the_best_weights_are_taken_over_and_everything_else_is_new(made, tmp_path):
    folder, state = made
    weights = _to_start(tmp_path, folder)["main"]
    _equal(dict(weights.params), jax.tree.map(lambda leaf: np.asarray(leaf + 1), state.params))
    started = stages.continued(state, weights)
    _equal(started.params, jax.tree.map(lambda leaf: leaf + 1, state.params))
    _equal(started.opt_state, state.opt_state)
    assert int(started.step) == 0


def test_what_fits_is_said_and_the_rest_is_named(made, tmp_path, caplog):
    caplog.set_level("INFO", logger="absl")
    stages.logging.set_verbosity(stages.logging.INFO)
    _to_start(tmp_path, made[0])
    assert f"arrays of weights are those of {made[0]}" in caplog.text and "new" not in caplog.text
    wider = paired.dataset().rows(np.arange(12))
    wider.inputs["text"] = np.zeros((12, 11), np.float32)
    _to_start(tmp_path, made[0], wider)
    assert caplog.messages[-1].endswith("; new: text.fc1.kernel")


def test_weights_of_which_nothing_fits_are_refused(made, tmp_path, monkeypatch):
    other = workdir_weights.Weights({"something": np.zeros((1, 3))}, {}, np.ones(1, bool))
    monkeypatch.setattr(workdir_weights, "read", lambda folder, field: other)
    with pytest.raises(UsageError, match=r"nothing of the weights in config.start_from"):
        _to_start(tmp_path, made[0])


def test_weights_of_fewer_members_are_refused(made, tmp_path):
    config = paired.config()
    config.start_from, config.ensemble.members = str(made[0]), 2
    with pytest.raises(UsageError, match=r"a run of 1 members, but config\.ensemble\.members is 2"):
        stages.weights_to_start(stages.plan(config, tmp_path), paired.CLASSES, paired.dataset())


def test_dead_members_of_the_other_run_are_named(made, tmp_path, monkeypatch, caplog):
    weights = workdir_weights.read(made[0], "start_from")._replace(alive=np.array([False]))
    monkeypatch.setattr(workdir_weights, "read", lambda folder, field: weights)
    _to_start(tmp_path, made[0])
    assert "has 0 living members: 1 of 1 are dropped from the start" in caplog.text


def test_a_run_that_has_begun_needs_them_no_longer(made, tmp_path):
    assert _to_start(tmp_path, "") == {}
    removed = tmp_path / "removed since"
    assert _to_start(made[0], removed) == {}
    with pytest.raises(UsageError, match="removed since', but there is no checkpoint of a run"):
        _to_start(tmp_path, removed)


def test_a_checkpoint_that_is_damaged_is_one_sentence(tmp_path):
    newest = tmp_path / "checkpoints" / "best" / "7"
    newest.mkdir(parents=True)
    (newest / "state").write_text("no folder")
    with pytest.raises(
        UsageError, match=r"best/7 cannot be read \(.*\); correct config.stage.one.start_from"
    ):
        workdir_weights.read(tmp_path, "stage.one.start_from")


@pytest.mark.parametrize(
    "other, taught",
    [
        ({"method": "ce"}, True),
        ({"method": "ce", "labels": "absent"}, False),
        ({"method": "pairs"}, False),
        ({"method": "pairs", "start_from": "elsewhere"}, True),
        ({"method": "pairs", "before": "ce"}, True),
        ({"method": "ce", "before": "pairs", "stage": "first"}, False),
        ({"method": "pairs", "before": "ce", "stage": "first"}, True),
    ],
)
@pytest.mark.parametrize("through", ["main", "pairs"])
def test_labels_that_weights_remember_are_no_secret(other, taught, through, tmp_path):
    """Through any chain of stages and runs: what was taught them, members have seen."""
    before = {"first": {"method": {"name": other["before"]}}} if "before" in other else {}
    content = {
        "stages": [*before, "main"],
        "stage": before,
        "method": {"name": other["method"]},
        "labels": other.get("labels", "given"),
        "start_from": other.get("start_from", ""),
    }
    run = tmp_path / "other"
    run.mkdir()
    (run / "config.json").write_text(json.dumps(content))
    start = str(run / "stages" / other["stage"] if "stage" in other else run)
    config = paired.config()
    config.start_from = start
    if through == "pairs":
        config.stages, config.start_from = ("pairs", "main"), "pairs"
        config.stage.pairs = stage(method_section("pairs"), epochs=1, start_from=start)
    assert stages.taught_before(stages.plan(config, tmp_path / "new")) == taught
