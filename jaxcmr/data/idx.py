"""Reads IDX files, the format of MNIST (`train-images-idx3-ubyte.gz`, ...)."""

import gzip
import io
import math
import zlib
from pathlib import Path

import numpy as np

from jaxcmr.errors import UsageError

MAX_BYTES = 1 << 30


def read_idx(path: Path) -> np.ndarray:
    """Reads an IDX file of bytes, gzipped or not.

    Raises:
        UsageError: unreadable, cut off, or another type than unsigned bytes.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be read ({error}); get it again") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path} unpacks to more than {MAX_BYTES >> 20} MB; this is no MNIST file")
    return parse_idx(data, str(path))


def parse_idx(data: bytes, name: str) -> np.ndarray:
    """Parses `00 00 08 rank`, the sizes as big-endian 32-bit integers, then the bytes."""
    if data[:3] != b"\x00\x00\x08" or len(data) < 4:
        raise UsageError(f"{name} begins with {data[:4].hex(' ')}, not as an IDX file of bytes")
    rank = data[3]
    start = 4 + 4 * rank
    if not 1 <= rank <= 3 or len(data) < start:
        raise UsageError(f"{name} has a damaged header ({rank} axes); get it again")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", rank, 4))
    expected = start + math.prod(shape)
    if 0 in shape:
        raise UsageError(f"{name} announces {list(shape)} items, so it holds none; get it again")
    if len(data) != expected:
        raise UsageError(
            f"{name} announces {list(shape)} items, which take {expected} bytes, but it has "
            f"{len(data)}; get it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
