"""Stages: what one leaves to the next, and that no label reaches a run that has none."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import paired
import pytest
from ml_collections import ConfigDict

from jaxcmr.config import check, encoder, method, stage
from jaxcmr.data import prepare
from jaxcmr.errors import UsageError
from jaxcmr.train import log, run, stages
from jaxcmr.types import Outputs, Splits
from jaxcmr.workdir.weights import Weights


def _config(members: int = 1, **match) -> ConfigDict:
    """RoMo's two stages on the vectors."""
    config = paired.config()
    config.labels = "absent"
    config.ensemble.members = members
    config.train.epochs = 3
    numbers = {"warmup_epochs": 2, "scale": 5.0, "pair_temperature": 0.3} | match
    matching = stage(method("matching", **numbers), epochs=4, pseudo_labels="mean")
    config.stages, config.stage = ("match", "main"), ConfigDict({"match": matching})
    config.method = method("romo")
    return config


def _train(config, dataset, folder):
    """What `train_and_evaluate` does between loading and reporting."""
    test = paired.dataset(rows=20)
    _, train, validation, _ = prepare.prepare(Splits(dataset, test), config)
    assert validation is None
    classes = config.classes or paired.CLASSES
    return run.train_stages(stages.plan(config, folder), classes, train, None, test, {})


def _assert_equal(one, other):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("romo")
    return folder, _train(_config(), paired.dataset(noise=0.0), folder)


def test_the_last_stage_learns_the_labels_that_the_first_one_found(trained):
    folder, found = trained
    assert found.fit.best_epoch == 3 and int(found.fit.best.step) == int(found.fit.last.step)
    assert set(found.scores["stages"]) == {"match"}
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
    found = _train(_config(), other, tmp_path)
    _assert_equal(trained[1].fit.last.params, found.fit.last.params)


def test_a_run_stopped_in_a_stage_goes_on_bit_for_bit(trained, tmp_path, monkeypatch):
    real = log.log_progress

    def stop(line, epochs, left):
        real(line, epochs, left)
        if line["epoch"] == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(log, "log_progress", stop)
        with pytest.raises(KeyboardInterrupt):
            _train(_config(), paired.dataset(noise=0.0), tmp_path)
    found = _train(_config(), paired.dataset(noise=0.0), tmp_path)
    _assert_equal(trained[1].fit.last.params, found.fit.last.params)


def test_members_share_their_clusters_and_vote(tmp_path):
    config = _config(members=2)
    config.stage.match.pseudo_labels = "votes"
    found = _train(config, paired.dataset(noise=0.0), tmp_path)
    assert jax.tree.leaves(found.fit.last.params)[0].shape[0] == 2


def test_each_modality_may_have_pseudo_labels_of_its_own(tmp_path):
    config = _config()
    config.stage.match.pseudo_labels = "per_modality"
    found = _train(config, paired.dataset(noise=0.0), tmp_path)
    assert found.fit.best_epoch == 3
    logits = np.zeros((1, 2, 3, 2))  # [E, V, N, K]; alphabetically: image, text
    logits[0, 0, :, 0], logits[0, 1, :, 1] = 1, 1
    train = paired.dataset(rows=3)
    reversed_order = {name: train.inputs[name] for name in ("text", "image")}
    train = dataclasses.replace(train, inputs=reversed_order, present={"text": np.arange(3) > 0})
    labels = stages.pseudo_labels(Outputs(None, logits), "per_modality", train)
    assert labels.tolist() == [[-1, 0], [1, 0], [1, 0]]  # columns as the data set names them


def test_pseudo_labels_take_the_mean_or_the_majority():
    sure, unsure = jnp.log(jnp.array([0.98, 0.02])), jnp.log(jnp.array([0.45, 0.55]))
    logits = jnp.stack([jnp.stack([member[None]] * 2) for member in (sure, unsure, unsure)])
    outputs = Outputs(None, logits)  # [E, V, N, K]
    train = paired.dataset(rows=1)
    assert stages.pseudo_labels(outputs, "mean", train).tolist() == [0]
    assert stages.pseudo_labels(outputs, "votes", train).tolist() == [1]
    absent = dataclasses.replace(
        train, present={"image": np.array([False]), "text": np.array([False])}
    )
    assert stages.pseudo_labels(outputs, "mean", absent).tolist() == [-1]


def _states(members_before: int, members: int):
    """The states of a matching stage, its members numbered, and of a RoMo that is to follow."""
    config = _config(members_before)
    config.stages, config.method = ("main",), method("matching")
    before = paired.trainer(config).untrained
    number = lambda leaf: leaf * 0 + jnp.arange(members_before).reshape(-1, *[1] * (leaf.ndim - 1))
    config = _config(members)
    config.stages = ("main",)
    numbered = before.replace(params=jax.tree.map(number, before.params))
    return numbered, paired.trainer(config).untrained


def _weights(state, alive):
    return Weights(state.params, state.model_state, np.array(alive))


def test_a_stage_may_start_from_an_earlier_one():
    before, fresh = _states(2, 2)
    started = stages.continued(fresh, _weights(before, [True, True]))
    _assert_equal(started.params["image"], before.params["image"])
    _assert_equal(started.params["head"], fresh.params["head"])
    assert started.alive.tolist() == [True, True]


def test_of_more_members_the_first_living_ones_go_on():
    before, fresh = _states(3, 2)
    weights = _weights(before, [False, True, True])
    started = stages.continued(fresh, weights)
    kernel = jax.tree.leaves(started.params["image"])[0]
    assert kernel[0].max() == 1 and kernel[1].max() == 2 and started.alive.tolist() == [True, True]
    few = stages.continued(fresh, _weights(before, [False, False, True]))
    assert few.alive.tolist() == [True, False]


def test_the_number_of_clusters_may_differ_from_that_of_the_classes(tmp_path):
    config = _config()
    config.classes = 7
    found = _train(config, paired.dataset(noise=0.0), tmp_path)
    assert found.classes == 7
    assert found.fit.last.params["head"]["linear2"]["bias"].shape == (1, 7)


def test_a_number_to_be_estimated_needs_a_stage_to_estimate_it_from(tmp_path):
    config = _config()
    config.classes = -1
    with pytest.raises(UsageError, match="no stage comes before"):
        _train(config, paired.dataset(), tmp_path)


def test_an_unknown_kind_of_pseudo_labels_is_a_sentence():
    config = _config()
    config.stage.match.pseudo_labels = "best"
    with pytest.raises(UsageError, match=r"config\.stage\.match\.pseudo_labels is 'best'"):
        check(config)


def test_a_mistake_in_any_stage_is_found_before_one_is_trained(tmp_path):
    config = _config()
    config.mesh.member = 7
    with pytest.raises(UsageError, match=r"config\.mesh\.member is 7"):
        stages.plan(config, tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_batch_of_a_stage_larger_than_the_data_is_found_before_any_is_trained():
    config, few = _config(), paired.dataset(rows=20)
    config.train.batch_size, config.stage.match.train.batch_size = 16, 64
    with pytest.raises(UsageError, match=r"batch_size is 64, .* 20 rows"):
        stages.check_data(_plan(config), few)


def _plan(config):
    return stages.plan(config, Path("nowhere"))


def test_what_does_not_fit_the_data_is_found_before_anything_is_trained():
    few = paired.dataset(rows=60)
    config = _config()
    stages.check_data(_plan(config), few)
    config.classes = 61
    with pytest.raises(UsageError, match=r"config\.classes is 61, but there are 60 rows"):
        stages.check_data(_plan(config), few)
    config = _config()
    config.encoders.text = encoder("pointnet")
    with pytest.raises(UsageError, match=r"encoders\.text\.name is 'pointnet', .*\[N, 9\]"):
        stages.check_data(_plan(config), few)
    config = _config()
    config.stage.match.encoders = {"text": encoder("fc", hidden=(4,)), "embedding_size": 3}
    stages.check_data(_plan(config), few)


def test_rows_without_an_item_of_every_modality_do_not_count_for_the_number_of_clusters(
    monkeypatch,
):
    train = paired.dataset(rows=6)
    train.present["text"] = np.arange(6) != 1
    rows = np.arange(1.0, 7.0)[None, None, :, None] * np.array([3.0, 4.0])  # one member
    outputs = Outputs(embeddings=np.concatenate([rows, rows], 1))
    seen = []
    estimated = lambda features, seed: seen.extend(features) or (3, {3: 1.0})
    monkeypatch.setattr(stages.cluster_scores, "number_of_clusters", estimated)
    assert stages.estimate_classes(outputs, train) == 3
    assert [units.tolist() for units in seen] == [[pytest.approx([0.6, 0.8])] * 5] * 2
    train.present["image"] = np.arange(6) < 3
    with pytest.raises(UsageError, match="only 2 training rows have an item of every modality"):
        stages.estimate_classes(outputs, train)
