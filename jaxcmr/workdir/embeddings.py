"""The files of a run's embeddings: the test set in the common space."""

import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxcmr.storage.files import write_atomically
from jaxcmr.types import Dataset

LONGEST = 120  # bytes of a file's name, before its ending


def save(folder: Path, test: Dataset, embeddings: Mapping[str, np.ndarray]) -> None:
    """Writes one file a modality: `[N, d]` unit rows of the test set, and what belongs to them.

    Each `.npz` holds `embeddings`, `present [N]` bool (False where the item is missing: its row is
    zeros), `ids`, `labels` (the true ones where they are known; -1: none), `class_names`, and
    `modality`.
    """
    labels = test.labels if test.true_labels is None else test.true_labels
    for modality, rows in embeddings.items():
        present = test.present.get(modality, np.ones(len(test), bool))
        arrays = {
            "embeddings": np.where(present[:, None], rows, np.zeros((), rows.dtype)),
            "present": present,
            "ids": test.ids.astype(np.str_),
            "labels": labels,
            "class_names": np.array(test.class_names, np.str_),
            "modality": np.array(modality, np.str_),
        }
        write = functools.partial(np.savez, **arrays)
        write_atomically(folder / f"{file_name(modality)}.npz", write)


def file_name(modality: str) -> str:
    """Returns a modality's name as that of a file: `image` stays, `a/b` is `a%2Fb`.

    What a file system or a shell would take for something else is written as %XX; of a name that is
    too long, the beginning and a checksum are left.
    """
    code = lambda match: "".join(f"%{byte:02X}" for byte in _bytes(match[0]))
    name = re.sub(r"[/\\%\x00-\x1f\x7f\ud800-\udfff]|^\.", code, modality) or "%"
    if len(_bytes(name)) <= LONGEST:
        return name
    start = _bytes(name)[: LONGEST - 17].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(_bytes(modality)).hexdigest()[:16]}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
