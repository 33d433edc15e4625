"""Data tests see no user's data, no user's cache and no network."""

import json
import struct

import numpy as np
import pytest

from jaxcmr.config import default

CUBE = """OFF
8 6 0
-1 -1 -1
1 -1 -1
1 1 -1
-1 1 -1
-1 -1 1
1 -1 1
1 1 1
-1 1 1
4 0 3 2 1
4 4 5 6 7
4 0 1 5 4
4 2 3 7 6
4 1 2 6 5
4 3 0 4 7
"""

GLTF_TYPES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JAXCMR_OFFLINE", "1")
    monkeypatch.delenv("JAXCMR_DATA", raising=False)


@pytest.fixture
def config():
    """The part `data` of a config, small."""
    data = default().data
    data.points, data.views, data.image_size = 16, 2, 16
    data.train_size, data.test_size = 20, 10
    data.fallback = "none"
    return data


@pytest.fixture
def cube() -> str:
    """The text of an .off file: a cube of edge 2."""
    return CUBE


class GltfWriter:
    """Collects the arrays of a glTF file in one buffer and describes them."""

    def __init__(self):
        self.data = b""
        self.views, self.accessors = [], []

    def view(self, data: bytes, **more) -> int:
        self.data += bytes(-len(self.data) % 4)
        place = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        self.views.append(place | more)
        self.data += data
        return len(self.views) - 1

    def array(self, values, **more) -> int:
        values = np.asarray(values)
        size = 1 if values.ndim == 1 else values.shape[1]
        accessor = {
            "bufferView": self.view(values.tobytes()),
            "componentType": GLTF_TYPES[values.dtype.str[1:]],
            "count": len(values),
            "type": {1: "SCALAR", 3: "VEC3", 4: "VEC4", 16: "MAT4"}[size],
        }
        self.accessors.append(accessor | more)
        return len(self.accessors) - 1

    def document(self, primitive, **more) -> dict:
        whole = {
            "asset": {"version": "2.0"},
            "meshes": [{"primitives": [primitive]}],
            "nodes": [{"mesh": 0}],
            "scenes": [{"nodes": [0]}],
            "scene": 0,
            "buffers": [{"byteLength": len(self.data)}],
            "bufferViews": self.views,
            "accessors": self.accessors,
        }
        return {key: value for key, value in (whole | more).items() if value is not None}

    def glb(self, document: dict) -> bytes:
        """The bytes of a binary file of a document and the buffer."""
        text = json.dumps(document).encode()
        text += b" " * (-len(text) % 4)
        body = struct.pack("<I4s", len(text), b"JSON") + text
        body += struct.pack("<I4s", len(self.data), b"BIN\0") + self.data
        return b"glTF" + struct.pack("<2I", 2, 12 + len(body)) + body


@pytest.fixture
def writer() -> GltfWriter:
    return GltfWriter()
