"""The folder of a run: whose it is, and what is refused before anything is written into it."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import paired
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxcmr.data import preparation, prepare
from jaxcmr.data.preparation import learned
from jaxcmr.errors import UsageError
from jaxcmr.types import Splits
from jaxcmr.workdir import folder, trained_on


def _splits(**changed):
    train = dataclasses.replace(paired.dataset(rows=24), **changed)
    test = paired.dataset(rows=12, seed=1)
    return Splits(train=train, test=dataclasses.replace(test, ids=np.char.add("t", test.ids)))


def _claim(workdir, config=None, splits=None, given=None):
    """What a run does with its folder before the first epoch."""
    config, splits = config or paired.config(), splits or _splits()
    record, _, _, rows = prepare.prepare(splits, config)
    with folder.held(workdir):
        folder.check_config(workdir, config, given or config)
        data = trained_on.describe(config, splits, record, rows)
        folder.claim(workdir, config, data, splits, record, rows)


@pytest.fixture(autouse=True)
def no_trial(monkeypatch):
    """Checkpoints are tried in the tests of `series`."""
    monkeypatch.setattr(folder.series, "try_out", lambda folder: None)


@pytest.fixture
def claimed(tmp_path):
    _claim(tmp_path / "run")
    return tmp_path / "run"


def _content(workdir):
    return {path.name: path.read_bytes() for path in workdir.iterdir() if path.is_file()}


def test_a_claimed_folder_says_what_is_trained_on_what(claimed):
    assert set(_content(claimed)) == {
        "config.json", "trained_on.json", "noise.npz", "split.npz"
    }  # fmt: skip
    assert json.loads((claimed / "trained_on.json").read_text())["sets"]["train"]["rows"] == 24


def test_a_run_of_an_older_version_gets_its_preparation_when_it_comes_again(claimed):
    splits = _splits()
    kept = dataclasses.replace(splits, preparation=learned.complete(splits))
    _claim(claimed, splits=kept)
    found = preparation.read(claimed)
    assert found.class_names == splits.train.class_names
    items = splits.test.inputs["text"]
    np.testing.assert_array_equal(found.rows("text", items).items, items)


def test_the_same_run_may_come_again(claimed):
    before = _content(claimed)
    _claim(claimed)
    assert {n: c for n, c in _content(claimed).items() if n.endswith("json")} == {
        n: c for n, c in before.items() if n.endswith("json")
    }


def test_other_data_are_refused_and_nothing_is_overwritten(claimed):
    before, labels = _content(claimed), paired.dataset(rows=24).labels.copy()
    labels[:3] = (labels[:3] + 1) % 4
    with pytest.raises(UsageError, match=r"other data \(changed since: the labels of 3 of its 24"):
        _claim(claimed, splits=_splits(labels=labels))
    assert _content(claimed) == before


def test_labels_that_are_corrected_are_named_even_where_they_change_the_split(claimed):
    """Where no split is given it depends on the labels: then the rows are others, too."""
    splits, train = _splits(), paired.dataset(rows=24)
    labels = train.labels.copy()
    labels[0] = (labels[0] + 1) % 4
    swapped = dataclasses.replace(train, labels=labels).rows([*range(23, -1, -1)])
    with pytest.raises(UsageError, match="the labels of 1 of its 24 rows"):
        _claim(claimed, splits=dataclasses.replace(splits, train=swapped))


def test_items_that_change_while_everything_else_stays_are_refused(claimed):
    train = paired.dataset(rows=24)
    image = train.inputs["image"] + 1
    with pytest.raises(UsageError, match="the items of the modality 'image' of the training set"):
        _claim(claimed, splits=_splits(inputs=dict(train.inputs, image=image)))


def test_a_file_of_noise_that_changes_is_refused(claimed):
    config = paired.config()
    splits = _splits()
    record, _, _, rows = prepare.prepare(splits, config)
    other = dataclasses.replace(record, labels=(record.labels + 1) % 4)
    data = trained_on.describe(config, splits, other, rows)
    with pytest.raises(UsageError, match=r"24 of its 24 labels after the noise of config.noise"):
        folder.claim(claimed, config, data, splits, other, rows)


def test_another_config_is_refused_before_data_are_read(claimed):
    config = paired.config()
    config.optimizer.learning_rate = 0.5
    with pytest.raises(UsageError, match=r"config.optimizer.learning_rate was 0.01 and is 0.5"):
        folder.check_config(claimed, config, config)


def test_a_field_of_another_program_is_shown_cut(claimed):
    found = json.loads((claimed / "config.json").read_text())
    found["train"]["\u4e2d" * 900] = ["a\nb" * 900]
    (claimed / "config.json").write_text(json.dumps(found))
    with pytest.raises(UsageError, match=r"another config: config\.train\.") as refusal:
        _claim(claimed)
    assert len(str(refusal.value)) < 400


def test_a_number_that_other_data_have_chosen_is_not_blamed_on_the_config(claimed):
    given, config = paired.config(), paired.config()
    given.train.batch_size, config.train.batch_size = 0, 12
    folder.check_config(claimed, config, given)
    splits = dataclasses.replace(_splits(), train=_splits().train.rows(np.arange(23)))
    with pytest.raises(UsageError, match="the number of rows of the training set"):
        _claim(claimed, config, splits, given)
    with pytest.raises(UsageError, match=r"config.train.batch_size was 10 and is 12"):
        _claim(claimed, config, _splits(), given)


def test_data_that_have_moved_another_feeding_and_another_mesh_are_fine(claimed):
    config = paired.config()
    config.data.path, config.data.root, config.mesh.data = "/elsewhere", "/root", 1
    config.data.feeding, config.data.resident_bytes = "streamed", 1
    _claim(claimed, config)
    assert json.loads((claimed / "config.json").read_text())["data"]["path"] == "/elsewhere"


def test_places_of_data_are_written_out_for_who_reads_them_from_another_folder(
    tmp_path, monkeypatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    config = paired.config()
    config.data.path = "../table.csv"
    monkeypatch.setenv("JAXCMR_DATA", "sets")
    config.data.corrections = "one.csv,../two.csv"
    _claim(tmp_path / "run", config)
    written = json.loads((tmp_path / "run" / "config.json").read_text())["data"]
    assert written["corrections"] == f"{tmp_path / 'here' / 'one.csv'},{tmp_path / 'two.csv'}"
    monkeypatch.chdir(tmp_path)
    found = folder.read_data_config(tmp_path / "run")
    assert found.path == str(tmp_path / "table.csv")
    assert found.root == str(tmp_path / "here" / "sets")
    assert found.corrections == ""  # no item depends on them
    assert found.modalities == tuple(config.data.modalities)
    monkeypatch.chdir(tmp_path / "here")
    _claim(tmp_path / "run", config)  # and the same command goes on


def test_more_epochs_are_fine_and_fewer_are_refused(claimed, caplog):
    config = paired.config()
    config.train.epochs = 6
    with caplog.at_level("INFO"):
        _claim(claimed, config)
    assert "the run had 4 epochs and is given 6" in caplog.text
    config.train.epochs = 5
    with pytest.raises(UsageError, match=r"a run of 6 epochs, but config.train.epochs is 5; give"):
        _claim(claimed, config)


@pytest.mark.parametrize(
    "name", ["result.json", "noise.npz", "metrics.jsonl", "curves.png", "trained_on.json"]
)
def test_a_persons_file_that_would_be_overwritten_is_not(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=rf"holds {name}, but no config.json of a run"):
        _claim(tmp_path)
    assert _content(tmp_path) == {name: b"mine"}


@pytest.mark.parametrize("name", ["checkpoints", "embeddings", "stages"])
def test_a_persons_folder_of_our_name_is_not_used(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(UsageError, match=f"holds {name}, but no config.json"):
        _claim(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"model_type": "bert"}', b"\xff\xfe", b"7", b"[" * 100_000]
)
def test_a_config_that_is_damaged_or_of_another_program_is_left_alone(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"config.json is not the config of a run"):
        _claim(tmp_path)
    assert _content(tmp_path) == {"config.json": content}


def test_other_files_stay_as_they_are(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "config.partial").write_text("mine, too")
    _claim(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "config.partial").read_text() == "mine, too"


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1"])
def test_a_run_that_cannot_say_what_it_was_trained_on_is_refused(claimed, content):
    (claimed / "trained_on.json").unlink()
    if content is not None:
        (claimed / "trained_on.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"nobody knows what the run in .* was trained on"):
        _claim(claimed)


def test_a_run_that_was_killed_while_it_claimed_its_folder_comes_again(tmp_path, monkeypatch):
    real = folder.files.write_json

    def die(path, content):
        real(path, content)
        raise KeyboardInterrupt

    monkeypatch.setattr(folder.files, "write_json", die)
    with pytest.raises(KeyboardInterrupt):
        _claim(tmp_path)
    assert set(_content(tmp_path)) == {"trained_on.json"}
    monkeypatch.undo()
    _claim(tmp_path)


def test_what_a_killed_run_was_writing_is_removed(tmp_path):
    class Killed(BaseException):
        pass

    def die(*_, **__):
        raise Killed

    (tmp_path / ".mine.partial").write_text("mine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder.files.os, "replace", die)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # nor does a killed run clean up
        with pytest.raises(Killed):
            folder.files.write_text(tmp_path / "result.json", "half")
    assert len(os.listdir(tmp_path)) == 2
    with folder.held(tmp_path):
        assert sorted(os.listdir(tmp_path)) == [".jaxcmr-lock", ".mine.partial"]


def test_a_folder_in_use_is_refused_at_once_and_names_its_user(tmp_path):
    with folder.held(tmp_path / "run"):
        refused = pytest.raises(
            UsageError, match=rf"another run is at work in .*run \(process {os.getpid()} on"
        )
        with refused, folder.held(tmp_path / "run"):
            pass


def test_a_mistake_leaves_no_folder_behind(tmp_path):
    (tmp_path / "mine").mkdir()
    for workdir in (tmp_path / "a" / "b" / "c", tmp_path / "mine"):
        with pytest.raises(UsageError, match="mistake"), folder.held(workdir):
            raise UsageError("mistake")
    assert os.listdir(tmp_path) == ["mine"] and os.listdir(tmp_path / "mine") == []


def test_a_place_that_is_no_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nothing" / "there")
    for workdir, why in (
        (tmp_path / "file", "it is a file"),
        (tmp_path / "file" / "below", "Not a directory"),
        (tmp_path / "link", "File exists"),
        (tmp_path / ("x" * 256), "File name too long"),
        (Path("/proc/none"), "No such file or directory"),
    ):
        refused = pytest.raises(UsageError, match=f"cannot be used: {why}; choose another")
        with refused, folder.held(workdir):
            pass
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


def test_a_folder_that_may_not_be_written_is_one_sentence(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folder.tempfile, "TemporaryFile", refuse)
    refused = pytest.raises(UsageError, match="cannot be used: Permission denied; choose another")
    with refused, folder.held(tmp_path):
        pass


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60
).filter(lambda name: name not in (".", ".."))


@given(NAMES)
@example("[v1]")
@example("a\\b")
@example("n\nl")
@settings(derandomize=True, max_examples=20, deadline=None)
def test_a_folder_of_any_name_is_claimed_and_known_again(tmp_path_factory, name):
    workdir = tmp_path_factory.mktemp("any") / name
    _claim(workdir)
    _claim(workdir)
    config = paired.config()
    config.seed = 1
    with pytest.raises(UsageError, match=r"config.seed was 0 and is 1"):
        _claim(workdir, config)
