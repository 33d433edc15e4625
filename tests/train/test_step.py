"""The step: members, batches, keys, and the equality of its ways of being called."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import paired
import pytest

from jaxcmr import methods
from jaxcmr.config import method as method_section
from jaxcmr.errors import UsageError
from jaxcmr.methods.base import Method, Outputs
from jaxcmr.train import devices, feed, forward, optimizer, state
from jaxcmr.train.step import build_step, method_numbers


def _run(config, dataset, method=None, steps=(4,)):
    """Runs calls of the given numbers of steps from a fresh state; returns state and metrics."""
    method = method or methods.build(config)
    per_epoch = len(dataset) // config.train.batch_size
    total = per_epoch * config.train.epochs
    rule = optimizer.build(config.optimizer, total)
    data = feed.whole(dataset)
    now = state.create(
        method, rule, data.inputs, num_classes=paired.CLASSES, seed=config.seed,
        members=config.ensemble.members, rows=len(dataset),
    )  # fmt: skip
    hp = {
        "method": method_numbers(config.method),
        "rates": optimizer.rates(config.optimizer, now.params),
    }
    step = build_step(
        method,
        forward.build(config, method, devices.build(config)),
        rule,
        feed.gather,
        steps_per_epoch=per_epoch,
        total_steps=total,
    )
    key = jax.random.fold_in(now.key, state.DATA_STREAM)
    done, calls = 0, []
    for count in steps:
        order = feed.epoch_order(key, done // per_epoch, len(dataset))
        batches = order[: per_epoch * config.train.batch_size].reshape(per_epoch, -1)
        now, terms = step(now, data, batches[done % per_epoch :][:count], hp)
        calls.append(terms)
        done += count
    return now, jax.tree.map(lambda *parts: np.concatenate(parts), *calls)


def _leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_every_member_owned_leaf_has_a_member_axis_also_for_one_member():
    now, terms = _run(paired.config(), paired.dataset())
    for leaf in _leaves((now.params, now.model_state, now.opt_state)):
        assert leaf.shape[0] == 1
    assert all(values.shape == (4, 1) for values in terms.values())


def test_one_call_of_k_steps_equals_k_calls():
    config, dataset = paired.config(), paired.dataset()
    together, one = _run(config, dataset, steps=(4,))
    apart, two = _run(config, dataset, steps=(1, 2, 1))
    for a, b in zip(_leaves(together.params), _leaves(apart.params)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(one["loss"], two["loss"], rtol=1e-5)


def test_a_member_of_an_ensemble_equals_the_model_trained_alone():
    config, dataset = paired.config(), paired.dataset()
    alone, _ = _run(config, dataset)
    config.ensemble.members = 3
    ensemble, terms = _run(config, dataset)
    for one, three in zip(_leaves(alone.params), _leaves(ensemble.params)):
        np.testing.assert_allclose(one[0], three[0], rtol=1e-4, atol=1e-6)
        assert not np.allclose(three[0], three[1])
    assert terms["loss"].shape == (4, 3)


def test_training_reduces_the_loss():
    config = paired.config()
    config.train.epochs = 40
    _, terms = _run(config, paired.dataset(noise=0.0), steps=(4,) * 40)
    assert terms["pair"][-4:].mean() < 0.7 * terms["pair"][:4].mean()
    assert terms["crc"][-4:].mean() < 0.5 * terms["crc"][:4].mean()


def test_true_labels_never_reach_the_step():
    config, dataset = paired.config(), paired.dataset()
    shuffled = dataclasses.replace(dataset, true_labels=dataset.true_labels[::-1].copy())
    absent = dataclasses.replace(dataset, true_labels=None)
    expected = _leaves(_run(config, dataset)[0].params)
    for other in (shuffled, absent):
        for a, b in zip(expected, _leaves(_run(config, other)[0].params)):
            np.testing.assert_array_equal(a, b)


def test_a_seed_repeats_itself_and_another_seed_does_not():
    config, dataset = paired.config(), paired.dataset()
    first, again = _run(config, dataset)[0], _run(config, dataset)[0]
    for a, b in zip(_leaves(first.params), _leaves(again.params)):
        np.testing.assert_array_equal(a, b)
    config.seed = 1
    other = _run(config, dataset)[0]
    assert not np.allclose(_leaves(first.params)[0], _leaves(other.params)[0])


@pytest.mark.parametrize("name", methods.METHODS)
def test_every_number_of_a_method_is_an_array_that_the_step_takes(name):
    numbers = method_numbers(method_section(name))
    assert set(numbers) == set(methods.METHODS[name].numbers)
    assert all(isinstance(value, jax.Array) for value in numbers.values())


def test_another_value_of_a_number_compiles_nothing():
    trainer = paired.trainer(paired.config())
    state, *_ = trainer.run_epoch(trainer.untrained, 0, {})
    compiled = trainer._step._cache_size()
    trainer._hp["method"]["tau1"] = trainer._hp["method"]["tau1"] * 2
    trainer.run_epoch(state, 1, {})
    assert trainer._step._cache_size() == compiled == 1


def _counting_method(config) -> Method:
    """A method whose vote counts the visits of each row, and whose targets are numbers of members.

    The targets come from the vote, so the losses show which member got which.
    """
    inner = methods.build(config)

    def vote(outputs: Outputs, alive, beliefs, batch, progress, hp):
        members = len(alive)
        visits = beliefs["visits"].at[batch.index].add(1)
        targets = jnp.broadcast_to(jnp.arange(members)[:, None], (members, len(batch.index)))
        return {"visits": visits}, targets.astype(jnp.float32)

    def objective(outputs, batch, targets, progress, hp):
        return {"number": targets + 0.0 * outputs.embeddings[0].sum(-1)}

    rows = lambda rows, num_classes: {"visits": jnp.zeros(rows, jnp.int32)}
    return inner._replace(beliefs=rows, vote=vote, losses=objective)


def test_a_loss_term_by_modality_is_refused():
    method = methods.build(paired.config())
    by_modality = lambda outputs, *_: {"label": outputs.embeddings.sum(-1)}  # [V, B]
    words = r"'label' .* has the shape \(2, 10\), but it must be \(10,\), one value a pair"
    with pytest.raises(UsageError, match=words):
        _run(paired.config(), paired.dataset(), method._replace(losses=by_modality))


def test_an_epoch_visits_every_row_once_and_votes_reach_their_member():
    config, dataset = paired.config(), paired.dataset(rows=40)
    config.ensemble.members = 3
    method = _counting_method(config)
    now, terms = _run(config, dataset, method, steps=(4,))
    np.testing.assert_array_equal(now.beliefs["visits"], np.ones(40))
    np.testing.assert_array_equal(terms["number"], np.tile([0.0, 1.0, 2.0], (4, 1)))


def test_epochs_come_in_different_orders_that_depend_on_key_and_epoch_alone():
    key = jax.random.key(3)
    first, second = (feed.epoch_order(key, jnp.int32(epoch), 50) for epoch in (0, 1))
    np.testing.assert_array_equal(first, feed.epoch_order(key, jnp.int32(0), 50))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(np.sort(first), np.arange(50))


def test_fillers_are_masked():
    data = feed.whole(paired.dataset(rows=8))
    batch = feed.gather(data, jnp.array([3, -1, 5]))
    np.testing.assert_array_equal(batch.mask, [True, False, True])
    assert batch.labels.shape == batch.present.shape == (2, 3)
    np.testing.assert_array_equal(batch.labels[:, ::2], data.labels[:, [3, 5]])


def test_modalities_lie_in_alphabetical_order_whatever_the_data_set_says():
    dataset = paired.dataset(rows=4)
    labels = np.array([[0, 1], [2, 3], [0, 0], [1, 1]])  # by "text", then by "image"
    inputs = {name: dataset.inputs[name] for name in ("text", "image")}
    present = {"text": np.array([True, False, True, True])}
    mixed = dataclasses.replace(dataset, inputs=inputs, labels=labels, present=present)
    batch = feed.gather(feed.whole(mixed), jnp.array([1, 0]))
    assert batch.labels.tolist() == [[3, 1], [2, 0]]
    assert batch.present.tolist() == [[True, True], [False, True]]


def test_batches_know_the_first_row_that_a_row_is_linked_to():
    dataset = paired.dataset(rows=40)
    assert feed.whole(dataset).group is None
    linked = dataclasses.replace(dataset, links={"image": np.arange(40) // 2})
    batch = feed.gather(feed.whole(linked), jnp.array([3, 7]))
    assert batch.group.tolist() == [2, 6] and batch.group.dtype == jnp.int32


def test_cross_entropy_trains_on_the_same_loop():
    config = paired.config()
    config.method = method_section("ce")
    config.train.epochs = 20
    _, terms = _run(config, paired.dataset(noise=0.0), steps=(4,) * 20)
    assert terms["ce"][-1, 0] < 0.5 * terms["ce"][0, 0]
