"""Reads MATLAB's `.mat` files of every version: numbers, texts, sparse arrays, cells of them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from absl import logging

from jaxcmr.data.formats import hdf5files, matfiles
from jaxcmr.errors import UsageError, reading
from jaxcmr.packages import Later
from jaxcmr.storage import numpyfiles

h5py, scipy_io = Later("h5py"), Later("scipy.io")
Value = np.ndarray | list[np.ndarray]


def read_mat(path: Path) -> dict[str, Value]:
    """Reads a `.mat` of any version, or plain HDF5; a cell becomes a list of arrays.

    MATLAB 7.3 files are HDF5 with their axes reversed: they are turned back. Sparse arrays become
    full ones. Variables that are neither numbers nor text (structs, complex numbers, ...) are left
    out, and named in the log.

    Raises:
        UsageError: the file cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    with reading(path, "get it again"):  # the readers raise whatever damage leads them to
        if h5py.is_hdf5(path):
            turned = path.suffix.lower() == ".mat"
            with h5py.File(path) as file:
                names = [key for key in file if not key.startswith("#")]  # what cells refer to
                items = {key: hdf5files.member(file, key, key) for key in names}
                found = {key: _value(file, item, key, turned) for key, item in items.items()}
        elif scipy_io.matlab.matfile_version(path)[0] == 1:
            found = matfiles.parse_mat(memoryview(np.memmap(path, np.uint8, "r")))
        else:  # of MATLAB 4
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of numbers that it takes for what they are not
                # From memory: from a file it reserves as much as the file announces.
                read = scipy_io.loadmat(io.BytesIO(path.read_bytes())).items()
            found = {key: value for key, value in read if isinstance(value, np.ndarray)}
    left = sorted(key for key, value in found.items() if value is None)
    if left:
        logging.warning(
            "%s: %d variables are neither numbers nor text and are left out: %s",
            path, len(left), ", ".join(left),
        )  # fmt: skip
    return {key: value for key, value in found.items() if value is not None}


def _value(file: h5py.File, item, name: str, turned: bool) -> Value | None:
    """Returns an array, a cell's list of arrays, or None for what is neither."""
    if isinstance(item, h5py.Group) and "MATLAB_sparse" in item.attrs and {"data", "ir"} <= {*item}:
        rows, starts, values = (
            hdf5files.read_dataset(item[part], name) for part in ("ir", "jc", "data")
        )
        shape = (int(item.attrs["MATLAB_sparse"]), len(starts) - 1)
        return matfiles.full(rows, starts, values, shape)
    if not isinstance(item, h5py.Dataset):
        return None
    if item.dtype == h5py.ref_dtype:
        cells = [_array(file[one], name, turned) for one in hdf5files.read_dataset(item, name).flat]
        return None if any(cell is None for cell in cells) else cells
    return _array(item, name, turned)


def _array(item, name: str, turned: bool) -> np.ndarray | None:
    if not isinstance(item, h5py.Dataset):
        return None
    value = hdf5files.read_dataset(item, name)
    if value.dtype.kind not in numpyfiles.KINDS:
        return None
    if item.attrs.get("MATLAB_empty", 0):  # its shape stands where its numbers would
        if value.ndim != 1 or 0 not in value:
            raise ValueError(f"{name} is marked as empty, but has entries")
        return np.zeros(value.astype(int))
    value = value.T if turned else value
    if item.attrs.get("MATLAB_class") == b"char":
        codes = np.atleast_2d(value).astype("<u2")
        return np.array([row.tobytes().decode("utf-16-le", "replace").rstrip() for row in codes])
    return value
