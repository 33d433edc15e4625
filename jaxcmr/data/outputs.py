"""Writes files that a person names, never over a source or a file of other programs."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.packages import Later
from jaxcmr.storage.files import write_atomically

Image, PngImagePlugin = Later("PIL.Image"), Later("PIL.PngImagePlugin")
MARK = "written by jaxcmr"  # in the files, by which they are known again


def check_output(path: Path, suffix: str, sources: tuple[Path, ...] = ()) -> None:
    """Checks that a file may be written, before what goes into it is computed.

    Raises:
        UsageError: it has another suffix, is one of the sources (by whatever name), or is a file
            that this library has not written.
    """
    if path.suffix.lower() != suffix:
        raise UsageError(f"the output {path} must end in {suffix}")
    # "new/../theirs.npz" is there as soon as the folder "new" is made.
    place = Path(os.path.realpath(path))
    for source in sources:
        if os.path.exists(place) and os.path.exists(source) and os.path.samefile(place, source):
            raise UsageError(f"the output {path} is the source {source}; choose another name")
    if os.path.isdir(place):
        raise UsageError(f"the output {path} is a folder; name a file in it")
    if (os.path.lexists(path) or os.path.lexists(place)) and not _is_ours(place):
        raise UsageError(
            f"the output {path} exists, and is no file that this command has written; remove it or "
            "choose another name"
        )


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a compressed `.npz` with our mark, whole or not at all."""

    def write(file) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)
            archive.comment = MARK.encode()

    write_atomically(path, write)


def write_picture(path: Path, picture: Image.Image) -> None:
    """Writes a `.png` with our mark, whole or not at all."""
    marked = PngImagePlugin.PngInfo()
    marked.add_text("Software", MARK)
    save = lambda file: picture.save(file, format="PNG", optimize=True, pnginfo=marked)
    write_atomically(path, save)


def _is_ours(path: Path) -> bool:
    try:
        if path.suffix.lower() == ".png":
            with Image.open(path, formats=("PNG",)) as picture:
                return picture.info.get("Software") == MARK
        with zipfile.ZipFile(path) as archive:
            return archive.comment == MARK.encode()
    except UsageError:
        raise
    except Exception:  # whatever the file is, it is not ours
        return False
