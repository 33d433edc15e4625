"""Cells name files in many ways; one file under many names is one."""

import os
import unicodedata

import pytest

from jaxcmr.data.own.cellfiles import find, same
from jaxcmr.errors import UsageError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    inside = tmp_path / "inside"
    inside.mkdir()
    return inside


@pytest.mark.parametrize(
    "name", ["a b.png", "a[1].png", "a*?.png", "~a.png", "a\\b.png", " a.png", "\u6728.png"]
)
def test_any_name_is_itself(folder, name):
    (folder / name).write_bytes(b"x")
    assert find(folder, name) == folder / name


def test_other_spellings_of_a_path_lead_to_the_file(folder):
    (folder / "img").mkdir()
    path = folder / "img" / unicodedata.normalize("NFD", "caf\u00e9.png")
    path.write_bytes(b"x")
    for cell in (
        "img/caf\u00e9.png", "img\\caf\u00e9.png", " img/caf\u00e9.png ", "./img//caf\u00e9.png",
        "../inside/img/caf\u00e9.png", "~/inside/img/caf\u00e9.png", str(path),
    ):  # fmt: skip
        assert os.path.samefile(find(folder, cell), path), cell


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("none.png", r"there is no file .*inside/none.png$"),
        ("IMG.png", r"there is no file .*IMG.png; did you mean 'img.PNG'\?"),
        ("https://example.org/a", "'https://example.org/a' is an address, not a file; download it"),
        ("file:///a.png", "is an address"),
        (r"C:\pictures\a.png", "is a path of another system; write it relative to the manifest"),
        ("folder", "inside/folder is a folder, not a file"),
        ("a\0b", "cannot be read"),
        ("x" * 5000, "cannot be read|there is no file"),
        ("img.PNG/x.png", "cannot be read|there is no file"),
    ],
)  # fmt: skip
def test_no_file_is_a_sentence_that_says_why(folder, cell, said):
    (folder / "img.PNG").write_bytes(b"x")
    (folder / "folder").mkdir()
    with pytest.raises(UsageError, match=said) as error:
        find(folder, cell)
    assert "\n" not in str(error.value) and len(str(error.value)) < 6000


def test_files_are_numbered_by_content(folder):
    for name, content in (("a", b"one"), ("b", b"two"), ("c", b"one"), ("d", b"three")):
        (folder / name).write_bytes(content)
    (folder / "link").symlink_to(folder / "b")
    paths = [folder / name for name in ("a", "b", "c", "d", "link", "none")]
    other = folder / ".." / "inside" / "d"
    assert same([*paths, None, other]).tolist() == [0, 1, 0, 2, 1, 3, -1, 2]


def test_files_that_only_name_their_numbers_are_different_unless_they_are_one(folder):
    (folder / "other").mkdir()
    paths = [folder / "a.gltf", folder / "other" / "a.gltf"]
    for path in paths:
        path.write_text('{"buffers": [{"uri": "a.bin"}]}')
    assert same([*paths, paths[0]]).tolist() == [0, 1, 0]


def test_a_changed_file_is_read_again(folder):
    (folder / "a").write_bytes(b"one")
    (folder / "b").write_bytes(b"two")
    assert same([folder / "a", folder / "b"]).tolist() == [0, 1]
    (folder / "b").write_bytes(b"one")
    os.utime(folder / "b", ns=(1, 1))
    assert same([folder / "a", folder / "b"]).tolist() == [0, 0]
