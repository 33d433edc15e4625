"""The files of a run's embeddings: all its rows in the common space, one file a modality."""

import dataclasses
import functools
import hashlib
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.storage import files, numpyfiles
from jaxcmr.storage.paths import expanded
from jaxcmr.types import UNKNOWN, Dataset
from jaxcmr.workdir import folder as run_folder
from jaxcmr.workdir import forms, missing

FOLDER = "embeddings"
LONGEST = 120  # bytes of a file's name, before its ending
AGAIN = "start the command of the run again, which writes it without training again"

Add = Callable[[Mapping[str, np.ndarray]], None]


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Embeddings:
    """The N rows of a run in the common space, by their items of one modality.

    Attributes:
        modality: its name.
        embeddings: `[N, size]` float32 unit rows of the ensemble of the best epoch, on the disk;
            zeros where the item is missing.
        present: `[N]` bool, False where the item is missing.
        ids: `[N]` str.
        split: `[N]` str, "train", "validation" or "test", in this order.
        labels: `[N]` int32, the label as given to this modality, after noise and corrections; -1
            where there is none.
        true_labels: `[N]` int32, -1 for an item of none of the classes, `types.UNKNOWN` where
            nobody knows it.
        class_names: a label k is `class_names[k]`.
    """

    modality: str
    embeddings: np.ndarray
    present: np.ndarray
    ids: np.ndarray
    split: np.ndarray
    labels: np.ndarray
    true_labels: np.ndarray
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Embeddings({self.modality!r}, {len(self)} rows of {self.embeddings.shape[1]})"


def read(workdir: str | os.PathLike) -> dict[str, Embeddings]:
    """Opens the embeddings of a finished run, by modality; the rows themselves stay on the disk.

    Raises:
        UsageError: there is no finished run, it is one of an earlier version, which kept the test
            set alone, or a file is damaged.

    Example:
        >>> text = read("runs/first")["text"]
        >>> text.embeddings[text.split == "train"]  # [N, size]
    """
    workdir = expanded(workdir)
    modalities = run_folder.read_data_config(workdir).modalities
    return {name: _read(workdir, name) for name in modalities}


def _read(workdir: Path, modality: str) -> Embeddings:
    place = f"{FOLDER}/{file_name(modality)}.npz"
    path = workdir / place
    if not path.is_file():
        raise UsageError(missing.why(workdir, place))
    arrays = numpyfiles.map_npz(path, forms.EMBEDDINGS, AGAIN)
    if lacking := [name for name in forms.EMBEDDINGS if name not in arrays]:
        why = "earlier versions kept the test set alone" if "split" in lacking else "it is damaged"
        raise UsageError(f"{path} lacks {', '.join(lacking)} ({why}); {AGAIN}")
    if wrong := forms.fault(arrays, forms.EMBEDDINGS):
        raise UsageError(f"{path} is damaged ({wrong}); {AGAIN}")
    found = {k: v if k == "embeddings" else np.array(v) for k, v in arrays.items()}
    texts = {"modality": modality, "class_names": tuple(found["class_names"].tolist())}
    return Embeddings(**found | texts)


@contextmanager
def written(workdir: Path, sets: Mapping[str, Dataset]) -> Iterator[Add]:
    """Yields `add(rows)`, which takes the embeddings of all rows, in their order, piece by piece.

    `rows` are the unit rows `[n, size]` of every modality. At the end of the block each file
    replaces an older one, whole or not at all.

    Args:
        workdir: the run's folder.
        sets: "train", "validation", "test" -> the data set, labels as given.

    Raises:
        UsageError: the disk is full, or does not let us write.
    """
    modalities = next(iter(sets.values())).modalities
    with ExitStack() as stack:
        adds = {
            name: stack.enter_context(_written(workdir / FOLDER, name, sets)) for name in modalities
        }

        def add(rows: Mapping[str, np.ndarray]) -> None:
            for name, add_to in adds.items():
                add_to(rows[name])

        yield add


@contextmanager
def _written(
    folder: Path, modality: str, sets: Mapping[str, Dataset]
) -> Iterator[Callable[[np.ndarray], None]]:
    """Yields what takes the rows of one modality; they are never in memory all together.

    They are float32: half precision would change an entry by up to 1e-4, and a search would have to
    copy all of them.
    """
    about = _about(modality, sets)
    present, first = about["present"], 0
    place = folder / f"{file_name(modality)}.npz"
    with files.replacing(place) as file, zipfile.ZipFile(file, "w") as archive:
        create = functools.partial(archive.open, mode="w", force_zip64=True)
        # The first of the arrays: so its numbers lie at a multiple of 64 bytes, from where JAX
        # takes them without a copy.
        with create("embeddings.npy") as stream:

            def add(rows: np.ndarray) -> None:
                nonlocal first
                if not first:
                    shape = (len(present), rows.shape[1])
                    head = {"descr": "<f4", "fortran_order": False, "shape": shape}
                    np.lib.format.write_array_header_1_0(stream, head)
                there = present[first : first + len(rows), None]
                first += len(rows)
                stream.write(np.where(there, rows, 0).astype("<f4").tobytes())

            yield add
        for name, array in about.items():
            with create(f"{name}.npy") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def _about(modality: str, sets: Mapping[str, Dataset]) -> dict[str, np.ndarray]:
    """Returns the arrays beside the embeddings, see `Embeddings`."""
    joined = lambda get: np.concatenate([np.asarray(get(part)) for part in sets.values()])
    unknown = lambda part: np.full(len(part), UNKNOWN)
    truth = lambda part: unknown(part) if part.true_labels is None else part.true_labels
    return {
        "present": joined(lambda part: part.present.get(modality, np.ones(len(part), bool))),
        "ids": joined(lambda part: part.ids).astype(np.str_),
        "split": np.repeat(list(sets), [len(part) for part in sets.values()]),
        "labels": joined(lambda part: part.labels_of(modality)).astype(np.int32),
        "true_labels": joined(truth).astype(np.int32),
        "class_names": np.array(next(iter(sets.values())).class_names, np.str_),
        "modality": np.array(modality, np.str_),
    }


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
