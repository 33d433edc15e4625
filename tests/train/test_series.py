"""Checkpoints in folders of any name, and on disks that refuse them."""

import os
import stat
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.errors import UsageError
from jaxcmr.storage import paths
from jaxcmr.workdir import series

# What a folder may be called: everything but "/" and the name of nothing, at most 255 bytes.
NAMES = (
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40)
    | st.text(r"[]*?\~%#{}$ .-:" + "\n\"'", min_size=1, max_size=12)
).filter(lambda name: name not in (".", ".."))


@pytest.mark.parametrize(
    "name", ["[v1]", "a*b", "a\\b", "\udcff", "n\nl", "x" * 255, "gs", " ", "~"]
)
def test_checkpoints_are_read_back_from_a_folder_of_any_name(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (tmp_path / "aXb").mkdir()  # what a pattern would find instead
    series.try_out(folder)
    assert os.listdir(folder) == []


@given(NAMES)
@settings(derandomize=True, max_examples=12, deadline=None)
def test_checkpoints_are_read_back_from_a_drawn_name(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("any") / name
    series.try_out(folder)
    assert os.listdir(folder) == []


def test_a_plain_path_stays_and_another_is_the_same_folder(tmp_path):
    with paths.plain(tmp_path) as place:
        assert place == tmp_path.resolve()
    (tmp_path / "[v1]").mkdir()
    with paths.plain(tmp_path / "[v1]") as place:
        assert "[" not in str(place)
        (place / "file").write_text("text")
    assert (tmp_path / "[v1]" / "file").read_text() == "text"


def test_a_folder_that_looks_like_a_remote_store_is_a_folder(monkeypatch):
    with paths.plain(Path("/tmp")) as place:
        assert place == Path("/tmp")
    monkeypatch.setattr(paths, "REMOTE", ("/tmp",))
    with paths.plain(Path("/tmp")) as place:
        assert not str(place).startswith("/tmp")


def test_where_open_folders_have_no_path_a_link_takes_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "DESCRIPTORS", tmp_path / "none")
    (tmp_path / "a*b").mkdir()
    with paths.plain(tmp_path / "a*b") as place:
        (place / "file").write_text("text")
        assert place.is_symlink()
    assert (tmp_path / "a*b" / "file").read_text() == "text" and not place.parent.exists()


def test_what_a_killed_trial_has_left_is_not_in_the_way(tmp_path):
    (tmp_path / ".trial" / "0").mkdir(parents=True)
    series.try_out(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_checkpoint_that_does_not_come_back_is_one_sentence(tmp_path, monkeypatch):
    def lose(*_, **__):
        raise FileNotFoundError("no metadata")

    monkeypatch.setattr(ocp.CheckpointManager, "restore", lose)
    with pytest.raises(UsageError, match=r"cannot be read back \(no metadata\); choose another"):
        series.try_out(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "error, advice",
    [
        (ValueError("RESOURCE_EXHAUSTED: [OS error 28: ENOSPC No space left on device]"), "room"),
        (PermissionError(13, "Permission denied"), "choose a folder that can be written"),
        (ValueError("Destination exists already"), "choose a folder that can be written"),
    ],
)
def test_only_for_a_full_disk_the_advice_is_to_make_room(tmp_path, error, advice):
    with pytest.raises(UsageError, match=advice), series.writing(tmp_path):
        raise error


def test_a_file_in_the_place_of_the_folder_is_one_sentence(tmp_path):
    (tmp_path / "last").write_text("mine")
    with (
        pytest.raises(UsageError, match="last cannot be written"),
        series.opened(tmp_path / "last"),
    ):
        pass
    assert (tmp_path / "last").read_text() == "mine"


def test_other_files_among_checkpoints_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "folder of mine").mkdir()
    with series.opened(tmp_path) as opened:
        state = ocp.args.StandardSave({"a": np.arange(2)})
        opened.manager.save(3, args=ocp.args.Composite(state=state))
    with series.opened(tmp_path) as opened:
        assert list(opened.manager.all_steps()) == [3]
    assert stat.S_ISREG((tmp_path / "notes.txt").stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["3", "folder of mine", "notes.txt"]
