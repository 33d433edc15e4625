"""Your own data as files: a CSV or JSONL manifest that names them (schema in README.md)."""

import csv
import functools
import json
from pathlib import Path

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.data import arrays, cache, itemfiles, objects
from jaxcmr.data.heldout import held_out
from jaxcmr.data.itemfiles import read_cloud, read_picture, read_surface
from jaxcmr.data.objects import Item
from jaxcmr.errors import UsageError
from jaxcmr.paths import expanded
from jaxcmr.types import Splits

WORDS = 2000  # of the TF-IDF vocabulary
VERSION = 1  # part of the cache key; raise it when the same file gives another array
# What the items of a column become.
KINDS = {"image": "image", "points": "cloud", "mesh": "cloud", "text": "vector"}


def load_manifest(config: ConfigDict, workers: int) -> Splits:
    """Loads the manifest `config.path`.

    Columns: `label`; any of `image`, `points`, `mesh`, `text`; optionally `id`, `split`,
    `true_label`. Paths are relative to the manifest. An empty cell is a missing item: it is filled
    with zeros and masked in `present`. What was read from files is kept in the user's cache folder,
    so that a run that was stopped goes on, until manifest or files change.

    Raises:
        UsageError: a file cannot be used; names the manifest's line and the file.
    """
    path = expanded(config.get("path", "") or config.root)
    rows = read_manifest(path)
    found: dict[str, np.ndarray] = {"labels": _column(rows, "label", path)}
    for ours, theirs in (("ids", "id"), ("split", "split"), ("true_labels", "true_label")):
        if any(theirs in row for _, row in rows):
            found[ours] = _column(rows, theirs, path)
    cells = {name: _cells(rows, name, path) for name in config.modalities}
    if "split" not in found:
        found["split"] = held_out(found["labels"], config.seed)
    for modality, column in cells.items():
        present = np.array([bool(cell) for cell in column])
        if not present.all():
            found[f"present_{modality}"] = present
    files = {name: column for name, column in cells.items() if name != "text"}
    made = _read_files(path, rows, files, config, workers)
    if "text" in cells:
        texts = [_text(path, cell) for cell in cells["text"]]
        made["text"] = tfidf(texts, found["split"] == "train")
    found |= {name: made[name] for name in cells}  # in the order of config.modalities
    provenance = {"source": "files", "name": path.stem, "path": str(path)}
    provenance["sha256"] = cache.sha256(path)
    logging.info("%s: %d rows", path, len(rows))
    return arrays.to_splits(found, str(path), provenance, config.seed)


def kinds(path: Path) -> dict[str, str]:
    """Returns the modalities that a manifest has: column -> what its items become.

    Columns of other names, and those that are empty in every row, are none.
    """
    rows = read_manifest(path)
    filled = {name for _, row in rows for name, cell in row.items() if cell.strip()}
    return {name: kind for name, kind in KINDS.items() if name in filled}


def _cells(rows, modality: str, path: Path) -> list[str]:
    """Returns the cells of a modality's column, checked as a whole."""
    columns = sorted({name for _, row in rows for name in row})
    if modality not in columns:
        raise UsageError(f"{path} has no column {modality!r}, only {', '.join(columns)}")
    if modality not in KINDS:
        raise UsageError(
            f"{path}: no file type is known for the modality {modality!r}; use {', '.join(KINDS)}"
        )
    cells = [row.get(modality, "").strip() for _, row in rows]
    if not any(cells):
        raise UsageError(f"{path}: the column {modality!r} is empty in every row")
    return cells


def _read_files(path: Path, rows, cells: dict[str, list[str]], config, workers: int) -> dict:
    """Reads the files of all rows (or finds them read): modality -> `[N, ...]`."""
    if not cells:
        return {}
    recipe = {name: config[name] for name in ("image_size", "channels", "points", "seed")}
    items, states = [], []
    for place, (number, _) in enumerate(rows):
        own = {
            name: str(path.parent / expanded(c[place])) if c[place] else ""
            for name, c in cells.items()
        }
        items.append(Item(f"{path}, line {number}", 0, own))
        states.append([_state(file) for file in own.values()])
    version = [VERSION, itemfiles.VERSION]
    key = cache.fingerprint(version=version, recipe=recipe, files=states, asked=list(cells))
    folder = cache.prepared_folder(cache.user_cache()) / f"{path.stem}-{len(rows)}-{key}"
    make = functools.partial(read_item, recipe=recipe)
    return objects.prepare(items, make, folder, {"path": str(path)}, workers=workers)


def _state(file: str) -> list:
    """What tells one version of a file from another."""
    if not Path(file).is_file():
        return [file]
    stat = Path(file).stat()
    return [file, stat.st_size, stat.st_mtime_ns]


def read_item(item: Item, *, recipe: dict[str, int]) -> dict[str, np.ndarray]:
    """Reads the files `item.source` (modality -> path, "" where it is missing) of one row."""
    size, channels = recipe["image_size"], recipe["channels"]
    count, seed = recipe["points"], recipe["seed"]
    readers = {
        "image": lambda file: read_picture(file, size, channels),
        "points": lambda file: read_cloud(file, count, seed),
        "mesh": lambda file: read_surface(file, count, seed),
    }
    blank_image = np.zeros((size, size, channels), np.uint8)
    found = {}
    for name, file in item.source.items():
        try:
            blank = blank_image if name == "image" else np.zeros((count, 3), np.float32)
            found[name] = readers[name](Path(file)) if file else blank
        except UsageError as error:
            raise UsageError(f"{item.id}: {error}") from None
    return found


def read_manifest(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Reads (line number, row) from a `.csv` with a header line, or a `.jsonl` of objects."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    if path.suffix == ".jsonl":
        rows = [
            (n, _object(line, path, n))
            for n, line in enumerate(text.split("\n"), 1)
            if line.strip()
        ]
    elif path.suffix == ".csv":
        rows = _csv_rows(text, path)
    else:
        raise UsageError(f"{path} must end in .csv or .jsonl")
    if not rows:
        raise UsageError(f"{path} has no row")
    return rows


def _csv_rows(text: str, path: Path) -> list[tuple[int, dict[str, str]]]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    rows = []
    try:
        for row in reader:
            if None in row or None in row.values():
                raise UsageError(f"{path}, line {reader.line_num}: not as many cells as the header")
            rows.append((reader.line_num, {str(k).strip(): v for k, v in row.items()}))
    except csv.Error as error:
        raise UsageError(f"{path}, behind line {reader.line_num}: {error}") from None
    return rows


def _object(line: str, path: Path, number: int) -> dict[str, str]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError(f"{path}, line {number}: no JSON: {line[:40]!r}") from None
    if not isinstance(row, dict):
        raise UsageError(f"{path}, line {number}: a JSON object is needed, found {line[:40]!r}")
    return {key: "" if value is None else str(value) for key, value in row.items()}


def _column(rows, name: str, path: Path) -> np.ndarray:
    values = []
    for number, row in rows:
        if not row.get(name, "").strip():
            raise UsageError(f"{path}, line {number}: the cell {name!r} is missing or empty")
        values.append(row[name].strip())
    return np.array(values)


def _text(path: Path, cell: str) -> str:
    """A cell is the text itself, or the path of a `.txt` file."""
    if not cell.endswith(".txt"):
        return cell
    try:
        return (path.parent / expanded(cell)).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path.parent / cell} cannot be read ({error})") from None


def tfidf(texts: list[str], fit: np.ndarray) -> np.ndarray:
    """Returns TF-IDF rows `[N, D]` float32; vocabulary and weights are those of the rows `fit`."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    model = TfidfVectorizer(max_features=WORDS, sublinear_tf=True)
    try:
        model.fit([text for text, use in zip(texts, fit) if use])
    except ValueError:
        raise UsageError("the texts of the training rows hold no word of two letters") from None
    return model.transform(texts).toarray().astype(np.float32)
