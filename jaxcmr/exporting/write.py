"""Writes the towers of a trained run into a folder, all of them or nothing."""

import json
import os
import secrets
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from absl import logging

from jaxcmr.errors import UsageError
from jaxcmr.exporting.artifact import make
from jaxcmr.exporting.describe import FORMAT, describe
from jaxcmr.model import load
from jaxcmr.storage import files
from jaxcmr.storage.paths import expanded
from jaxcmr.workdir.embeddings import file_name

DESCRIPTION, ENDING = "model.json", ".stablehlo"


def export(
    workdir: str | os.PathLike,
    output: str | os.PathLike,
    only: Collection[str] = (),
    checkpoint: str = "best",
    member: int | None = None,
) -> dict[str, Any]:
    """Export the towers of a trained run for programs that have JAX, but not this library.

    Writes `<modality>.stablehlo`, artifacts of `jax.export` for CPU, CUDA and TPU with their
    parameters inside, and `model.json`, which says how a raw item is prepared and the towers are
    called. An earlier export in the folder is replaced.

    Args:
        workdir: the folder of the run.
        output: the folder that is made.
        only: the modalities; all of them if empty.
        checkpoint, member: as for `jaxcmr.load`.

    Returns:
        What `model.json` holds.

    Raises:
        UsageError: as `load`; there is no such modality; or the folder holds anything else.
    """
    folder = Path(os.path.abspath(expanded(output)))  # `..` has no name
    _check_folder(folder)
    model = load(workdir, checkpoint, member)
    unknown = sorted(set(only) - set(model.modalities))
    if unknown:
        raise UsageError(
            f"the run in {model.workdir} has no modality {unknown[0]!r}, only "
            f"{', '.join(model.modalities)}"
        )
    towers = {}
    for modality in model.modalities:
        if not only or modality in only:
            towers[modality] = file_name(modality) + ENDING, make(model, modality)
            logging.info("the tower of %r: %d bytes", modality, len(towers[modality][1].data))
    described = describe(model, checkpoint, member, towers)
    _write(folder, {file: artifact.data for file, artifact in towers.values()}, described)
    return described


def _check_folder(folder: Path) -> None:
    """Refuses a folder with anything but an earlier export, whose files nobody has added to."""
    if not os.path.lexists(folder):
        return
    if not folder.is_dir() or folder.is_symlink():
        raise UsageError(f"{folder} is no folder; choose another --output")
    found = {path.name for path in folder.iterdir()}
    foreign = sorted(found - _exported(folder))
    if foreign:
        raise UsageError(
            f"{folder} holds {foreign[0]!r}, which is not of an export, and nothing there is "
            "overwritten; choose another --output"
        )


def _exported(folder: Path) -> set[str]:
    """Returns the names of the files of an earlier export; none if there is none."""
    try:
        described = json.loads(files.read_bytes(folder / DESCRIPTION))
        if described["format"] != FORMAT:
            return set()
        return {DESCRIPTION, *(tower["file"] for tower in described["towers"].values())}
    except (UsageError, ValueError, TypeError, KeyError, AttributeError):
        return set()


def _write(folder: Path, programs: dict[str, bytes], described: dict[str, Any]) -> None:
    """Writes a folder beside the one that is meant, and puts it in its place when it is whole."""
    mark = f".{secrets.token_hex(8)}"
    made = folder.with_name(mark + files.UNFINISHED)
    old = folder.with_name(mark + "-before" + files.UNFINISHED)
    with files.writing(folder):
        try:
            for name, data in programs.items():
                files.write_atomically(made / name, lambda file, data=data: file.write(data))
            files.write_json(made / DESCRIPTION, described)
            _check_folder(folder)  # again: towers take a while
            if folder.exists():
                os.rename(folder, old)
            try:
                os.rename(made, folder)
            except OSError:
                if old.exists():
                    os.rename(old, folder)
                raise
        finally:
            shutil.rmtree(made, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
