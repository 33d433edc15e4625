"""Numbers as JAX takes them: in the machine's order of bytes, of up to 64 bits."""

from typing import Any

import numpy as np


def native(array: Any) -> Any:
    """Returns numpy's numbers in a type that JAX has; everything else as it is.

    JAX refuses other orders of bytes, which come out of HDF5, FITS and IDX files, and long doubles.
    """
    if not isinstance(array, np.ndarray | np.generic):
        return array
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
    return array.astype(np.float64 if wide else array.dtype.newbyteorder("="), copy=False)
