"""Files of an index for other programs: Parquet, npz, faiss and usearch."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxcmr.display import quoted
from jaxcmr.errors import UsageError
from jaxcmr.packages import load
from jaxcmr.storage import files
from jaxcmr.workdir.embeddings import file_name

if TYPE_CHECKING:
    from jaxcmr.index.index import Index

_BLOCK = 1 << 14  # rows that are written at once
_TEXT_BYTES = 1 << 30  # of an array of texts, which has the width of the longest in every row


def write(path: Path, index: Index) -> list[Path]:
    """Writes a file by its ending, see `Index.export`; returns what was written."""
    if path.suffix not in _FORMATS:
        raise UsageError(f"the output {path} must end in {', '.join(_FORMATS)}")
    beside = [path.with_name(path.name + ".json")] * (path.suffix in (".faiss", ".usearch"))
    for place in (path, *beside):
        if os.path.lexists(place):
            raise UsageError(f"the output {place} exists; remove it, or choose another name")
    if not len(index):
        raise UsageError("the index has no rows; there is nothing to export")
    save = _FORMATS[path.suffix](index)
    for place in beside:
        rows = {"fingerprint": index.fingerprint, "ids": index.ids, "modalities": index.modalities}
        files.write_text(place, json.dumps(rows) + "\n")
    try:
        files.write_atomically(path, save)
    except BaseException:
        for place in beside:  # else the same command would be refused the next time
            place.unlink(missing_ok=True)
        raise
    return [path, *beside]


def _npz(index: Index) -> Callable[[Any], None]:
    arrays = {"embeddings": np.asarray(index.embeddings), "ids": _as_array("ids", index.ids)}
    arrays["modalities"] = _as_array("modalities", index.modalities)
    for name, kind in index.columns.items():
        values = index.column(name)
        place = file_name(name)  # those who unpack the archive make a file of it
        arrays[f"missing.{place}"] = np.array([value is None for value in values])
        if kind == "text":
            texts = [value or "" for value in values]
            arrays[f"metadata.{place}"] = _as_array(name, texts)
        elif kind in _NUMBERS:
            filled = [0 if value is None else value for value in values]
            arrays[f"metadata.{place}"] = np.array(filled, _NUMBERS[kind])
    return functools.partial(np.savez, **arrays)


_NUMBERS = {"int": np.int64, "float": np.float64, "bool": np.bool_}


def _as_array(name: str, texts: list[str]) -> np.ndarray:
    """Returns texts as numpy's; raises a `UsageError` if it would change or cannot hold them."""
    longest = max(map(len, texts))
    if 4 * longest * len(texts) > _TEXT_BYTES:
        raise UsageError(
            f"{quoted(name)} have a text of {longest} letters, whose width an .npz would give to "
            "all; export a .parquet"
        )
    array = np.array(texts, np.str_)
    if array.tolist() != texts:
        raise UsageError(
            f"{quoted(name)} have a text that ends in a zero character, which an .npz drops; "
            "export a .parquet"
        )
    return array


def _parquet(index: Index) -> Callable[[Any], None]:
    arrow, parquet = load("pyarrow"), load("pyarrow.parquet")
    kinds = {"text": arrow.string(), "int": arrow.int64(), "float": arrow.float64(),
             "bool": arrow.bool_(), "none": arrow.null()}  # fmt: skip
    types = {"id": arrow.string(), "modality": arrow.string()}
    types["embedding"] = arrow.list_(arrow.float32(), index.size)
    types |= {name: kinds[kind] for name, kind in index.columns.items()}
    try:
        schema = arrow.schema(types, {"fingerprint": index.fingerprint})
        values = {"id": index.ids, "modality": index.modalities}
        values |= {name: index.column(name) for name in index.columns}
        columns = {name: arrow.array(texts, types[name]) for name, texts in values.items()}
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{error.object!r} is no text that Parquet can hold; use other names for such rows"
        ) from None
    embeddings = index.embeddings

    def save(file: Any) -> None:
        with parquet.ParquetWriter(file, schema) as writer:
            for start in range(0, len(index), _BLOCK):
                rows = embeddings[start : start + _BLOCK]
                flat = arrow.array(rows.reshape(-1))
                block = {name: column[start : start + _BLOCK] for name, column in columns.items()}
                block["embedding"] = arrow.FixedSizeListArray.from_arrays(flat, index.size)
                ordered = [block[name] for name in types]
                writer.write_table(arrow.Table.from_arrays(ordered, schema=schema))

    return save


def _faiss(index: Index) -> Callable[[Any], None]:
    faiss = load("faiss")
    flat = faiss.IndexFlatIP(index.size)
    for rows in _blocks(index):
        flat.add(rows)
    return lambda file: faiss.write_index(flat, faiss.PyCallbackIOWriter(file.write))


def _usearch(index: Index) -> Callable[[Any], None]:
    graph = load("usearch.index").Index(ndim=index.size, metric="ip", dtype="f32")
    start = 0
    for rows in _blocks(index):
        graph.add(np.arange(start, start + len(rows)), rows)
        start += len(rows)
    return lambda file: file.write(graph.save())


def _blocks(index: Index) -> Iterator[np.ndarray]:
    rows = index.embeddings
    return (rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK))


_FORMATS = {".parquet": _parquet, ".npz": _npz, ".faiss": _faiss, ".usearch": _usearch}
