"""Labels that are hidden from members in turn: what a member is trained on, and what is told."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import paired
import pytest

from jaxcmr import methods
from jaxcmr.config import method as method_section
from jaxcmr.train import devices, feed, forward, optimizer, state
from jaxcmr.train.step import build_step, method_numbers

ROWS, MEMBERS, FOLDS = 24, 3, 2
ALIVE = np.ones(MEMBERS, bool)


def _config(name="ce", folds=FOLDS, members=MEMBERS):
    config = paired.config()
    config.method = paired.config().method if name == "rono" else method_section(name)
    config.ensemble.members, config.audit.folds = members, folds
    return config


def _stepper(config):
    """Returns `labels -> parameters [E, ...]` after one step on all rows, and what is hidden."""
    method, dataset = methods.build(config), paired.dataset(rows=ROWS)
    rule = optimizer.build(config.optimizer, 1)
    step = build_step(
        method, forward.build(config, method, devices.build(config)), rule, feed.gather,
        steps_per_epoch=1, total_steps=1,
    )  # fmt: skip
    start = lambda: state.create(
        method, rule, dataset.inputs, num_classes=paired.CLASSES, seed=0, members=MEMBERS, rows=ROWS
    )
    numbers = method_numbers(config.method)
    hp = {"method": numbers, "rates": optimizer.rates(config.optimizer, start().params)}

    def after(labels):
        data = feed.whole(dataset.with_labels(labels))
        now, _ = step(start(), data, jnp.arange(ROWS)[None], hp)
        return [np.asarray(leaf) for leaf in jax.tree.leaves(now.params)]

    return after, np.asarray(method.hidden(np.arange(ROWS), ALIVE, numbers)), dataset.labels


def _moved(one, other):
    """Which members have other parameters, `[E]` bool."""
    return np.any([(a != b).reshape(MEMBERS, -1).any(1) for a, b in zip(one, other)], 0)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("mrl", "romo", "rono")]


@pytest.mark.parametrize("name", ["ce", *SLOW])
def test_a_member_is_not_moved_by_the_labels_that_are_hidden_from_it(name):
    after, hidden, labels = _stepper(_config(name))
    before = after(labels)
    for fold, seeing in ((0, [1]), (1, [0, 2])):
        assert 0 < hidden[fold].sum() < ROWS
        for changed in ((labels + 1) % paired.CLASSES, np.full(ROWS, -1)):
            moved = _moved(before, after(np.where(hidden[fold], changed, labels)))
            assert np.flatnonzero(moved).tolist() == seeing


def _hidden(config, rows=1000):
    numbers = method_numbers(config.method)
    alive = np.ones(config.ensemble.members, bool)
    return np.asarray(methods.build(config).hidden(np.arange(rows), alive, numbers))


def test_as_many_members_as_folds_hide_each_label_once():
    hidden = _hidden(_config(folds=5, members=5))
    np.testing.assert_array_equal(hidden.sum(0), 1)
    assert (hidden.sum(1) > 150).all()


def test_more_members_than_folds_share_them():
    hidden = _hidden(_config(folds=2, members=5))
    np.testing.assert_array_equal(hidden[0], hidden[2])
    np.testing.assert_array_equal(hidden[0], hidden[4])
    np.testing.assert_array_equal(hidden[0], ~hidden[1])
    np.testing.assert_array_equal(hidden[1], hidden[3])


def test_the_seed_draws_the_folds():
    one, other = _config(folds=5, members=5), _config(folds=5, members=5)
    np.testing.assert_array_equal(_hidden(one), _hidden(other))
    other.seed = 1
    assert 0.1 < (_hidden(one) & _hidden(other)).sum() / 1000 < 0.3


def test_methods_that_use_no_labels_or_have_folds_of_their_own_stay_as_they_are():
    for name in ("pairs", "matching"):
        assert methods.build(_config(name)).hidden is None
    own = _hidden(_config("mmcd", folds=5, members=5))
    np.testing.assert_array_equal(own, _hidden(_config("mmcd", folds=0, members=5)))
    np.testing.assert_array_equal(own.sum(0), 1)
    assert methods.build(_config("ce", folds=0)).hidden is None


@pytest.mark.parametrize("name", ["ce", pytest.param("mmcd", marks=pytest.mark.slow)])
def test_linked_rows_are_hidden_from_the_same_member_of_a_trainer(name):
    group = np.where(np.arange(ROWS) < 12, np.arange(ROWS) // 2, -1)
    train = dataclasses.replace(paired.dataset(rows=ROWS), links={"group": group})
    config = _config(name, folds=3)
    everyone = np.ones(config.ensemble.members, bool)
    hidden = paired.trainer(config, train=train).hidden(everyone)
    assert hidden.shape == (MEMBERS, ROWS) and hidden.dtype == bool
    np.testing.assert_array_equal(hidden.sum(0), 1)
    np.testing.assert_array_equal(hidden[:, 0:12:2], hidden[:, 1:12:2])
    alone = paired.trainer(config, train=paired.dataset(rows=ROWS)).hidden(everyone)
    np.testing.assert_array_equal(hidden[:, 12:], alone[:, 12:])
    assert (hidden != alone).any()


def test_what_a_trainer_says_of_methods_without_folds():
    trainer = paired.trainer(_config("ce", folds=0))
    assert not trainer.hidden(np.ones(trainer.config.ensemble.members, bool)).any()
    trainer.config = _config("pairs")
    assert trainer.hidden(np.ones(trainer.config.ensemble.members, bool)).all()
