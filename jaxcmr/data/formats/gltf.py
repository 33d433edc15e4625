"""Reads the arrays of a glTF 2.0 file (`.glb`, `.gltf`): document, buffers and accessors."""

import base64
import json
import urllib.parse
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.storage.files import read_bytes

_TYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
# Extensions that leave the places of vertices alone, or that are read here.
_HARMLESS = (
    "KHR_materials_", "KHR_texture_", "EXT_texture_", "KHR_lights_", "EXT_lights_", "KHR_xmp",
    "KHR_animation_", "KHR_mesh_quantization",
)  # fmt: skip
MAX_SPARSE = 1 << 20  # items of an array that is stored as its differences from zero


class Asset:
    """A glTF file: `document`, its JSON, and the arrays that the accessors describe."""

    def __init__(self, path: Path, data: bytes):
        """Parses the bytes of the file at `path`, beside which its buffers lie.

        Raises:
            UsageError: damaged, of another version, or of an extension that is not read.
        """
        self.name = str(path)
        self._folder = path.parent
        text, self._chunk = self._split(data) if data[:4] == b"glTF" else (data, None)
        try:
            self.document = json.loads(text.decode("utf-8-sig"))
            version = str(self.document["asset"]["version"])
            extensions = list(map(str, self.document.get("extensionsRequired", [])))
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            raise UsageError(f"{self.name} is no glTF file, or damaged; save it again") from None
        if version.partition(".")[0] != "2":
            raise UsageError(f"{self.name} is glTF {version[:9]}; only version 2 is read")
        for extension in extensions:
            if not extension.startswith(_HARMLESS):
                raise UsageError(
                    f"{self.name} needs the extension {extension[:60]!r}, which is not read; save "
                    "it without compression and extensions"
                )
        self._buffers: dict[int, bytes] = {}
        self.size = len(data)  # bytes read so far

    def _split(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Returns the JSON and the numbers of a binary file."""
        version = int.from_bytes(data[4:8], "little")
        if version != 2:
            raise UsageError(f"{self.name} is glTF {version}; only version 2 is read")
        chunks: dict[bytes, bytes] = {}
        place = 12
        while place + 8 <= len(data):
            length = int.from_bytes(data[place : place + 4], "little")
            kind = data[place + 4 : place + 8]
            if place + 8 + length > len(data):
                raise UsageError(f"{self.name} is cut off; get it again")
            chunks.setdefault(kind, data[place + 8 : place + 8 + length])
            place += 8 + length
        if b"JSON" not in chunks:
            raise UsageError(f"{self.name} is cut off or damaged: it has no JSON; get it again")
        return chunks[b"JSON"], chunks.get(b"BIN\0")

    def part(self, kind: str, number: Any) -> dict[str, Any]:
        """Returns the number-th `kind` ("nodes", "meshes", ...) of the document.

        Raises:
            UsageError: there is no such part.
        """
        parts = self.document.get(kind, [])
        known = type(number) is int and isinstance(parts, list) and 0 <= number < len(parts)
        if known and isinstance(parts[number], dict):
            return parts[number]
        raise UsageError(f"{self.name} is damaged: it refers to {kind}[{number!r:.20}]")

    def array(self, number: int, size: int) -> np.ndarray:
        """Returns an accessor as `[count, size]`: float64 if normalized, else as it is stored.

        Raises:
            UsageError: it is damaged, or has not `size` numbers an item.
        """
        accessor = self.part("accessors", number)
        count = self._whole(accessor, "count")
        kind = _TYPES.get(accessor.get("componentType"))
        if kind is None or _SIZES.get(accessor.get("type")) != size:
            raise UsageError(f"{self.name} is damaged: accessors[{number}] has an unfit type")
        if "bufferView" in accessor:
            values = self._view(accessor, count, size, kind)
        elif "sparse" in accessor and count <= MAX_SPARSE:
            values = np.zeros((count, size), kind)
        else:
            raise UsageError(
                f"{self.name}: accessors[{number}] holds no numbers (compressed by an extension?); "
                "save it without compression"
            )
        if "sparse" in accessor:
            values = self._replaced(values, accessor["sparse"], kind)
        if accessor.get("normalized") and kind != "<f4":
            return np.maximum(values / np.iinfo(kind).max, -1.0)
        return values

    def _replaced(self, values: np.ndarray, sparse: dict[str, Any], kind: str) -> np.ndarray:
        """Puts the items of a sparse accessor into their places."""
        count = self._whole(sparse, "count")
        where, what = sparse["indices"], sparse["values"]
        rows = self._view(where, count, 1, _TYPES[where["componentType"]])
        items = self._view(what, count, values.shape[1], kind)
        if count and not 0 <= rows.min() <= rows.max() < len(values):
            raise UsageError(f"{self.name} is damaged: a sparse accessor leads outside; save again")
        values = values.copy()
        values[rows[:, 0]] = items
        return values

    def _view(self, part: dict[str, Any], count: int, size: int, kind: str) -> np.ndarray:
        """Returns the `[count, size]` numbers that a part of the document names, uncopied."""
        start, number = self._whole(part, "byteOffset", 0), part["bufferView"]
        view = self.part("bufferViews", number)
        buffer = self._buffer(view.get("buffer"))
        offset = self._whole(view, "byteOffset", 0)
        length = self._whole(view, "byteLength")
        item = np.dtype(kind).itemsize
        stride = self._whole(view, "byteStride", 0) or item * size
        needed = start + (count - 1) * stride + item * size if count else 0
        if needed > length or offset + length > len(buffer):
            raise UsageError(f"{self.name} is cut off or damaged: bufferViews[{number}] is short")
        place, steps = offset + start, (stride, item)
        return np.ndarray((count, size), kind, buffer, place if count else 0, steps)

    def _whole(self, part: dict[str, Any], key: str, default: int | None = None) -> int:
        value = part.get(key, default)
        if type(value) is not int or not 0 <= value < 1 << 40:
            raise UsageError(f"{self.name} is damaged: {key} is {value!r:.20}; save it again")
        return value

    def _buffer(self, number: Any) -> bytes:
        if number not in self._buffers:
            uri = self.part("buffers", number).get("uri")
            if uri is not None:
                self._buffers[number] = self._fetch(uri)
                self.size += len(self._buffers[number])
            elif number == 0 and self._chunk is not None:
                self._buffers[number] = self._chunk
            else:
                raise UsageError(f"{self.name} is cut off or damaged: buffers[{number}] is missing")
        return self._buffers[number]

    def _fetch(self, uri: str) -> bytes:
        if uri.startswith("data:"):
            head, _, body = uri.partition(",")
            if not head.endswith(";base64"):
                raise UsageError(f"{self.name} has a buffer that is not base64; save it again")
            return base64.b64decode(body)
        path = buffer_path(self._folder, uri)
        if path is None:
            raise UsageError(
                f"{self.name} names the file {uri[:60]!r}, which is outside of its folder; put it "
                "beside, or save a .glb"
            )
        if not path.is_file():
            raise UsageError(f"{self.name} names the file {uri[:60]!r}, but {path} is none")
        return read_bytes(path)


def buffer_path(folder: Path, uri: str) -> Path | None:
    """Returns the file that a `uri` names in a folder or below; None if it leads elsewhere."""
    relative = urllib.parse.unquote(uri)
    parts = PurePosixPath(relative).parts
    leads_out = not parts or ".." in parts or parts[0] == "/" or set(relative) & set(":\\\0")
    return None if leads_out else folder.joinpath(*parts)


def buffer_files(path: Path) -> list[Path]:
    """Returns the files beside a `.gltf` that its arrays lie in; of one that is damaged, none."""
    try:
        buffers = Asset(path, path.read_bytes()).document.get("buffers", [])
        uris = [buffer.get("uri", "") for buffer in buffers]
        files = [buffer_path(path.parent, uri) for uri in uris if not uri.startswith("data:")]
    except (OSError, UsageError, AttributeError, TypeError):
        return []
    return [file for file in files if file is not None]
