"""Reads numpy's files, `.npy` and `.npz`, from anywhere: no pickle, one error for all damage."""

from pathlib import Path

import numpy as np

from jaxcmr.errors import UsageError

MAPPED = 1 << 28  # bytes of a `.npy` file from which on it is not read at once
KINDS = "biufcUS"  # of dtypes: truth values, numbers, text


def read_npy(path: Path) -> np.ndarray:
    """Reads a `.npy` file; one larger than `MAPPED` bytes stays on the disk, as a memory map.

    Raises:
        UsageError: the file cannot be read, or holds neither numbers nor text.
    """
    try:
        large = path.stat().st_size > MAPPED
        array = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is no .npy file")
        return _checked(array)
    except Exception as error:  # numpy's reader evaluates the header, and raises what comes of it
        raise _damaged(path, error) from None


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an `.npz` file.

    Raises:
        UsageError: as `read_npy`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is no .npz file")
            if not all(name.isprintable() for name in file.files):
                raise ValueError("its arrays have no printable names")
            return {name: _checked(file[name]) for name in file.files}
    except Exception as error:  # and zipfile raises what a damaged archive leads it to
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> UsageError:
    advice = "save plain arrays of numbers or text"
    return UsageError(f"{path} cannot be read ({reason(error)}); {advice}")


def reason(error: Exception) -> str:
    """Returns the first line of what an error says, in 200 printable characters, or its name."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return "".join(letter if letter.isprintable() else "?" for letter in lines[0][:200])


def as_text(array: np.ndarray) -> np.ndarray:
    """Turns bytes (`S`, or objects that are bytes) into text; UTF-8, other bytes are replaced."""
    if array.dtype.kind not in "SO":
        return array
    texts = [x.decode("utf-8", "replace") if isinstance(x, bytes) else str(x) for x in array.flat]
    return np.array(texts, np.str_).reshape(array.shape)


def _checked(array: np.ndarray | bytes) -> np.ndarray:
    if not isinstance(array, np.ndarray):
        raise ValueError("a part of it is no .npy file")
    if array.dtype.kind not in KINDS:
        raise ValueError(f"it holds {array.dtype}; save numbers or text")
    if array.dtype.kind == "U":  # 32 bits a character, of which not all are one
        array.astype(array.dtype.newbyteorder("<")).tobytes().decode("utf-32-le")
    return as_text(array)
