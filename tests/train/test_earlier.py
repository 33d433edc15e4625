"""A run that starts from the weights of another one."""

import jax
import numpy as np
import paired
import pytest

from jaxcmr import methods
from jaxcmr.errors import UsageError
from jaxcmr.train import checkpoint, earlier, loop, stages


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a run with a best and a last checkpoint, and its untrained state."""
    folder, config = tmp_path_factory.mktemp("made") / "[run]", paired.config()
    method = methods.build(config, paired.CLASSES)
    state = loop.assemble(config, method, paired.dataset(), None).start
    best = state.replace(params=jax.tree.map(lambda leaf: leaf + 1, state.params))
    with checkpoint.Checkpoints(folder / "checkpoints", [0]) as checkpoints:
        checkpoints.save_best(best, {"epoch": 1})
        checkpoints.save_last(state, {"epoch": 2})
    return folder, state


def _equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def test_the_best_weights_are_taken_over_and_everything_else_is_new(made):
    folder, state = made
    weights = earlier.read(folder)
    _equal(dict(weights.params), jax.tree.map(lambda leaf: np.asarray(leaf + 1), state.params))
    started = stages.continued(state, weights)
    _equal(started.params, jax.tree.map(lambda leaf: leaf + 1, state.params))
    _equal(started.opt_state, state.opt_state)
    assert int(started.step) == 0


def test_what_fits_is_said_and_the_rest_is_named(made, caplog):
    config = paired.config()
    config.start_from = str(made[0])
    weights, train = earlier.read(made[0]), paired.dataset()
    caplog.set_level("INFO", logger="absl")
    earlier.logging.set_verbosity(earlier.logging.INFO)
    earlier.check_fit(config, weights, train)
    assert f"arrays of weights are those of {made[0]}" in caplog.text and "new" not in caplog.text
    wider = train.rows(np.arange(8))
    wider.inputs["text"] = np.zeros((8, 11), np.float32)
    earlier.check_fit(config, weights, wider)
    assert caplog.messages[-1].endswith("; new: text.fc1.kernel")


def test_weights_of_which_nothing_fits_are_refused(made):
    weights = earlier.read(made[0])
    config = paired.config()
    other = earlier.Weights({"something": np.zeros((1, 3))}, weights.model_state)
    with pytest.raises(UsageError, match=r"nothing of the weights in config.start_from"):
        earlier.check_fit(config, other, paired.dataset())


def test_a_run_that_has_begun_needs_them_no_longer(made, tmp_path):
    config = paired.config()
    assert earlier.for_start(config, config, tmp_path, paired.dataset()) is None
    config.start_from = str(tmp_path / "removed since")
    assert earlier.for_start(config, config, made[0], paired.dataset()) is None
    with pytest.raises(UsageError, match="removed since', but there is no checkpoint of a run"):
        earlier.for_start(config, config, tmp_path, paired.dataset())


def test_a_checkpoint_that_is_damaged_is_one_sentence(made, tmp_path):
    newest = tmp_path / "checkpoints" / "best" / "7"
    newest.mkdir(parents=True)
    (newest / "state").write_text("no folder")
    with pytest.raises(
        UsageError, match=r"best/7 cannot be read \(.*\); correct config.start_from"
    ):
        earlier.read(tmp_path)
