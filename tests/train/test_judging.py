"""From the outputs of an ensemble to the table of labels: who judges, neighbors, what is kept."""

import itertools
import json

import jax.numpy as jnp
import numpy as np
import paired
import pytest
from ml_collections import ConfigDict

from jaxcmr.beliefs import linear_judge
from jaxcmr.beliefs.label_errors import softmax
from jaxcmr.config import method, stage
from jaxcmr.retrieval.blocks import one_device
from jaxcmr.train import judging, stages
from jaxcmr.train.judging import Space, joint_embeddings, look, nearest
from jaxcmr.types import Outputs
from jaxcmr.workdir.weights import used_labels


def _at(*degrees):
    radians = np.deg2rad(np.array(degrees, np.float32))
    return np.stack([np.cos(radians), np.sin(radians)], 1)


def _nearest(embeddings, count, queries=None, gallery=None, rows=None, total=None):
    every = np.ones(len(embeddings), bool)
    rows = np.arange(len(embeddings)) if rows is None else np.array(rows)
    space = Space(
        rows,
        embeddings,
        every if queries is None else np.array(queries, bool),
        every if gallery is None else np.array(gallery, bool),
    )
    return nearest(space, total or len(rows), count, one_device()).tolist()


def test_the_nearest_rows_by_hand_nearest_first_without_oneself():
    found = _nearest(_at(0, 10, 30, 90), 2)
    assert found == [[1, 2], [0, 2], [1, 0], [2, 1]]


def test_fewer_rows_than_asked_for_are_filled_up():
    assert _nearest(_at(0, 10, 30), 5) == [
        [1, 2, -1, -1, -1], [0, 2, -1, -1, -1], [1, 0, -1, -1, -1],
    ]  # fmt: skip
    assert _nearest(_at(0), 2) == [[-1, -1]]


def test_a_copy_is_a_neighbor_and_oneself_is_none():
    assert _nearest(_at(0, 0, 50), 2) == [[1, 2], [0, 2], [0, 1]]
    five = _nearest(_at(0, 0, 0, 0, 0, 70), 2)
    for row, neighbors in enumerate(five[:5]):
        assert row not in neighbors and len(set(neighbors)) == 2 and max(neighbors) < 5


def test_rows_that_are_not_in_the_gallery_find_others_and_are_not_found():
    found = _nearest(_at(0, 10, 30, 40), 2, gallery=[1, 0, 1, 1])
    assert found == [[2, 3], [0, 2], [3, 0], [2, 0]]


def test_rows_have_the_numbers_of_the_table():
    found = _nearest(_at(0, 10, 30), 2, queries=[1, 0, 1], rows=[2, 5, 6], total=8)
    none = [-1, -1]
    assert found == [none, none, [5, 6], none, none, none, [5, 2], none]


def test_similarities_are_means_over_members_of_the_sums_over_modalities():
    drawn = np.random.default_rng(0).normal(size=(3, 2, 5, 4)).astype(np.float32)
    drawn[:, 1, 2] = 0  # a missing item
    units = drawn / np.maximum(np.linalg.norm(drawn, axis=-1, keepdims=True), 1e-9)
    sums = units.sum(1)
    sums /= np.linalg.norm(sums, axis=-1, keepdims=True)
    expected = np.mean([member @ member.T for member in sums], 0)
    joined = joint_embeddings(drawn)
    assert joined.shape == (5, 12)
    np.testing.assert_allclose(joined @ joined.T / 3, expected, atol=1e-6)


def _outputs(rows, with_logits=True):
    rng = np.random.default_rng(rows)
    logits = rng.normal(size=(2, 2, rows, 3)).astype(np.float32) if with_logits else None
    return Outputs(rng.normal(size=(2, 2, rows, 4)).astype(np.float32), logits)


def _look(pieces, given, hidden=None):
    rows = len(given)
    hidden = np.zeros((2, rows), bool) if hidden is None else hidden
    return look(iter(pieces), np.ones((2, rows), bool), hidden, np.array(given))


def test_pieces_are_looked_at_as_one():
    first, second = _outputs(5), _outputs(3)
    whole = Outputs(*(np.concatenate(pair, 2) for pair in zip(
        (first.embeddings, first.logits), (second.embeddings, second.logits)
    )))  # fmt: skip
    hidden = np.arange(16).reshape(2, 8) % 3 == 0
    apart, together = _look([first, second], [0] * 8, hidden), _look([whole], [0] * 8, hidden)
    for ours, theirs in zip((*apart[0], *apart[1]), (*together[0], *together[1])):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert apart[1].queries.all() and apart[1].gallery.all()


def test_without_classes_there_are_no_votes_and_all_look_for_neighbors():
    cast, space = _look([_outputs(4, with_logits=False)], [0, 1, 2, -1])
    assert cast is None and space.queries.all() and len(space.rows) == 4


def test_of_many_rows_the_most_suspect_look_and_evenly_spread_ones_are_found(monkeypatch):
    monkeypatch.setattr(judging, "COMPARED", 10)
    given = np.arange(40) % 3
    logits = 9.0 * np.eye(3)[given]
    wrong = [3, 7, 21, 22, 38]
    logits[wrong] = 9.0 * np.eye(3)[(given[wrong] + 1) % 3]
    outputs = Outputs(
        _outputs(40).embeddings, np.broadcast_to(logits, (2, 2, 40, 3)).astype(np.float32)
    )
    _, space = _look([outputs], given)
    assert space.rows[space.gallery].tolist() == list(range(0, 40, 4))
    queries = space.rows[space.queries]
    assert len(queries) == 10 and set(wrong) <= set(queries.tolist())
    assert len(space.embeddings) == len(space.rows) == len(space.queries)


def _plan(tmp_path, first="", labels="given", start_from=""):
    config = paired.config()
    config.labels, config.start_from = labels, start_from
    if labels == "absent":
        config.method = method("romo")
    if first:
        config.stages = ("first", "main")
        config.stage = ConfigDict({"first": stage(method(first), epochs=1)})
    return stages.plan(config, tmp_path)


def test_labels_were_taught_before_where_a_stage_uses_them(tmp_path):
    before = lambda *arguments: stages.taught_before(_plan(tmp_path, *arguments))
    assert not before()
    assert not before("pairs", "given", "first")
    assert before("ce") and before("ce", "given", "first")
    assert not before("matching", "absent")


def _run_folder(folder, **config):
    folder.mkdir(parents=True)
    whole = {"stages": ["main"], "stage": {}} | config
    (folder / "config.json").write_text(json.dumps(whole if config else {}))
    return folder


def test_labels_were_taught_before_where_the_run_that_one_starts_from_used_them(tmp_path):
    ce, pairs = {"method": {"name": "ce"}}, {"method": {"name": "pairs"}}
    taught = _run_folder(tmp_path / "ce", labels="given", **ce)
    not_taught = _run_folder(tmp_path / "pairs", labels="given", **pairs)
    absent = _run_folder(tmp_path / "absent", labels="absent", **ce)
    damaged = _run_folder(tmp_path / "damaged")
    parts = {"stage": {"one": pairs, "two": ce}, "stages": ["one", "two", "main"]}
    staged = _run_folder(tmp_path / "staged", labels="given", **parts, **ce)
    expected = {
        taught: True,
        not_taught: False,
        absent: False,
        damaged: True,
        tmp_path / "nowhere": True,
        staged / "stages" / "one": False,
        staged / "stages" / "two": True,
        staged / "stages" / "three": True,
    }
    for folder, used in expected.items():
        assert used_labels(folder) == used, folder
        assert stages.taught_before(_plan(tmp_path, start_from=str(folder))) == used


SETS = {"train": paired.dataset(rows=30), "validation": paired.dataset(rows=8, seed=1)}


@pytest.fixture(scope="module")
def trainer():
    """Three members, each of which has not seen a third of too few labels for linear judges."""
    config = paired.config()
    config.method = method("ce")
    config.ensemble.members = config.audit.folds = 3
    return paired.trainer(config, train=SETS["train"], validation=SETS["validation"])


def _believe(trainer, alive=(True, True, True), taught_before=False):
    state = trainer.untrained.replace(alive=jnp.array(alive))
    pieces = itertools.chain.from_iterable(trainer.pieces(state).values())
    return judging.believe(trainer, state, pieces, SETS, paired.CLASSES, taught_before)


def test_rows_are_judged_by_the_members_that_were_not_taught_their_label(trainer):
    table = _believe(trainer)
    assert table.out_of_fold.all() and table.about["folds"] == table.about["members"] == 3
    logits = trainer.predict(trainer.untrained).logits  # [E, V, N, K]
    hidden = trainer.hidden(np.ones(trainer.config.ensemble.members, bool))
    for row in range(30):
        (member,) = np.flatnonzero(hidden[:, row])
        expected = softmax(logits[member, :, row]).mean(0)
        np.testing.assert_allclose(table.raw_predictions[row], expected, atol=1e-5)
    np.testing.assert_array_equal(table.member_classes[:30], logits.mean(1).argmax(-1).T)
    np.testing.assert_array_equal(table.modality_classes[:30], logits.mean(0).argmax(-1).T)


def test_the_rows_of_all_sets_keep_their_order_labels_and_truth(trainer):
    table = _believe(trainer)
    of_sets = lambda field: np.concatenate([getattr(part, field) for part in SETS.values()])
    np.testing.assert_array_equal(table.ids, of_sets("ids"))
    np.testing.assert_array_equal(table.given, of_sets("labels"))
    np.testing.assert_array_equal(table.true, of_sets("true_labels"))
    assert table.split.tolist() == ["train"] * 30 + ["validation"] * 8
    assert table.class_names == tuple("abcd") and table.modalities == ("image", "text")
    assert (table.neighbors != np.arange(38)[:, None]).all()
    assert table.neighbors.min() >= 0 and table.neighbors.max() < 38


def test_labels_that_are_hidden_from_dead_members_alone_are_judged_in_sample(trainer):
    table, hidden = (
        _believe(trainer, (True, False, True)),
        trainer.hidden(np.ones(trainer.config.ensemble.members, bool)),
    )
    np.testing.assert_array_equal(table.out_of_fold[:30], hidden[[0, 2]].any(0))
    assert table.out_of_fold[30:].all() and not table.out_of_fold.all()
    assert table.member_classes.shape == (38, 2) and table.about["members"] == 2


def test_what_was_taught_before_is_judged_in_sample_unless_vectors_have_a_judge(
    trainer, monkeypatch
):
    table = _believe(trainer, taught_before=True)
    assert not table.out_of_fold[:30].any() and table.out_of_fold[30:].all()
    monkeypatch.setattr(linear_judge, "FEWEST", 5)
    table = _believe(trainer, taught_before=True)
    assert table.out_of_fold.all()


def test_a_state_is_judged_alike_each_time(trainer):
    one, other = _believe(trainer), _believe(trainer)
    for name in ("predictions", "probabilities", "transition", "neighbors", "agreement"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
