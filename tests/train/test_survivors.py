"""A member whose loss is no longer finite ends the run, or is dropped from it."""

import jax
import jax.numpy as jnp
import numpy as np
import paired
import pytest

from jaxcmr import methods, presets
from jaxcmr.errors import UsageError
from jaxcmr.train import loop, survivors

FAILS_AT = 6  # the second epoch of four steps


def _poisoned(build):
    """A method whose members with a poison have embeddings that are not finite from a step on."""

    def builder(config, num_classes):
        inner = build(config, num_classes)

        def init(key, inputs):
            variables = inner.init(key, inputs)
            params = {**variables["params"], "poison": jnp.zeros(())}
            return {**variables, "params": params, "clock": jnp.zeros((), jnp.int32)}

        def apply(variables, inputs, *, key, train):
            params = dict(variables["params"])
            poison, clock = params.pop("poison"), variables["clock"]
            own = {**variables, "params": params}
            del own["clock"]
            outputs, state = inner.apply(own, inputs, key=key, train=train)
            bad = jnp.where((poison > 0) & (clock >= FAILS_AT), jnp.nan, 0.0)
            embeddings = {name: rows + bad for name, rows in outputs.embeddings.items()}
            return outputs.replace(embeddings=embeddings), {**state, "clock": clock + train}

        return inner._replace(init=init, apply=apply)

    return builder


def _poison(*members):
    def initialize(state):
        poison = jnp.zeros(len(state.params["poison"])).at[jnp.array(members)].set(1.0)
        return state.replace(params={**state.params, "poison": poison})

    return initialize if members else lambda state: state


@pytest.fixture
def config(monkeypatch):
    def build(method, on_nan):
        config = paired.config()
        if method == "mmcd":
            config.method.update(presets.MMCD)
        monkeypatch.setitem(methods.METHODS, "poisoned", _poisoned(methods.METHODS[method]))
        config.method.name = "poisoned"
        config.ensemble.members, config.train.on_nan = 3, on_nan
        return config

    return build


def _fit(config, folder, *poisoned):
    data, validation = paired.dataset(), paired.dataset(rows=20, seed=1)
    start = _poison(*poisoned)
    return survivors.fit(config, paired.CLASSES, data, validation, folder, initialize=start)


def test_stop_names_step_term_and_member_and_keeps_the_state_before(config, tmp_path):
    with pytest.raises(UsageError, match=r"'(mg|rdc)' of member 1 is not finite at step 7;"):
        _fit(config("rono", "stop"), tmp_path, 1)
    assert (tmp_path / "checkpoints" / "last" / "4").is_dir()


def test_the_others_of_a_method_without_votes_train_as_if_nothing_had_been(config, tmp_path):
    dropped, members = _fit(config("rono", "drop"), tmp_path / "one", 1)
    whole, everybody = _fit(config("rono", "drop"), tmp_path / "two")
    assert members == (0, 2) and everybody == (0, 1, 2)
    for state, reference in ((dropped.last, whole.last),):
        for a, b in zip(jax.tree.leaves(state.params), jax.tree.leaves(reference.params)):
            if np.ndim(a) > 1:
                np.testing.assert_allclose(a, np.asarray(b)[[0, 2]], rtol=1e-4, atol=1e-6)
    assert jax.tree.leaves(dropped.best.params)[0].shape[0] == 2
    again, members = _fit(config("rono", "drop"), tmp_path / "one", 1)
    assert members == (0, 2)
    for a, b in zip(jax.tree.leaves(again.last.params), jax.tree.leaves(dropped.last.params)):
        np.testing.assert_array_equal(a, b)


def test_the_beliefs_of_a_dropped_member_go_with_it(config, tmp_path):
    fitted, members = _fit(config("mmcd", "drop"), tmp_path, 0, 2)
    assert members == (1,) and int(fitted.last.step) == 16
    assert all(leaf.shape[0] == 1 for leaf in jax.tree.leaves(fitted.last.beliefs))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fitted.last.params))


def test_without_a_member_left_the_run_stops(config, tmp_path):
    with pytest.raises(UsageError, match="is not finite at step 7"):
        _fit(config("rono", "drop"), tmp_path, 0, 1, 2)


def test_a_broken_start_is_kept_too(config, tmp_path):
    config = config("rono", "stop")
    data = paired.dataset()
    data.inputs["text"][:] = np.inf
    method = methods.build(config, paired.CLASSES)
    with pytest.raises(UsageError, match="not finite at step 1;"):
        loop.fit(config, method, data, None, tmp_path)
    assert (tmp_path / "checkpoints" / "last" / "0").is_dir()
