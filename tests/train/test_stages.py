"""Stages: what one leaves to the next, and that no label reaches a run that has none."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import paired
import pytest
from ml_collections import ConfigDict

from jaxcmr import methods, presets
from jaxcmr.config import encoder
from jaxcmr.data import prepare
from jaxcmr.errors import UsageError
from jaxcmr.methods.base import Outputs
from jaxcmr.train import log, loop, stages
from jaxcmr.types import Splits


def _config(members: int = 1, **match) -> ConfigDict:
    """RoMo's two stages on the vectors."""
    config = paired.config()
    config.labels = "absent"
    config.ensemble.members = members
    config.train.epochs = 3
    numbers = presets.ROMO_MATCHING | {"warmup_epochs": 2, "scale": 5.0, "mlm_temperature": 0.3}
    stage = ConfigDict({"continues": False, "labels_left": "mean", "train": {"epochs": 4}})
    stage.method = ConfigDict(numbers | match)
    config.stages, config.stage = ("match",), ConfigDict({"match": stage})
    config.method = ConfigDict(presets.ROMO)
    return config


def _train(config, dataset, folder):
    """What `train_and_evaluate` does between loading and evaluating."""
    _, train, validation, _ = prepare.prepare(Splits(dataset, paired.dataset(rows=20)), config)
    assert validation is None
    prepared = stages.run(config, train, folder)
    method = methods.build(config, prepared.num_classes)
    return prepared, loop.fit(config, method, prepared.train, None, folder)


def _assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("romo")
    return folder, *_train(_config(), paired.dataset(noise=0.0), folder)


def test_the_last_stage_learns_the_labels_that_the_first_one_found(trained):
    folder, prepared, fitted = trained
    assert set(np.unique(prepared.train.labels)) <= set(range(paired.CLASSES))
    assert fitted.best_epoch == 3 and int(fitted.best.step) == int(fitted.last.step)
    lines = log.read(folder / "stages" / "match" / "metrics.jsonl")
    assert "labels accuracy" not in lines[1] and 0 < lines[2]["labels accuracy"] <= 1
    assert lines[1]["ssm"] == 0 < lines[2]["ssm"]
    last = log.read(folder / "metrics.jsonl")[-1]
    assert {"labels accuracy", "labels NMI", "labels ARI", "labels below clip"} <= set(last)


@pytest.mark.parametrize("change", ["shuffled", "absent", "wrong labels"])
def test_no_label_reaches_the_parameters(trained, tmp_path, change):
    dataset = paired.dataset(noise=0.0)
    if change == "wrong labels":
        other = dataset.with_labels((dataset.labels + 1) % paired.CLASSES)
    else:
        truth = dataset.true_labels[::-1].copy() if change == "shuffled" else None
        other = dataclasses.replace(dataset, true_labels=truth)
    _, fitted = _train(_config(), other, tmp_path)
    _assert_equal(trained[2].last.params, fitted.last.params)


def test_a_run_stopped_in_a_stage_goes_on_bit_for_bit(trained, tmp_path, monkeypatch):
    real = log.say_progress

    def stop(line, epochs, left):
        real(line, epochs, left)
        if line["epoch"] == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(log, "say_progress", stop)
        with pytest.raises(KeyboardInterrupt):
            _train(_config(), paired.dataset(noise=0.0), tmp_path)
    _, fitted = _train(_config(), paired.dataset(noise=0.0), tmp_path)
    _assert_equal(trained[2].last.params, fitted.last.params)


def test_members_share_their_clusters_and_vote(tmp_path):
    config = _config(members=2)
    config.stage.match.labels_left = "votes"
    prepared, fitted = _train(config, paired.dataset(noise=0.0), tmp_path)
    assert prepared.train.labels.shape == (48,)
    assert jax.tree.leaves(fitted.last.params)[0].shape[0] == 2


def test_each_modality_may_keep_labels_of_its_own(tmp_path):
    config = _config()
    config.stage.match.labels_left = "per_modality"
    prepared, _ = _train(config, paired.dataset(noise=0.0), tmp_path)
    assert prepared.train.labels.shape == (48, 2)


def test_found_labels_take_the_mean_or_the_majority():
    sure, unsure = jnp.log(jnp.array([0.98, 0.02])), jnp.log(jnp.array([0.45, 0.55]))
    logits = {"image": jnp.stack([sure[None]] + [unsure[None]] * 2)}  # [E, N, K]
    logits["text"] = logits["image"]
    outputs = Outputs({}, logits)
    train = paired.dataset(rows=1)
    assert stages.found_labels(outputs, "mean", train).tolist() == [0]
    assert stages.found_labels(outputs, "votes", train).tolist() == [1]
    absent = dataclasses.replace(
        train, present={"image": np.array([False]), "text": np.array([False])}
    )
    assert stages.found_labels(outputs, "mean", absent).tolist() == [-1]


def test_a_stage_may_continue_from_the_one_before(trained):
    config = _config()
    method = methods.build(config, paired.CLASSES)
    fresh = loop.assemble(config, method, paired.dataset(), None).start
    matched = list(trained[1].states.values())[-1][2]
    went_on = stages.continued(fresh, matched)
    _assert_equal(went_on.params["image"], matched.params["image"])
    _assert_equal(went_on.params["head"], fresh.params["head"])
    assert stages.continued(fresh, None) is fresh


def test_the_number_of_clusters_may_differ_from_that_of_the_classes(tmp_path):
    config = _config()
    config.classes = 7
    prepared, fitted = _train(config, paired.dataset(noise=0.0), tmp_path)
    assert prepared.num_classes == 7
    assert fitted.last.params["head"]["linear2"]["bias"].shape == (1, 7)


def test_a_number_to_be_estimated_needs_a_stage_to_estimate_it_from(tmp_path):
    config = _config()
    config.classes = -1
    with pytest.raises(UsageError, match="no stage comes before"):
        _train(config, paired.dataset(), tmp_path)


def test_a_mistake_in_the_last_stage_is_found_before_the_first_is_trained():
    config = _config()
    config.method.label_loss = "hinge"
    with pytest.raises(UsageError, match="label_loss is 'hinge'"):
        stages.check(config)


def test_an_unknown_kind_of_labels_is_a_sentence():
    config = _config()
    config.stage.match.labels_left = "best"
    with pytest.raises(UsageError, match=r"config\.stage\.match\.labels_left is 'best'"):
        stages.check(config)


def test_a_batch_of_a_stage_larger_than_the_data_is_found_before_any_is_trained():
    config, few = _config(), paired.dataset(rows=20)
    config.train.batch_size, config.stage.match.train.batch_size = 16, 64
    with pytest.raises(UsageError, match=r"batch_size is 64, .* 20 rows"):
        stages.check_data(config, few)


def test_what_does_not_fit_the_data_is_found_before_anything_is_trained():
    few = paired.dataset(rows=60)
    config = _config()
    stages.check_data(config, few)
    config.classes = 61
    with pytest.raises(UsageError, match=r"config\.classes is 61, but there are 60 rows"):
        stages.check_data(config, few)
    config = _config()
    config.encoders.text = encoder("pointnet")
    with pytest.raises(UsageError, match=r"encoders\.text\.name is 'pointnet', .*\[N, 9\]"):
        stages.check_data(config, few)
    config = _config()
    config.stage.match.encoders = {"text": encoder("fc", hidden=(4,)), "embedding_size": 3}
    stages.check_data(config, few)


def test_rows_without_an_item_of_every_modality_have_no_say_in_the_number_of_clusters(monkeypatch):
    train = paired.dataset(rows=6)
    train.present["text"] = np.arange(6) != 1
    rows = np.arange(1.0, 7.0)[None, :, None] * np.array([3.0, 4.0])  # one member
    outputs = Outputs(embeddings={"image": rows, "text": rows}, logits={})
    seen = []
    estimated = lambda features, seed: seen.extend(features) or (3, {3: 1.0})
    monkeypatch.setattr(stages.cluster_number, "estimate", estimated)
    assert stages.estimate(outputs, train) == 3
    assert [units.tolist() for units in seen] == [[pytest.approx([0.6, 0.8])] * 5] * 2
    train.present["image"] = np.arange(6) < 3
    with pytest.raises(UsageError, match="only 2 training rows have an item of every modality"):
        stages.estimate(outputs, train)
