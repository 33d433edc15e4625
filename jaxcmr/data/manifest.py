"""Your own data as files: a CSV or JSONL manifest that names them (schema in README.md)."""

import csv
import functools
import json
from pathlib import Path

import numpy as np
from absl import logging
from ml_collections import ConfigDict
from PIL import Image, UnidentifiedImageError

from jaxcmr.data import arrays, cache
from jaxcmr.data.geometry import Mesh, normalize, normalize_mesh, sample_surface
from jaxcmr.data.off import parse_off
from jaxcmr.errors import UsageError
from jaxcmr.types import Splits

IMAGES = (".png", ".jpg", ".jpeg")
MESHES = (".off", ".obj", ".ply", ".stl", ".glb")
CLOUDS = (".npy", ".ply", ".pcd")
MAX_PIXELS = 100_000_000
MAX_BYTES = 1 << 30
WORDS = 2000  # of the TF-IDF vocabulary


def load_manifest(config: ConfigDict, workers: int) -> Splits:
    """Loads the manifest `config.path`.

    Columns: `label`; any of `image`, `points`, `mesh`, `text`; optionally `id`, `split`,
    `true_label`. Paths are relative to the manifest. An empty cell is a missing item: it is filled
    with zeros and masked in `present`.

    Raises:
        UsageError: a file cannot be used; names the manifest's line and the file.
    """
    del workers
    path = Path(config.get("path", "") or config.root).expanduser()
    rows = read_manifest(path)
    columns = {name for _, row in rows for name in row}
    found: dict[str, np.ndarray] = {"labels": _column(rows, "label", path)}
    for ours, theirs in (("ids", "id"), ("split", "split"), ("true_labels", "true_label")):
        if theirs in columns:
            found[ours] = _column(rows, theirs, path)
    if "split" not in found:
        found["split"] = arrays.held_out(found["labels"], config.seed)
    readers = {
        "image": functools.partial(read_image, size=config.image_size, channels=config.channels),
        "points": functools.partial(read_cloud, count=config.points, seed=config.seed),
        "mesh": functools.partial(read_surface, count=config.points, seed=config.seed),
    }
    for modality in config.modalities:
        if modality not in columns:
            raise UsageError(
                f"{path} has no column {modality!r}, only {', '.join(sorted(columns))}"
            )
        cells = [row.get(modality, "").strip() for _, row in rows]
        present = np.array([bool(cell) for cell in cells])
        if not present.any():
            raise UsageError(f"{path}: the column {modality!r} is empty in every row")
        if not present.all():
            found[f"present_{modality}"] = present
        if modality == "text":
            found["text"] = tfidf([_text(path, cell) for cell in cells], found["split"] == "train")
        elif modality in readers:
            found[modality] = _read_column(path, rows, cells, readers[modality])
        else:
            raise UsageError(f"{path}: no file type is known for the modality {modality!r}")
    provenance = {"source": "files", "name": path.stem, "path": str(path)}
    provenance["sha256"] = cache.sha256(path)
    logging.info("%s: %d rows", path, len(rows))
    return arrays.to_splits(found, str(path), provenance, config.seed)


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


def _read_column(path: Path, rows, cells: list[str], read) -> np.ndarray:
    items = []
    for (number, _), cell in zip(rows, cells):
        try:
            items.append(read(path.parent / cell) if cell else None)
        except UsageError as error:
            raise UsageError(f"{path}, line {number}: {error}") from None
    blank = np.zeros_like(next(item for item in items if item is not None))
    return np.stack([blank if item is None else item for item in items])


def _text(path: Path, cell: str) -> str:
    """A cell is the text itself, or the path of a `.txt` file."""
    if not cell.endswith(".txt"):
        return cell
    try:
        return (path.parent / cell).read_text(encoding="utf-8")
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


def read_image(path: Path, size: int, channels: int) -> np.ndarray:
    """Reads a PNG or JPEG as `[size, size, channels]` uint8: fitted in, centered on white."""
    _check_suffix(path, IMAGES)
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UsageError(f"{path} has {image.width} x {image.height} pixels, too many")
            image = image.convert("RGBA")
    except UnidentifiedImageError:
        raise UsageError(f"{path} is no PNG or JPEG") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UsageError(f"{path} cannot be read ({error})") from None
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image)
    image = white.convert("L" if channels == 1 else "RGB")
    image.thumbnail((size, size))
    scale = size / max(image.size)
    shape = [max(round(side * scale), 1) for side in image.size]
    canvas = Image.new(image.mode, (size, size), "white")
    canvas.paste(image.resize(shape), ((size - shape[0]) // 2, (size - shape[1]) // 2))
    return np.asarray(canvas).reshape(size, size, channels)


def read_cloud(path: Path, count: int, seed: int) -> np.ndarray:
    """Reads a cloud (`.npy [N, 3]`, `.ply`, `.pcd`) as `[count, 3]` float32 in the unit sphere."""
    _check_suffix(path, CLOUDS)
    if path.suffix == ".npy":
        try:
            cloud = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UsageError(f"{path} cannot be read ({str(error).splitlines()[0]})") from None
    else:
        from jaxcmr.data.shapefiles import load_points

        cloud = load_points(path)
    if cloud.ndim != 2 or cloud.shape[1] < 3 or not len(cloud) or cloud.dtype.kind not in "fiu":
        raise UsageError(f"{path} holds {cloud.dtype} {list(cloud.shape)}, not numbers [N, 3]")
    points = normalize(cloud[:, :3].astype(np.float64), str(path))
    rows = np.random.default_rng(seed).permutation(len(points))
    return points[np.resize(rows, count)].astype(np.float32)


def read_surface(path: Path, count: int, seed: int) -> np.ndarray:
    """Reads a mesh as `[count, 3]` float32 points drawn from its surface, in the unit sphere."""
    from jaxcmr.data.shapefiles import load_mesh

    _check_suffix(path, MESHES)
    mesh: Mesh = parse_off(_bytes(path), str(path)) if path.suffix == ".off" else load_mesh(path)
    rng = np.random.default_rng(seed)
    return sample_surface(normalize_mesh(mesh, str(path)), count, rng, str(path))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None


def _check_suffix(path: Path, suffixes: tuple[str, ...]) -> None:
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path} must end in one of {', '.join(suffixes)}")
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    if path.stat().st_size > MAX_BYTES:
        raise UsageError(f"{path} has more than {MAX_BYTES >> 20} MB")
