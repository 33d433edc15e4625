"""Draws label noise for experiments by every convention of the field, or reads it from a file."""

import dataclasses
import math
import numbers
import os
from collections.abc import Mapping, Sequence

import numpy as np

from jaxcmr import guards
from jaxcmr.errors import UsageError
from jaxcmr.guards import given_labels
from jaxcmr.noise.record import NoiseRecord, read_arrays

# RONO's asymmetric flips on ModelNet10, deduced from its published labels; for
# `class_map_from_names`.
RONO_MODELNET10_MAP: Mapping[str, str] = {
    "bathtub": "toilet", "bed": "sofa", "chair": "desk", "desk": "monitor", "dresser": "toilet",
    "monitor": "desk", "night_stand": "bathtub", "sofa": "bed", "table": "toilet",
    "toilet": "dresser",
}  # fmt: skip


def _symmetric(labels, num_classes, rate, class_map, rng):
    rows = rng.permutation(len(labels))[: round(rate * len(labels))]
    noisy = labels.copy()
    noisy[rows] = (labels[rows] + rng.integers(1, num_classes, len(rows))) % num_classes
    return noisy


def _symmetric_inclusive(labels, num_classes, rate, class_map, rng):
    rows = rng.permutation(len(labels))[: math.floor(rate * len(labels))]
    noisy = labels.copy()
    noisy[rows] = rng.integers(0, num_classes, len(rows))
    return noisy


def _asymmetric(labels, num_classes, rate, class_map, rng):
    noisy = labels.copy()
    for k in np.flatnonzero(class_map != np.arange(num_classes)):
        rows = rng.permutation(np.flatnonzero(labels == k))
        noisy[rows[: round(rate * len(rows))]] = class_map[k]
    return noisy


def _asymmetric_half(labels, num_classes, rate, class_map, rng):
    rows = rng.permutation(len(labels))[: math.floor(rate * len(labels))]
    noisy = labels.copy()
    noisy[rows] = class_map[labels[rows]]
    return noisy


_DRAWS = {
    "symmetric": _symmetric,
    "symmetric_inclusive": _symmetric_inclusive,
    "asymmetric": _asymmetric,
    "asymmetric_half": _asymmetric_half,
}

KINDS: tuple[str, ...] = tuple(_DRAWS)


def inject(
    labels: np.ndarray,
    num_classes: int,
    *,
    kind: str = "symmetric",
    rate: float,
    seed: int,
    class_map: Mapping[int, int] | None = None,
    modalities: Sequence[str] = (),
) -> NoiseRecord:
    """Replace part of the labels by wrong ones; the same arguments give the same labels.

    With N rows that have a label, N_c of them of class c, and the nominal rate r:

    * `symmetric`: exactly `round(r N)` rows get a uniform label among the other K - 1 classes.
    * `symmetric_inclusive`: `floor(r N)` rows get a uniform label among all K classes, so that
      about `r (1 - 1/K)` are wrong (the draw of NIRNL, RSHNL, NRCH and SEHA).
    * `asymmetric`: exactly `round(r N_c)` rows of every class c get the label `class_map[c]`.
    * `asymmetric_half`: of `floor(r N)` rows those whose class is in the map get the label
      `class_map[c]`, the others keep theirs, so that about `r / 2` are wrong (NIRNL and kin).

    Halves round to even. With `modalities`, every modality has a draw of its own, so that the
    labels of a pair disagree (Hu et al., "Learning Cross-Modal Retrieval with Noisy Labels",
    CVPR 2021); otherwise one label serves the item in all modalities.

    Args:
        labels: `[N]` whole numbers in [0, K), taken as true; rows with -1 have no label, and get
            none.
        num_classes: K, at least 2.
        kind: one of `KINDS`.
        rate: nominal noise rate r in [0, 1).
        seed: seed of the draw, not negative.
        class_map: class -> the class it flips to, for the asymmetric kinds; classes left out keep
            their labels. None: `k + 1 mod K` for `asymmetric`; for `asymmetric_half` a pairing
            drawn from the seed, of which each class of one half flips to its partner in the other.
            `class_map_from_names` makes a map from names.
        modalities: names of the modalities that draw separately; empty for shared labels.

    Returns:
        The record of the draw; `record.labels` is `[N]`, or `[M, N]` with `modalities`.

    Raises:
        UsageError: for a rate outside [0, 1), an unknown kind, labels out of range or of a wrong
            shape, a map that leaves the classes or is given to a symmetric kind, a negative seed.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown kind of noise {kind!r}; use one of {', '.join(KINDS)}")
    check_rate(rate)
    num_classes = guards.check_whole("num_classes", num_classes, 0)
    labels = given_labels(labels, num_classes, least=-1)
    labelled = np.flatnonzero(labels >= 0)
    if num_classes < 2 and len(labelled):
        raise UsageError(f"noise needs at least 2 classes, not {num_classes}; check num_classes")
    targets = _targets(kind, num_classes, class_map, seed)
    streams = generators(seed, modalities)
    drawn = [labels.copy() for _ in streams]
    for noisy, rng in zip(drawn, streams) if len(labelled) else ():
        noisy[labelled] = _DRAWS[kind](labels[labelled], num_classes, rate, targets, rng)
    return NoiseRecord(
        np.stack(drawn) if modalities else drawn[0], labels, num_classes, kind, float(rate),
        int(seed), class_map=targets, modalities=tuple(modalities),
    )  # fmt: skip


def check_rate(rate: float) -> None:
    """Raises a `UsageError` unless a nominal noise rate is in [0, 1)."""
    if not (isinstance(rate, numbers.Real) and 0 <= rate < 1):
        raise UsageError(f"the noise rate is {rate}; give a share of the labels in [0, 1)")


def generators(seed: int, modalities: Sequence[str]) -> list[np.random.Generator]:
    """Returns one random generator a modality, or a single one for shared labels."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"the seed is {seed!r}; give a whole number of at least 0")
    if isinstance(modalities, str):
        raise UsageError(f"modalities is {modalities!r}; give a list of names, [{modalities!r}]")
    if len(set(modalities)) != len(modalities):
        raise UsageError(f"modalities repeat in {', '.join(modalities)}; name each once")
    if not modalities:
        return [np.random.default_rng(seed)]
    return [np.random.default_rng([seed, position]) for position in range(len(modalities))]


def _targets(kind: str, num_classes: int, class_map: Mapping[int, int] | None, seed: int):
    """Returns the class map as an array `[K]`, or None for the kinds without one."""
    if not kind.startswith("asymmetric"):
        if class_map is not None:
            raise UsageError(f"{kind} noise takes no class map; use the kind asymmetric")
        return None
    classes = np.arange(num_classes, dtype=np.int32)
    if class_map is None:
        if kind == "asymmetric":
            return (classes + 1) % num_classes
        half = num_classes // 2
        # A stream of its own: all modalities flip alike, whatever rows they draw.
        pairing = np.random.default_rng(seed).spawn(1)[0].permutation(num_classes)
        classes[pairing[:half]] = pairing[half : 2 * half]
        return classes
    if not isinstance(class_map, Mapping):
        raise UsageError(f"the class map is {class_map!r}; give a dict, class -> class")
    for source, target in class_map.items():
        for number in (source, target):
            guards.check_whole("a class of the class map", number, -(2**31))
        if not (0 <= source < num_classes and 0 <= target < num_classes) or source == target:
            raise UsageError(
                f"the class map sends {source} to {target}; use two different classes "
                f"of 0 to {num_classes - 1}"
            )
        classes[source] = target
    return classes


def class_map_from_names(names: Mapping[str, str], class_names: Sequence[str]) -> dict[int, int]:
    """Translate a class map in names, as `RONO_MODELNET10_MAP`, into one in label numbers.

    Label k is `class_names[k]`.

    Raises:
        UsageError: if a name of the map is not among `class_names`.
    """
    number = {name: k for k, name in enumerate(class_names)}
    unknown = sorted({*names.keys(), *names.values()} - set(number))
    if unknown:
        raise UsageError(
            f"the class map names {', '.join(unknown)}, but the classes are "
            f"{', '.join(class_names)}; use these names"
        )
    return {number[source]: number[target] for source, target in names.items()}


def from_file(
    path: str | os.PathLike,
    true_labels: np.ndarray,
    num_classes: int,
    *,
    key: str | None = None,
    modalities: Sequence[str] = (),
    class_names: Sequence[str] = (),
) -> NoiseRecord:
    """Take noisy labels from an `.npz` or `.npy` file, row i for row i of the training set.

    A label of -1 is none.

    Args:
        path: the file; nothing in it is unpickled.
        true_labels: `[N]` labels to compare with, in [0, K); rows with -1 have none, and get none.
        num_classes: K.
        key: which array of an `.npz`; may be None where it holds a single one.
        modalities: if given, the array is `[M, N]`, one row a modality; else `[N]` (a column
            `[N, 1]` or a row `[1, N]` will do).
        class_names: the K names, if labels may be given by them: as text, or as numbers where the
            names are numbers. Else labels are numbers from 0.

    Raises:
        UsageError: if the file or the key is missing, or the labels have a wrong length, are no
            whole numbers or leave [-1, K).
    """
    arrays = read_arrays(path)
    if key is None and len(arrays) == 1:
        (key,) = arrays
    if key not in arrays:
        wrong = "no key was given" if key is None else f"it has no {key!r}"
        raise UsageError(f"{path}: {wrong}; use one of the keys {', '.join(arrays)}")
    true_labels = given_labels(true_labels, num_classes, "true labels", -1)
    given, names = _numbered(arrays[key], tuple(class_names), str(path)), tuple(modalities)
    rows = np.atleast_2d(given) if names else given.reshape(1, -1)
    columns = max(given.shape, default=0) if given.ndim == 2 and 1 in given.shape else None
    if not names and given.ndim != 1 and columns != given.size:
        raise UsageError(f"{path} holds an array {given.shape}; give one label a row, shape [N]")
    expected = (max(len(names), 1), len(true_labels))
    if rows.shape != expected:
        raise UsageError(
            f"{path} holds labels of shape {given.shape} for {len(true_labels)} training rows"
            f"{f' and {len(names)} modalities' if names else ''}; give one label a row, in order"
        )
    labels = np.stack([given_labels(row, num_classes, f"labels in {path}", -1) for row in rows])
    labels = np.where(true_labels < 0, true_labels, labels if names else labels[0])
    record = NoiseRecord(labels, true_labels, num_classes, "file", 0.0, None, modalities=names)
    return dataclasses.replace(record, rate=record.actual_rate)


def _numbered(given: np.ndarray, class_names: tuple[str, ...], path: str) -> np.ndarray:
    """Turns labels that are names of classes into the classes' numbers; others stay as they are.

    Raises:
        UsageError: a text that is no class, or numbers that are names and numbers from 0 alike.
    """
    number = {name: k for k, name in enumerate(class_names)}
    found, inverse = np.unique(given, return_inverse=True)
    whole = found.dtype.kind in "iu" or (
        found.dtype.kind == "f" and np.isfinite(found).all() and (found == np.round(found)).all()
    )
    texts = [str(int(label)) if whole else str(label) for label in found.tolist()]
    none = found == -1 if whole and "-1" not in number else np.zeros(len(found), bool)
    unknown = [text for text, absent in zip(texts, none) if text not in number and not absent]
    known = found[~none]
    counted = whole and len(known) and known[0] >= 0 and known[-1] < len(class_names)
    if found.dtype.kind == "U" and class_names and unknown:
        raise UsageError(
            f"{path} holds the label {unknown[0]!r}, which is no class; use the names "
            f"{', '.join(class_names[:10])}, or numbers from 0"
        )
    if unknown or not class_names or (whole and list(number) == list(map(str, number.values()))):
        return given
    if counted:
        raise UsageError(
            f"{path} holds {known[0]:.0f} to {known[-1]:.0f}, which may be the classes of these "
            f"names or count them from 0; save the names as text ({class_names[0]!r}, ...)"
        )
    return np.array([number.get(text, -1) for text in texts])[inverse].reshape(given.shape)
