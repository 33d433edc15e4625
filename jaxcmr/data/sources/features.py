"""Loads the papers' features: Wikipedia, NUS-WIDE-10, INRIA-Websearch, XMedia(Net), Pascal."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.data import cache
from jaxcmr.data.formats.matlab import read_mat
from jaxcmr.data.formats.textfiles import read_lines
from jaxcmr.data.own import arraynames
from jaxcmr.data.own import arrays as named_arrays
from jaxcmr.errors import UsageError
from jaxcmr.types import Splits


class Layout(NamedTuple):
    """One format of a data set.

    Attributes:
        file: its name under the root.
        keys: our name (`train_image`) -> (name in the file, place in the cell or None).
        validation: rows of the test set, from the first on, that are the validation set; 0: none,
            or the file has its own.
        counts: training, validation and test rows of the papers.
        others: further files beside `file`, whose arrays belong to it.
    """

    file: str
    keys: dict[str, tuple[str, int | None]]
    validation: int
    counts: tuple[int, int, int]
    others: tuple[str, ...] = ()


def _keys(pattern: dict[str, str], splits: dict[str, str]) -> dict[str, tuple[str, int | None]]:
    """Spells out `{"image": "{}_imgs"}, {"train": "tr"}`: `{"train_image": ("tr_imgs", None)}`."""
    return {
        f"{ours}_{part}": (text.format(theirs), None)
        for ours, theirs in splits.items()
        for part, text in pattern.items()
    }


_TWO = {"train": "train", "test": "test"}
_THREE = {"train": "train", "validation": "valid", "test": "test"}
_SHORT = {"train": "tr", "test": "te"}
_WIKI = {"image": "{}_imgs_deep", "text": "{}_texts_doc", "labels": "{}_imgs_labels"}
_RAW = {"image": "I_{}", "text": "T_{}", "labels": "labels_{}"}
_NUS = {"image": "{}_imgs_deep", "text": "{}_texts", "labels": "{}_imgs_labels"}
_IMG = {"image": "{}_img", "text": "{}_txt", "labels": "{}_img_lab"}
_XMEDIA = {"image": "I_{}_CNN", "text": "T_{}_BOW", "labels": "{}ImgCat"}
_CELLS = ("image", "text", "audio", "video", "model")
_PASCAL = ("train_txt", "train_img_lab", "test_img", "test_txt", "test_img_lab")
_WIKI_ROWS, _NUS_ROWS = (2173, 231, 462), (42941, 5000, 23661)
LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "wikipedia": (
        Layout("wiki.mat", _keys(_WIKI, _TWO), 231, _WIKI_ROWS),
        Layout("wiki_deep_doc2vec_data_corr_ae.h5py", _keys(_WIKI, _TWO), 231, _WIKI_ROWS),
        Layout("raw_features.mat", _keys(_RAW, _SHORT), 231, _WIKI_ROWS),
    ),
    "nuswide10": (
        Layout("nus_wide_deep_doc2vec-corr-ae.h5py", _keys(_NUS, _THREE), 0, _NUS_ROWS),
    ),
    "inria": (
        Layout(
            "INRIA-Websearch.mat", _keys(_IMG, _SHORT | {"validation": "val"}), 0,
            (9000, 1332, 4366),
        ),
    ),
    "xmedia": (
        Layout("XMediaFeatures.mat", _keys(_XMEDIA, _SHORT), 500, (4000, 500, 500)),
    ),
    "pascal": (
        Layout(
            "pascal/train_img.mat", _keys(_IMG, _TWO), 100, (800, 100, 100),
            tuple(f"pascal/{name}.mat" for name in _PASCAL),
        ),
    ),
    "xmedianet": (
        Layout(
            "XMediaNet5View_Doc2Vec.mat",
            {
                f"{ours}_{name}": (f"{theirs}{suffix}", place)
                for ours, theirs in _THREE.items()
                for suffix, names in (("", enumerate(_CELLS)), ("_labels", [(0, "labels")]))
                for place, name in names
            },
            0, (32000, 4000, 4000),
        ),
    ),
}  # fmt: skip
_LISTS = {"tr": "trainset_txt_img_cat.list", "te": "testset_txt_img_cat.list"}


def load_features(config: ConfigDict, workers: int) -> Splits:
    """Loads the feature file of the data set `config.name`, in any of its formats, or `<name>.npz`.

    Rows, order and splits are those of the files; where the papers cut the validation set off the
    test set, so is it here. Counts other than the papers' are said.
    """
    del workers
    root = cache.data_root(config.root)
    ready = root / f"{config.name}.npz"
    layouts = LAYOUTS[config.name]
    for layout in layouts:
        path = root / layout.file
        if path.is_file():
            files = [path, *(root / other for other in layout.others)]
            found = {name: array for file in files for name, array in read_mat(file).items()}
            unknown = sorted(set(found) - {theirs for theirs, _ in layout.keys.values()})
            named_arrays.warn_of_unused(unknown, "array", str(path))
            found = _rename(found, layout, path)
            break
    else:
        if not ready.is_file():
            names = ", ".join([layout.file for layout in layouts] + [ready.name])
            raise UsageError(f"no features of {config.name} under {root}: none of {names}")
        path, layout, files, found = ready, layouts[0], [ready], named_arrays.read(ready)
    parts = arraynames.sort(found, str(path)).parts
    if layout.validation and "validation" not in parts:
        ours = {key: f"test_{role}" for role, key in parts.get("test", {}).items()}
        found = {ours.get(key, key): array for key, array in found.items()}
        if _has_more(found, layout.validation):
            found = named_arrays.cut_validation(found, layout.validation)
    provenance = {"source": "files", "name": config.name, "path": str(path)}
    digests = {file.name: cache.sha256(file) for file in files}
    provenance["sha256"] = digests[path.name] if len(files) == 1 else digests
    splits = named_arrays.to_splits(found, str(path), provenance, config.seed)
    counts = tuple(len(part or ()) for part in (splits.train, splits.validation, splits.test))
    if counts != layout.counts:
        logging.warning(
            "%s has %s train/validation/test rows, the papers %s", path, counts, layout.counts
        )
    logging.info("%s: labels were %s", path, splits.train.provenance["labels"])
    return splits


def _rename(found: dict, layout: Layout, path: Path) -> dict[str, np.ndarray]:
    """Picks the arrays of a layout; the category lists stand beside Wikipedia's raw features."""
    result = {}
    for ours, (theirs, place) in layout.keys.items():
        if theirs.startswith("labels_"):
            result[ours] = _read_list(path.with_name(_LISTS[theirs.removeprefix("labels_")]))
            continue
        if theirs not in found:
            raise UsageError(f"{path} has no array {theirs!r}, only {', '.join(sorted(found))}")
        value = found[theirs]
        if isinstance(value, list):
            if place is None or place >= len(value):
                raise UsageError(
                    f"{path}: the cell {theirs!r} has {len(value)} entries, not {place}"
                )
            value = value[place]
        if not ours.endswith("_labels") and value.ndim != 2:
            raise UsageError(f"{path}: {theirs} has the shape {list(value.shape)}, not [N, D]")
        result[ours] = value
    return result


def _read_list(path: Path) -> np.ndarray:
    """Reads the last word of every line (text id, image id, category) as a label."""
    lines = read_lines(path)
    try:
        return np.array([np.int32(line.split()[-1]) for line in lines], np.int32)
    except (ValueError, OverflowError):
        raise UsageError(f"{path}: a line does not end in a category number") from None


def _has_more(found: dict[str, np.ndarray], rows: int) -> bool:
    """Tells whether the test set has more rows; what lacks rows is refused later, by name."""
    tests = [array for key, array in found.items() if key.startswith("test_")]
    labels = np.shape(found.get("test_labels", 0))
    if not labels or any(np.ndim(array) == 0 for array in tests):
        return False
    return (max(labels) if len(labels) == 2 and 1 in labels else labels[0]) > rows
