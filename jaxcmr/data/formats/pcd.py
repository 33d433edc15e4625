"""Reads point clouds of the Point Cloud Library (`.pcd`, version 0.7)."""

import numpy as np
from absl import logging

from jaxcmr.data.formats.textfiles import parse_numbers
from jaxcmr.errors import UsageError

_KINDS = {"F": ("f", (4, 8)), "I": ("i", (1, 2, 4, 8)), "U": ("u", (1, 2, 4, 8))}
MAX_HEADER = 1 << 16
MAX_POINT = 1 << 28  # bytes
MAX_RATIO = 100  # bytes that LZF makes of one: at most 264 of 3


def parse_pcd(data: bytes, name: str) -> np.ndarray:
    """Parses the fields x, y and z of a PCD file as `[N, 3]` float64.

    DATA may be ascii, binary or binary_compressed. Other fields are passed over, whatever their
    COUNT. A point with a coordinate that is NaN was not measured, by the format's own rule, and is
    left out. `VIEWPOINT` is the pose of the sensor, not one of the points, and is not applied.

    Raises:
        UsageError: damaged, cut off, or without x, y and z; names the file and the field.
    """
    header, start = _header(data, name)
    names, row = _fields(header, name)
    count = _point_count(header, name)
    columns = [_column(names, row, axis, name) for axis in "xyz"]
    kind, body = " ".join(header["DATA"]).lower(), data[start:]
    if kind == "ascii":
        values = _ascii(body, row, columns, count, name)
    elif kind == "binary":
        _check_length(count * row.itemsize, len(body), name)
        table = np.frombuffer(body, row, count)
        values = [table[column][:, 0] for column in columns]
    elif kind == "binary_compressed":
        values = _compressed(body, row, columns, count, name)
    else:
        raise UsageError(
            f"{name}: DATA {kind[:20]!r} is none of ascii, binary and binary_compressed; save the "
            ".pcd file again"
        )
    with np.errstate(invalid="ignore"):  # a signalling NaN
        points = np.stack([column.astype(np.float64) for column in values], 1)
    measured = points[~np.isnan(points).any(1)]
    if not len(measured):
        raise UsageError(f"{name} holds no point that was measured, but {count} that are NaN")
    if len(measured) < count:
        logging.log_first_n(
            logging.INFO, "%s: %d of %d points are NaN, not measured, and left out (said once)",
            1, name, count - len(measured), count,
        )  # fmt: skip
    return measured


def _header(data: bytes, name: str) -> tuple[dict[str, list[str]], int]:
    """Returns the words of each line up to DATA, and where the points begin."""
    header: dict[str, list[str]] = {}
    place = 0
    while "DATA" not in header:
        end = data.find(b"\n", place, MAX_HEADER)
        if end < 0:
            raise UsageError(f"{name} has no line DATA, or was cut off; save the .pcd file again")
        words = data[place:end].decode("latin-1").split()
        place = end + 1
        if words and not words[0].startswith("#"):
            header[words[0]] = words[1:]
    return header, place


def _fields(header: dict[str, list[str]], name: str) -> tuple[list[str], np.dtype]:
    """Returns the names of the fields, and the type of a point, in which field k is `f<k>`."""
    names = header.get("FIELDS") or header.get("COLUMNS", [])  # before version 0.6
    types, sizes = header.get("TYPE", []), header.get("SIZE", [])
    counts = header.get("COUNT", ["1"] * len(names))
    if not names or not len(names) == len(types) == len(sizes) == len(counts):
        raise UsageError(
            f"{name}: FIELDS, SIZE, TYPE and COUNT name {len(names)}, {len(sizes)}, {len(types)} "
            f"and {len(counts)} fields; save the .pcd file again"
        )
    fields, total = [], 0
    for k, (field, kind, size, count) in enumerate(zip(names, types, sizes, counts)):
        letter, allowed = _KINDS.get(kind, ("", ()))
        known = size in map(str, allowed) and count.isdecimal() and len(count) < 9
        total += int(size) * int(count) if known else 0
        if not known or not int(count) or total > MAX_POINT:
            raise UsageError(
                f"{name} is damaged: the field {field[:20]!r} has the type {kind[:9]!r}, the size "
                f"{size[:9]!r} and the count {count[:9]!r}; save the .pcd file again"
            )
        fields.append((f"f{k}", f"<{letter}{size}", (int(count),)))
    return names, np.dtype(fields)


def _point_count(header: dict[str, list[str]], name: str) -> int:
    words = header.get("POINTS") or [*header.get("WIDTH", []), *header.get("HEIGHT", [])]
    if not words or not all(word.isdecimal() and len(word) < 16 for word in words):
        raise UsageError(f"{name} has no line POINTS with a number; save the .pcd file again")
    count = int(np.prod([int(word) for word in words], dtype=object))
    if count < 1:
        raise UsageError(f"{name} holds no point (POINTS {count})")
    return count


def _column(names: list[str], row: np.dtype, axis: str, name: str) -> str:
    if names.count(axis) != 1 or row[names.index(axis)].shape != (1,):
        known = " ".join(names)
        raise UsageError(
            f"{name} needs one field {axis!r} of COUNT 1; its fields are {known[:80]!r}"
        )
    return f"f{names.index(axis)}"


def _ascii(body: bytes, row: np.dtype, columns, count: int, name: str) -> list[np.ndarray]:
    ends = np.cumsum([row[k].shape[0] for k in range(len(row))])
    width = int(ends[-1])
    numbers = parse_numbers(body) if count * width <= len(body) else np.zeros(0)
    if numbers is None or len(numbers) < count * width:
        raise UsageError(
            f"{name} is damaged or cut off: {count} lines of {width} numbers are needed; save the "
            ".pcd file again"
        )
    table = numbers[: count * width].reshape(count, width)
    return [table[:, ends[row.names.index(column)] - 1] for column in columns]


def _compressed(body: bytes, row: np.dtype, columns, count: int, name: str) -> list[np.ndarray]:
    """Parses columns that follow each other, packed by LZF behind their two lengths."""
    packed, unpacked = (int(word) for word in np.frombuffer(body[:8].ljust(8, b"\0"), "<u4"))
    _check_length(packed, len(body) - 8, name)
    _check_length(unpacked, MAX_RATIO * packed, name)
    _check_length(count * row.itemsize, unpacked, name)
    try:
        table = unpack_lzf(body[8 : 8 + packed], unpacked)
    except (ValueError, IndexError):
        raise UsageError(f"{name} is damaged (LZF); save the .pcd file again") from None
    fields = [row.fields[column] for column in columns]
    return [np.frombuffer(table, kind.base, count, count * start) for kind, start in fields]


def _check_length(needed: int, given: int, name: str) -> None:
    if needed > given:
        raise UsageError(
            f"{name} is damaged or cut off: it announces {needed} bytes, but {max(given, 0)} "
            "follow; save the .pcd file again"
        )


def unpack_lzf(data: bytes, size: int) -> bytes:
    """Unpacks LZF (Lehmann's): runs of bytes, and repetitions of what was unpacked before.

    Raises:
        ValueError, IndexError: the result has not `size` bytes, or the data are damaged.
    """
    out = bytearray()
    place = 0
    while place < len(data) and len(out) <= size:
        control = data[place]
        place += 1
        if control < 32:
            out += data[place : place + control + 1]
            place += control + 1
            continue
        length = control >> 5
        if length == 7:
            length += data[place]
            place += 1
        start = len(out) - ((control & 31) << 8) - data[place] - 1
        place += 1
        if start < 0:
            raise ValueError("refers to what lies before the first byte")
        seen = out[start : start + length + 2]
        out += (seen * ((length + 2) // len(seen) + 1))[: length + 2]
    if len(out) != size:
        raise ValueError("has another length than announced")
    return bytes(out)
