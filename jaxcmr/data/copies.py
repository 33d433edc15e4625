"""Items that are the same in several rows, number by number."""

import hashlib

import numpy as np

from jaxcmr.data.heldout import warn_of_shared
from jaxcmr.storage import lazy
from jaxcmr.types import Dataset, Splits


def warn_of_copies(splits: Splits, name: str) -> None:
    """Says in one line how many items of the other splits are those of training rows, too.

    Items that stay on the disk are not compared.
    """
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    parts = {split: part for split, part in parts.items() if part is not None}
    named = np.repeat(list(parts), [len(part) for part in parts.values()])
    links = {}
    for modality in splits.train.modalities:
        if any(isinstance(p.inputs[modality], lazy.LazyRows) for p in parts.values()):
            continue
        found = [digest for part in parts.values() for digest in _digests(part, modality)]
        numbers = {digest: number for number, digest in enumerate(dict.fromkeys(found))}
        links[modality] = np.array([numbers[d] if d else -1 for d in found], int)
    warn_of_shared(links, named, name)


def _digests(part: Dataset, modality: str) -> list[bytes]:
    """Returns a digest an item; b"" for one that is missing, or blank (one number everywhere)."""
    items = np.asarray(part.inputs[modality])
    there = part.present.get(modality, np.ones(len(part), bool))
    return [_digest(row) if say else b"" for row, say in zip(items, there)]


def _digest(item: np.ndarray) -> bytes:
    if (item == item.flat[0]).all():
        return b""
    return hashlib.blake2b(np.ascontiguousarray(item).tobytes(), digest_size=16).digest()
