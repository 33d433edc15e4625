"""The global heaps of an HDF5 file, in which texts of any length lie."""

import mmap

import h5py

_START = b"GCOL\x01\0\0\0"
_ALIGNMENT = 8


def check_heaps(file: h5py.File) -> None:
    """Raises a ValueError if the objects of a heap do not follow each other to its end.

    The HDF5 library goes from one object to the next by their sizes and trusts them: free space of
    size 0 leads it to the same place for ever, and nothing can stop it.
    """
    width = file.id.get_create_plist().get_sizes()[1]  # bytes of a size
    head = _aligned(8 + width)  # bytes before the first object, and before the data of each
    with (
        open(file.filename, "rb") as raw,
        mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        number = lambda place, count: int.from_bytes(data[place : place + count], "little")
        start = data.find(_START)
        while start >= 0:
            end = start + number(start + 8, width)
            place = start + head
            while place + head <= min(end, len(data)):
                size = number(place + 8, width)
                free = number(place, 2) == 0  # its size counts its own head
                step = size if free else head + _aligned(size)
                if step < head or place + step > end:
                    raise ValueError("a heap of texts is damaged")
                place += step
            start = data.find(_START, start + 1)


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
