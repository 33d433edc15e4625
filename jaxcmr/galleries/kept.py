"""Keeps embeddings in the user's cache folder, so that changed items alone are embedded again."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from jaxcmr.data.cache import sha256
from jaxcmr.data.formats import itemfiles
from jaxcmr.data.formats.gltf import buffer_files
from jaxcmr.storage.paths import user_cache

VERSION = 1  # part of the file's name; raise it when the same item gets another embedding
WAIT = 60.0  # seconds for another process that writes
_TABLES = """
create table if not exists embeddings (content blob primary key, row blob);
create table if not exists files (name blob primary key, stamps text, content blob) without rowid;
"""
_OF_CONTENT = "select row from embeddings where content = ?"
_OF_FILE = "select row from embeddings natural join files where name = ? and stamps = ?"


class Version(NamedTuple):
    """A version of an item.

    Attributes:
        name: of its file, with the modality; b"": it is a text.
        stamps: what tells that the file has changed, without a look into it.
        content: identifies what is in it.
    """

    name: bytes
    stamps: str
    content: bytes


class Kept:
    """The embeddings that one model has made, in one file, by the content of the items.

    An item that was renamed or moved keeps its embedding. A file whose stamps (size and times) are
    those of before is not read. What is kept is complete at any moment. A file that is damaged, or
    a disk that is full, costs what is kept, with a warning, and no more.

    Args:
        fingerprint: of the model.
        size: d, of an embedding.
        folder: where the file is; None: in the user's cache.
    """

    def __init__(self, fingerprint: str, size: int, folder: Path | None = None):
        self.path = (folder or user_cache() / "galleries") / f"{fingerprint}-{VERSION}.sqlite3"
        self._size = size
        self._base: sqlite3.Connection | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._base = _opened(self.path)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def recall(self, modality: str, raws: Sequence[Path | str]) -> list[np.ndarray | None]:
        """Returns the embedding `[d]` of each item that is known without reading its file."""
        return self._ask(
            (_OF_CONTENT, (_of_text(modality, raw),))
            if isinstance(raw, str)
            else (_OF_FILE, (_name(modality, raw), _stamps(raw)))
            for raw in raws
        )

    def find(self, contents: Sequence[bytes]) -> list[np.ndarray | None]:
        """Returns the embedding `[d]` of each content; None: it is not kept."""
        return self._ask((_OF_CONTENT, (content,)) for content in contents)

    def keep(self, embedded: Iterable[tuple[Version, np.ndarray]]) -> None:
        """Keeps embeddings `[d]` of items, all or none of them; files changed meanwhile are not."""
        if self._base is None:
            return
        try:
            with self._base:
                for version, row in embedded:
                    if version.name:
                        file = Path(os.fsdecode(version.name.partition(b"\0")[2]))
                        if _stamps(file) != version.stamps:
                            continue
                        self._base.execute("replace into files values (?, ?, ?)", version)
                    packed = np.asarray(row, "<f4").tobytes()
                    values = (version.content, packed)
                    self._base.execute("replace into embeddings values (?, ?)", values)
        except sqlite3.Error as error:
            self._give_up(error)

    def _ask(self, queries: Iterable[tuple[str, tuple]]) -> list[np.ndarray | None]:
        found = []
        for query, values in queries:
            row = None
            if self._base is not None:
                try:
                    if not self._base.in_transaction:  # a lock for all, not for each
                        self._base.execute("begin")
                    row = self._base.execute(query, values).fetchone()
                except sqlite3.Error as error:
                    self._give_up(error)
            whole = row is not None and len(row[0]) == 4 * self._size
            found.append(np.frombuffer(row[0], "<f4") if whole else None)
        if self._base is not None:
            self._base.rollback()
        return found

    def _give_up(self, error: Exception) -> None:
        self._base = None
        logging.warning(
            "%s cannot be used (%s): embeddings are neither reused nor kept; make room there, or "
            "remove the file", self.path, error,
        )  # fmt: skip


def version_of(modality: str, raw: Path | str) -> Version:
    """Identifies an item by its content, which is read.

    Raises:
        OSError: its file cannot be read.
    """
    if isinstance(raw, str):
        return Version(b"", "", _of_text(modality, raw))
    stamps = _stamps(raw)  # before the content: a file that changes meanwhile is not kept
    beside = buffer_files(raw) if raw.suffix.lower() == ".gltf" else []
    parts = [modality, raw.suffix.lower(), *map(sha256, (raw, *beside))]
    return Version(_name(modality, raw), stamps, hashlib.sha256("\0".join(parts).encode()).digest())


def _opened(path: Path) -> sqlite3.Connection:
    """Opens the file; one that is none of ours, or damaged, is begun anew."""
    for _ in range(2):
        base = sqlite3.connect(path, timeout=WAIT)
        try:
            base.executescript(_TABLES)
            return base
        except sqlite3.OperationalError:  # locked, full, not to be written
            base.close()
            raise
        except sqlite3.DatabaseError as error:
            base.close()
            logging.warning("%s is damaged (%s); it is begun anew", path, error)
            path.unlink()
    raise sqlite3.DatabaseError("it is damaged again")


def _name(modality: str, path: Path) -> bytes:
    return modality.encode("utf-8", "surrogatepass") + b"\0" + os.fsencode(os.path.abspath(path))


def _stamps(path: Path) -> str:
    return repr(itemfiles.stamps(path))


def _of_text(modality: str, words: str) -> bytes:
    parts = f"{modality}\0.txt\0{words}"
    return hashlib.sha256(parts.encode("utf-8", "surrogatepass")).digest()
