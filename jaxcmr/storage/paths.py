"""Expands paths, and finds the folders for caches and compiled programs."""

import atexit
import functools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from absl import logging

from jaxcmr.errors import UsageError

COMPILED = "JAX_COMPILATION_CACHE_DIR"
DESCRIPTORS = Path("/proc/self/fd")  # open folders, by number, where the system has them
REMOTE = ("/gs/", "/s3/", "/az/", "/hf/")


def expanded(path: str | os.PathLike) -> Path:
    """Returns a path with `~` or `~name` at its beginning replaced by that home folder.

    As in a shell, `~name` stays as it is where there is no such user.

    Raises:
        UsageError: there is no home folder for `~`, or it is no path.
    """
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"{path!r:.100} is no path; give a text or a pathlib.Path")
    found = os.path.expanduser(path)
    if found == "~" or found.startswith("~/"):
        raise UsageError(f"{path} begins with ~, but there is no home folder here; write it out")
    return Path(found)


def lasting_cache() -> Path | None:
    """Returns the user's cache folder of this library (`$XDG_CACHE_HOME`, else `~/.cache`).

    It is made if it is missing; None: it cannot be, or there is no home folder.
    """
    try:
        folder = expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "jaxcmr"
        folder.mkdir(parents=True, exist_ok=True)
        os.listdir(folder)
    except (OSError, UsageError):
        return None
    return folder


def user_cache() -> Path:
    """Returns `lasting_cache()`, or `temporary_cache()` where there is none."""
    return lasting_cache() or temporary_cache()


@functools.cache
def temporary_cache() -> Path:
    """Makes a folder that takes the cache's place until the process ends.

    Raises:
        UsageError: no folder for temporary files can be written, either.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix="jaxcmr-"))
    except OSError as error:
        raise UsageError(
            f"neither a cache folder nor one for temporary files can be written ({error}); "
            "set $XDG_CACHE_HOME to a folder that can"
        ) from None
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    logging.warning(
        "the cache folder cannot be written: what is prepared is kept in %s and lost at the end; "
        "set $XDG_CACHE_HOME to a folder that can be written", folder,
    )  # fmt: skip
    return folder


@contextmanager
def plain(folder: Path) -> Iterator[Path]:
    """Gives another path to an existing folder, without any special character.

    Libraries that write checkpoints take brackets for a pattern, a backslash for a slash, and
    `/gs/` for a remote store. A path that is plain already is given as it is.
    """
    folder = folder.resolve()
    if re.fullmatch(r"[A-Za-z0-9/_.-]+", str(folder)) and not str(folder).startswith(REMOTE):
        yield folder
    elif DESCRIPTORS.is_dir():
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield DESCRIPTORS / str(handle)
        finally:
            os.close(handle)
    else:
        with tempfile.TemporaryDirectory(prefix="jaxcmr-") as place:
            link = Path(place) / "folder"
            link.symlink_to(folder)
            yield link


def compiled_programs() -> str:
    """Returns the folder where JAX keeps compiled programs; "" where none can be written.

    That is `$JAX_COMPILATION_CACHE_DIR`, also a remote one, else `compiled` in the user's cache.
    """
    named = os.environ.get(COMPILED, "")
    if "://" in named:
        return named
    cache = lasting_cache()
    try:
        folder = expanded(named) if named else cache and cache / "compiled"
        if folder is not None and writable(folder):
            return str(folder)
    except UsageError:
        pass
    if named:
        logging.warning("$%s, %s, cannot be written; no compiled program is kept", COMPILED, named)
    return ""


def writable(folder: Path) -> bool:
    """Tells whether files can be made in a folder, by trying; makes the folder if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False
