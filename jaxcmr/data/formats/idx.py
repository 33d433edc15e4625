"""Reads IDX files, the format of MNIST (`train-images-idx3-ubyte.gz`, ...)."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from jaxcmr.errors import UsageError, reading
from jaxcmr.storage.files import MAX_BYTES

MAX_RANK = 3


def read_idx(path: Path) -> np.ndarray:
    """Reads an IDX file of bytes, gzipped or not.

    Raises:
        UsageError: unreadable, cut off, or another type than unsigned bytes.
    """
    with reading(path, "get it again", (OSError, EOFError, zlib.error)):
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            head = file.read(4 + 4 * MAX_RANK)
            # A header that announces little does not unpack to much.
            more = max(_length(_shape(head, str(path))) + 1 - len(head), 0)
            return parse_idx(head + file.read(more), str(path))


def _shape(data: bytes, name: str) -> tuple[int, ...]:
    """Reads the header: `00 00 08 rank`, then the sizes as big-endian 32-bit integers."""
    if data[:3] != b"\x00\x00\x08" or len(data) < 4:
        raise UsageError(f"{name} begins with {data[:4].hex(' ')}, not as an IDX file of bytes")
    rank = data[3]
    if not 1 <= rank <= MAX_RANK or len(data) < 4 + 4 * rank:
        raise UsageError(f"{name} has a damaged header ({rank} axes); get it again")
    shape = tuple(np.frombuffer(data, ">u4", rank, 4).tolist())
    if 0 in shape:
        raise UsageError(f"{name} announces {list(shape)} items, so it holds none; get it again")
    if math.prod(shape) > MAX_BYTES:
        raise UsageError(
            f"{name} announces {list(shape)} items, more than {MAX_BYTES >> 20} MB; this is no "
            "MNIST file"
        )
    return shape


def _length(shape: tuple[int, ...]) -> int:
    return 4 + 4 * len(shape) + math.prod(shape)


def parse_idx(data: bytes, name: str) -> np.ndarray:
    """Parses the header (`_shape`), then the bytes."""
    shape = _shape(data, name)
    if len(data) != _length(shape):
        more = "more" if len(data) > _length(shape) else str(len(data))
        raise UsageError(
            f"{name} announces {list(shape)} items, which take {_length(shape)} bytes, but it has "
            f"{more}; get it again"
        )
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
