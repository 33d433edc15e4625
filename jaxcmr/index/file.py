"""The file of an index: safetensors, which many programs read, with our names in it.

| array | what it is |
|---|---|
| `embeddings` | `[N, size]` float32; begins at a multiple of 64 bytes, and stays on the disk |
| `id.data`, `id.offsets`, `id.missing` | text i is UTF-8, `data[offsets[i] : offsets[i + 1]]` |
| `modality.*`, `source.*` | texts, too; a source that is not known is `missing`, 1 |
| `metadata.NAME.*` | texts, or `values` (int64, float64, uint8) and `missing` |

The metadata of the file are `format`, `version`, `fingerprint` of the model, and `columns`, JSON of
the names and kinds of the metadata. In NAME, `/`, `%` and the like are written as %XX.
"""

import json
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxcmr.errors import UsageError, reading
from jaxcmr.index.columns import KINDS, NONE, Column, Numbers, Texts
from jaxcmr.index.segment import (
    ID,
    METADATA,
    MODALITY,
    SOURCE,
    Segment,
    live_embeddings,
    live_table,
)
from jaxcmr.storage import files, safetensors
from jaxcmr.workdir.embeddings import file_name

FORMAT, VERSION = "jaxcmr-index", "1"
START = f'{{"{safetensors.METADATA}": {{"format": "{FORMAT}"'.encode()  # of the header
EMBEDDINGS = "embeddings"


class Contents(NamedTuple):
    """What a file holds.

    Attributes:
        fingerprint: of the model.
        kinds: the metadata: name -> kind.
        segment: the rows; the embeddings stay on the disk.
    """

    fingerprint: str
    kinds: dict[str, str]
    segment: Segment


def write(
    path: Path, size: int, fingerprint: str, kinds: dict[str, str], segments: Sequence[Segment]
) -> None:
    """Writes the rows that were not removed, whole or not at all.

    Raises:
        UsageError: the file is a folder, or no index and not to be overwritten, or cannot be
            written.
    """
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder; name a file in it")
    if os.path.lexists(path) and not (os.path.isfile(path) and _is_index(path)):
        raise UsageError(
            f"{path} is no index, and is not overwritten; choose another name, or remove it"
        )
    rows = sum(int(segment.live.sum()) for segment in segments)
    arrays = {
        EMBEDDINGS: safetensors.Blocks(np.float32, (rows, size), live_embeddings(segments)),
    }
    table, places = live_table(segments), _places(kinds)
    for name, (place, _) in places.items():
        arrays |= {f"{place}.{part}": array for part, array in table[name].arrays().items()}
    metadata = {"format": FORMAT, "version": VERSION, "fingerprint": fingerprint}
    files.remove_abandoned(path.parent)  # each may be as large as an index
    safetensors.write(path, arrays, metadata | {"columns": json.dumps(list(kinds.items()))})


def read(path: Path, mapped: bool = True) -> Contents:
    """Opens a file; the texts and embeddings are read when they are needed, or now if not `mapped`.

    Raises:
        UsageError: there is none, it is no index, of another version, or damaged.
    """
    if not os.path.exists(path):
        raise UsageError(f"there is no index {path}; make one with launch/index.py create")
    if not os.path.isfile(path):
        raise UsageError(f"{path} is no file; name the file of an index")
    if not _is_index(path):
        raise UsageError(f"{path} is no index; name a file that Index.save has written")
    with reading(path, "make the index again, or copy it again"):
        raw = np.memmap(path, np.uint8, "r") if mapped else _held(path)
        metadata, places = safetensors.layout(raw)
        if metadata["version"] != VERSION:
            raise UsageError(
                f"{path} is an index of version {metadata['version']}, but this jaxcmr reads "
                f"version {VERSION}; update jaxcmr, or make the index again"
            )
        if len(raw) > max((place.stop for place in places.values()), default=0):
            raise ValueError("bytes behind its end")
        kinds = _kinds(metadata["columns"])
        arrays = {
            name: np.asarray(raw)[place.start : place.stop].view(place.dtype).reshape(place.shape)
            for name, place in places.items()
        }
        segment = _segment(arrays, kinds)
        return Contents(metadata["fingerprint"], kinds, segment)


def _held(path: Path) -> np.ndarray:
    """Reads a file into pages of memory, at whose beginning embeddings are searched in place."""
    raw = np.frombuffer(mmap.mmap(-1, os.path.getsize(path)), np.uint8)
    with open(path, "rb") as file:
        if file.readinto(raw.data) < len(raw):
            raise ValueError("it becomes shorter while it is read")
    return raw


def _segment(arrays: dict[str, np.ndarray], kinds: dict[str, str]) -> Segment:
    rows = arrays[EMBEDDINGS]
    if rows.dtype != np.float32 or rows.ndim != 2 or not rows.shape[1]:
        raise ValueError(f"embeddings of {rows.dtype} and shape {rows.shape}")
    table: dict[str, Column] = {}
    for name, (place, kind) in _places(kinds).items():
        reader = Texts if kind == "text" else Numbers
        table[name] = reader.read(kind, {part: arrays[f"{place}.{part}"] for part in reader.parts})
        if len(table[name]) != len(rows):
            raise ValueError(f"{len(table[name])} entries of {place} for {len(rows)} embeddings")
    return Segment(rows, table, mapped=True)


def _places(kinds: dict[str, str]) -> dict[str, tuple[str, str]]:
    """Returns by the columns of a table: how their names begin in the file, and their kinds."""
    return {name: (name, "text") for name in (ID, MODALITY, SOURCE)} | {
        METADATA + name: (METADATA + file_name(name), kind)
        for name, kind in kinds.items()
        if kind != NONE
    }


def _kinds(text: str) -> dict[str, str]:
    kinds = dict(json.loads(text))
    for name, kind in kinds.items():
        if not isinstance(name, str) or kind not in (*KINDS, NONE):
            raise ValueError(f"a column {name!r} of {kind!r}")
    return kinds


def _is_index(path: Path) -> bool:
    with reading(path), open(path, "rb") as file:
        return file.read(8 + len(START))[8:] == START
