"""What is saved of all rows in the common space, and read again."""

import dataclasses
import json

import numpy as np
import paired
import pytest

from jaxcmr.config import method
from jaxcmr.errors import UsageError
from jaxcmr.storage import numpyfiles
from jaxcmr.train import evaluate, run, stages
from jaxcmr.train.trainer import Trainer
from jaxcmr.types import UNKNOWN, Outputs
from jaxcmr.workdir import embeddings

ONE = np.full((4, 2), 0.5, np.float32)
SETS = {
    "train": paired.dataset(rows=24),
    "validation": paired.held_out(),
    "test": paired.dataset(rows=8, seed=2),
}


def _finished(folder, *modalities):
    """A folder with what `read` needs of a finished run."""
    sections = {name: {} for name in ("train", "method", "encoders")}
    config = {"data": {"modalities": list(modalities)}, **sections}
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "result.json").write_text("{}")
    return folder


def _write(folder, sets, *pieces):
    with embeddings.written(folder, sets) as add:
        for rows in pieces:
            add(rows)


@pytest.fixture
def saved(tmp_path):
    """Four training and two test rows of `image` and `text`, in pieces of 4, 1 and 1."""
    train, test = paired.dataset(rows=4), paired.dataset(rows=2, seed=1)
    train.present["text"] = np.array([True, False, True, False])
    test = dataclasses.replace(test, ids=np.array(["手", "b"]), true_labels=None)
    each = dict.fromkeys(("image", "text"), ONE)
    one = {name: rows[:1] for name, rows in each.items()}
    _write(_finished(tmp_path, "image", "text"), {"train": train, "test": test}, each, one, one)
    return tmp_path


def test_the_rows_of_all_sets_come_back_with_what_is_known_of_them(saved):
    found = embeddings.read(saved)
    assert list(found) == ["image", "text"]
    text = found["text"]
    assert len(text) == 6 and repr(text) == "Embeddings('text', 6 rows of 2)"
    assert text.embeddings.dtype == np.float32 and text.modality == "text"
    assert text.split.tolist() == ["train"] * 4 + ["test"] * 2
    assert text.ids.tolist() == ["row0", "row1", "row2", "row3", "手", "b"]
    train, test = paired.dataset(rows=4), paired.dataset(rows=2, seed=1)
    assert text.labels.tolist() == [*train.labels, *test.labels]
    assert text.true_labels.tolist() == [0, 1, 2, 3, UNKNOWN, UNKNOWN]
    assert text.class_names == ("a", "b", "c", "d")


def test_a_file_says_which_items_exist_and_holds_nothing_of_the_others(saved):
    found = embeddings.read(saved)
    assert found["text"].present.tolist() == [True, False, True, False, True, True]
    expected = [[0.5, 0.5], [0, 0], [0.5, 0.5], [0, 0], [0.5, 0.5], [0.5, 0.5]]
    assert found["text"].embeddings.tolist() == expected
    assert found["image"].present.all() and (found["image"].embeddings == 0.5).all()


def test_rows_stay_on_the_disk_where_devices_can_use_them_as_they_lie(saved):
    rows = embeddings.read(saved)["image"].embeddings
    assert isinstance(rows, np.memmap) and rows.ctypes.data % 64 == 0
    np.testing.assert_array_equal(np.load(saved / "embeddings" / "image.npz")["embeddings"], rows)


def test_each_modality_has_its_own_labels(tmp_path):
    train, test = paired.dataset(rows=4), paired.dataset(rows=4)
    train = train.with_labels(np.array([[0, 3], [1, -1], [2, 1], [3, 0]]))
    each = dict.fromkeys(("image", "text"), ONE)
    _write(_finished(tmp_path, "text", "image"), {"train": train, "test": test}, each, each)
    found = embeddings.read(tmp_path)
    assert found["image"].labels.tolist() == [0, 1, 2, 3, *test.labels]
    assert found["text"].labels.tolist() == [3, -1, 1, 0, *test.labels]


def test_rows_that_end_in_the_middle_leave_the_older_files(saved):
    before = {path.name: path.read_bytes() for path in (saved / "embeddings").iterdir()}
    rows = dict.fromkeys(("image", "text"), -ONE)
    with (
        pytest.raises(KeyboardInterrupt),
        embeddings.written(saved, {"train": paired.dataset(rows=8)}) as add,
    ):
        add(rows)
        raise KeyboardInterrupt
    assert {path.name: path.read_bytes() for path in (saved / "embeddings").iterdir()} == before


def _change(path, **arrays):
    """Puts other arrays into a file; None takes one out."""
    kept = numpyfiles.read_npz(path) | arrays
    np.savez(path, **{name: array for name, array in kept.items() if array is not None})


@pytest.mark.parametrize(
    "arrays, words",
    [
        ({"split": None, "true_labels": None}, r"lacks split, .*kept the test set alone\); start"),
        ({"present": None}, r"lacks present \(it is damaged\); start"),
        ({"labels": np.full(6, 4)}, "labels holds 4"),
        ({"true_labels": np.full(6, -3)}, "true_labels holds -3"),
        ({"embeddings": ONE}, r"is damaged \(embeddings has the shape \[4, 2\]\); start"),
        ({"embeddings": np.full((6, 2), "x")}, "embeddings holds <U1"),
    ],
)
def test_a_file_of_another_form_is_refused(saved, arrays, words):
    _change(saved / "embeddings" / "text.npz", **arrays)
    with pytest.raises(UsageError, match=rf"text\.npz .*{words}"):
        embeddings.read(saved)


def test_a_file_that_is_cut_off_or_missing_is_refused(saved):
    path = saved / "embeddings" / "text.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"cannot be read .*which writes it without training"):
        embeddings.read(saved)
    path.unlink()
    with pytest.raises(UsageError, match=r"has no embeddings/text\.npz, .* start its command"):
        embeddings.read(saved)
    (saved / "result.json").unlink()
    with pytest.raises(UsageError, match="is not finished"):
        embeddings.read(saved)
    with pytest.raises(UsageError, match="holds no run"):
        embeddings.read(saved / "nowhere")


@pytest.mark.parametrize(
    "modality, file",
    [("image", "image"), ("a/b", "a%2Fb"), ("..", "%2E."), ("a%2Fb", "a%252Fb"), ("", "%")],
)
def test_a_modality_of_any_name_has_a_file_in_the_folder(modality, file, tmp_path):
    assert embeddings.file_name(modality) == file
    items = paired.dataset(rows=4)
    items = dataclasses.replace(items, inputs={modality: items.inputs["image"]})
    _write(_finished(tmp_path, modality), {"test": items}, {modality: ONE})
    assert [path.name for path in (tmp_path / "embeddings").iterdir()] == [f"{file}.npz"]
    assert list(embeddings.read(tmp_path)) == [modality]


def test_long_names_get_files_of_their_own(tmp_path):
    names = ("手" * 300 + "a", "手" * 300 + "b")
    items = dataclasses.replace(
        paired.dataset(rows=4), inputs=dict(zip(names, paired.dataset(rows=4).inputs.values()))
    )
    _write(_finished(tmp_path, *names), {"test": items}, dict.fromkeys(names, ONE))
    assert [found.modality for found in embeddings.read(tmp_path).values()] == list(names)


def test_pieces_are_recorded_as_joined_unit_rows_and_handed_on(monkeypatch):
    monkeypatch.setattr(evaluate, "JOINED_ROWS", 2)
    rows = np.random.default_rng(0).normal(size=(3, 2, 5, 4)).astype(np.float32)  # [E, V, N, d]
    given = [Outputs(rows[:, :, :3]), Outputs(rows[:, :, 3:])]
    parts = []
    passed = list(evaluate.recorded(given, paired.dataset(rows=5), "train", parts.append))
    assert all(a is b for a, b in zip(passed, given, strict=True))
    assert [len(part["image"]) for part in parts] == [2, 1, 2]
    found = np.concatenate([part["text"] for part in parts])
    unit = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    expected = np.concatenate(list(unit[:, 1]), 1) / np.sqrt(3)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_row_that_is_not_finite_is_named_by_its_place_in_the_set():
    rows = np.ones((1, 2, 5, 4), np.float32)
    rows[0, 1, 4, 0] = np.nan
    pieces = [Outputs(rows[:, :, :3]), Outputs(rows[:, :, 3:])]
    with pytest.raises(UsageError, match=r"'text' of the train item 'row4' is not finite"):
        list(evaluate.recorded(pieces, paired.dataset(rows=5), "train", lambda rows: None))


@pytest.fixture(scope="module")
def look(tmp_path_factory):
    """Looks at 24 training, 20 validation and 8 test rows by two members without classes.

    Returns the table, the embeddings, and the outputs of the passes set by set.
    """
    config = paired.config()
    config.method, config.ensemble.members = method("pairs"), 2
    folder = _finished(tmp_path_factory.mktemp("run"), "image", "text")
    planned = stages.plan(config, folder)
    trainer = Trainer(planned[-1], paired.CLASSES, SETS["train"], SETS["validation"])
    of_test, predict, state = trainer.predictor(SETS["test"]), trainer._predict, trainer.untrained

    def look(labels, judge_test):
        trainer.config.labels, trainer.config.audit.test = labels, judge_test
        outputs = {"test": of_test(state)}
        sets = iter(("train", "validation"))

        def watched(*args):
            name = next(sets)  # no other set is passed over, and none twice
            outputs[name] = evaluate.joined(predict(*args))
            return iter([outputs[name]])

        trainer._predict = watched
        table = run.look_at_all(trainer, state, SETS, outputs["test"], planned, paired.CLASSES)
        trainer._predict = predict
        return table, embeddings.read(folder), outputs

    return look


@pytest.mark.parametrize(
    "labels, judge_test, judged",
    [("absent", False, None), ("given", False, 44), ("given", True, 52)],
)
def test_one_pass_over_each_set_is_for_the_disk_and_for_the_judge(look, labels, judge_test, judged):
    table, found, outputs = look(labels, judge_test)
    assert (table and len(table)) == judged and list(outputs) == ["test", "train", "validation"]
    for place, name in enumerate(("image", "text")):
        assert found[name].split.tolist() == ["train"] * 24 + ["validation"] * 20 + ["test"] * 8
        for split, part in SETS.items():
            of_set = found[name].split == split
            np.testing.assert_array_equal(found[name].ids[of_set], part.ids)
            rows = outputs[split].embeddings[:, place]
            unit = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
            expected = np.concatenate(list(unit), 1) / np.sqrt(2)
            np.testing.assert_allclose(found[name].embeddings[of_set], expected, atol=1e-6)
