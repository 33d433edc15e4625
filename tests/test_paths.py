"""Paths as people write them, and users without a home or a cache."""

import os
import pwd

import pytest

from jaxcmr.data import cache
from jaxcmr.errors import UsageError
from jaxcmr.storage import paths


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """No cache but that of a home folder; no temporary cache left by another test."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("JAXCMR_DATA", raising=False)
    paths.temporary_cache.cache_clear()
    yield
    paths.temporary_cache.cache_clear()


@pytest.fixture
def homeless(monkeypatch):
    """A user whom neither the environment nor the system knows, as in many containers."""

    def unknown(user):
        raise KeyError(user)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def _read_only(monkeypatch, folder):
    """Lets no file be made below a folder: root, whom the tests may run as, may write anywhere."""
    real = os.open

    def refuse(path, flags, *more, **fields):
        if str(path).startswith(str(folder)) and flags & (os.O_WRONLY | os.O_RDWR):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *more, **fields)

    monkeypatch.setattr(os, "open", refuse)


def test_a_tilde_is_the_home_folder(tmp_path):
    assert paths.expanded("~/runs/a") == tmp_path / "home" / "runs" / "a"
    assert paths.expanded("~") == tmp_path / "home"


@pytest.mark.parametrize("name", ["a~b", "runs/~", "~nobody-of-this-name/x", "./~/x", "[v1]", "*"])
def test_other_paths_stay_as_they_are(name):
    assert str(paths.expanded(name)) == str(paths.Path(name))


def test_a_tilde_without_a_home_is_one_sentence(homeless):
    with pytest.raises(UsageError, match="~/runs begins with ~, but there is no home folder"):
        paths.expanded("~/runs")
    assert str(paths.expanded("runs")) == "runs"


def test_the_cache_is_made_where_it_is_missing(tmp_path, monkeypatch):
    assert paths.user_cache() == tmp_path / "home" / ".cache" / "jaxcmr"
    assert paths.user_cache().is_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", "~/elsewhere")
    assert paths.user_cache() == tmp_path / "home" / "elsewhere" / "jaxcmr"


def test_without_a_home_a_folder_that_ends_with_the_process_takes_the_caches_place(
    homeless, caplog
):
    assert paths.lasting_cache() is None
    with caplog.at_level("WARNING"):
        folder = cache.data_root("")
    assert folder == paths.user_cache() and folder.is_dir()
    assert paths.writable(cache.prepared_folder(folder))
    assert caplog.text.count("set $XDG_CACHE_HOME") == 1


def test_a_cache_that_is_a_file_is_none(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert paths.lasting_cache() is None and paths.user_cache() == paths.temporary_cache()
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_prepared_goes_where_it_can_be_written(tmp_path, monkeypatch):
    given = tmp_path / "given"
    given.mkdir()
    assert cache.prepared_folder(given) == given / "prepared"
    _read_only(monkeypatch, given)
    assert cache.prepared_folder(given) == paths.lasting_cache() / "prepared"
    _read_only(monkeypatch, tmp_path / "home")
    assert cache.prepared_folder(given) == paths.temporary_cache() / "prepared"


def test_data_in_a_file_are_prepared_in_the_cache(tmp_path):
    (tmp_path / "clouds.npz").write_bytes(b"")
    assert cache.prepared_folder(tmp_path / "clouds.npz") == paths.user_cache() / "prepared"


def test_no_place_at_all_is_one_sentence(homeless, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(paths.tempfile, "mkdtemp", full)
    with pytest.raises(UsageError, match=r"neither a cache folder nor .* set \$XDG_CACHE_HOME"):
        paths.user_cache()


def test_compiled_programs_are_kept_where_they_can_be_written(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv(paths.COMPILED, raising=False)
    assert paths.compiled_programs() == str(paths.lasting_cache() / "compiled")
    (tmp_path / "file").write_text("mine")
    for named, found in (
        ("~/programs", str(tmp_path / "home" / "programs")),
        ("gs://bucket/programs", "gs://bucket/programs"),
        (str(tmp_path / "file"), ""),
    ):
        monkeypatch.setenv(paths.COMPILED, named)
        assert paths.compiled_programs() == found
    assert "file, cannot be written; no compiled program is kept" in caplog.text


def test_without_a_home_no_compiled_program_is_kept(homeless, monkeypatch):
    monkeypatch.delenv(paths.COMPILED, raising=False)
    assert paths.compiled_programs() == ""
    monkeypatch.setenv(paths.COMPILED, "~/programs")
    assert paths.compiled_programs() == ""


@pytest.mark.parametrize("value", [None, b"runs", 7])
def test_what_is_no_path_is_a_sentence(value):
    with pytest.raises(UsageError, match=r"is no path; give a text or a pathlib\.Path"):
        paths.expanded(value)
