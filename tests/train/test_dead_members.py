"""A member whose loss is no longer finite ends the run, or goes on without updates and votes."""

import jax
import jax.numpy as jnp
import numpy as np
import paired
import pytest

from jaxcmr.config import method as method_section
from jaxcmr.errors import UsageError
from jaxcmr.train import evaluate, log, stages
from jaxcmr.train.trainer import Trainer
from jaxcmr.workdir.weights import Weights

FAILS_AT = 6  # the second epoch of four steps


def _poisoned(inner):
    """A method whose members with a poison have embeddings that are not finite from a step on."""

    def init(key, inputs, num_classes):
        variables = inner.init(key, inputs, num_classes)
        params = {**variables["params"], "poison": jnp.zeros(())}
        return {**variables, "params": params, "clock": jnp.zeros((), jnp.int32)}

    def apply(variables, inputs, hp, *, key, train):
        params = dict(variables["params"])
        poison, clock = params.pop("poison"), variables["clock"]
        others = {**variables, "params": params}
        del others["clock"]
        outputs, state = inner.apply(others, inputs, hp, key=key, train=train)
        bad = jnp.where((poison > 0) & (clock >= FAILS_AT), jnp.nan, 0.0)
        outputs = outputs.replace(embeddings=outputs.embeddings + bad)
        return outputs, {**state, "clock": clock + train}

    return inner._replace(init=init, apply=apply)


def _trainer(method, on_nan, folder, members=3):
    config = paired.config()
    if method == "mmcd":
        config.method = method_section("mmcd")
    config.ensemble.members, config.train.on_nan = members, on_nan
    (stage,) = stages.plan(config, folder)
    stage = stage._replace(method=_poisoned(stage.method))
    return Trainer(stage, paired.CLASSES, paired.dataset(), paired.held_out())


def _fit(trainer, *poisoned):
    state = trainer.untrained
    poison = jnp.zeros(len(state.alive)).at[jnp.array(poisoned, int)].set(1.0)
    alive = np.asarray(state.alive)
    return trainer.fit(Weights({**state.params, "poison": poison}, state.model_state, alive))


def _params(state, members):
    return [np.asarray(leaf)[members] for leaf in jax.tree.leaves(state.params)]


def test_stop_names_step_term_and_member_and_keeps_the_state_before(tmp_path):
    with pytest.raises(UsageError, match=r"'(pair|rdc)' of member 1 is not finite at step 7;"):
        _fit(_trainer("rono", "stop", tmp_path), 1)
    assert (tmp_path / "checkpoints" / "last" / "4").is_dir()


@pytest.mark.slow
def test_the_others_of_a_method_without_votes_train_as_if_nothing_had_been(tmp_path, caplog):
    trainer = _trainer("rono", "drop", tmp_path / "one")
    with caplog.at_level("WARNING"):
        dropped = _fit(trainer, 1)
    assert "member 1 is dropped, 2 of 3 are left: the loss term" in caplog.text
    lines = log.read(tmp_path / "one" / "metrics.jsonl")
    for line in lines:  # also of the epochs without the member
        terms = line["crc"] + line["rdc"] + line["pair"]
        assert line["loss"] == pytest.approx(terms, rel=1e-5)
    whole = _fit(_trainer("rono", "drop", tmp_path / "two"))
    assert dropped.last.alive.tolist() == [True, False, True] and whole.last.alive.all()
    for a, b in zip(_params(dropped.last, [0, 2]), _params(whole.last, [0, 2])):
        if np.ndim(a) > 1:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert all(np.isfinite(leaf).all() for leaf in _params(dropped.last, [0, 1, 2]))
    again = _fit(_trainer("rono", "drop", tmp_path / "one"), 1)
    assert again.last.alive.tolist() == [True, False, True]
    for a, b in zip(_params(again.last, [0, 1, 2]), _params(dropped.last, [0, 1, 2])):
        np.testing.assert_array_equal(a, b)


def test_a_dead_member_is_no_part_of_the_ensemble(tmp_path):
    trainer = _trainer("rono", "drop", tmp_path)
    last = _fit(trainer, 1).last
    embeddings = trainer.predict(last).embeddings
    assert embeddings.shape[:2] == (2, 2) and np.isfinite(embeddings).all()
    test = paired.held_out()
    score = evaluate.build_test(test, trainer.config, trainer.mesh)
    scores, joined = score(trainer.predictor(test)(last))
    assert len(scores["image->text"]["members"]) == 2
    np.testing.assert_allclose(np.linalg.norm(joined["text"], axis=1), 1, rtol=1e-5)


def test_the_votes_of_dead_members_do_not_count(tmp_path):
    last = _fit(_trainer("mmcd", "drop", tmp_path), 0, 2).last
    assert last.alive.tolist() == [False, True, False] and int(last.step) == 16
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(last.beliefs))
    assert all(np.isfinite(leaf).all() for leaf in _params(last, [0, 1, 2]))


def test_without_a_member_left_the_run_stops(tmp_path):
    with pytest.raises(UsageError, match="is not finite at step 7"):
        _fit(_trainer("rono", "drop", tmp_path), 0, 1, 2)


def test_a_broken_start_is_kept_too(tmp_path):
    data = paired.dataset()
    data.inputs["text"][:] = np.inf
    with pytest.raises(UsageError, match="not finite at step 1;"):
        paired.trainer(paired.config(), tmp_path, data).fit()
    assert (tmp_path / "checkpoints" / "last" / "0").is_dir()


def test_no_label_is_hidden_from_the_last_member_that_is_left(tmp_path):
    """It is trained on all of them, though those of its fold were hidden from it before."""
    trainer = _trainer("mmcd", "drop", tmp_path, members=2)
    before = trainer.hidden(np.ones(2, bool))
    np.testing.assert_array_equal(before.sum(0), 1)
    left = trainer.hidden(np.array([True, False]))
    assert before[0].sum() > 15 and left[0].sum() <= 4


def test_what_is_hidden_from_a_member_only_after_others_died_was_taught_to_it(tmp_path):
    trainer = _trainer("mmcd", "drop", tmp_path)
    before, left = trainer.hidden(np.ones(3, bool)), trainer.hidden(np.array([True, True, False]))
    np.testing.assert_array_equal(left[:2], before[:2])
