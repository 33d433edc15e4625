"""Reads the tensors of PyTorch checkpoints without PyTorch, and without running what they hold.

A checkpoint is a pickle: a program that may call any function it can name. This reader's
`find_class` accepts a short list of names, returns stand-ins for them (which only note shapes), and
refuses every other name. Both layouts are read: the zip archive of PyTorch 1.6 and later, and the
older stream of pickles, in which most published weights still come.
"""

import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxcmr.display import shown
from jaxcmr.errors import UsageError, reason

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_START = b"\x80\x02\x8a\n" + LEGACY_MAGIC.to_bytes(10, "little")
STORAGES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}


class Storage(NamedTuple):
    """A run of numbers somewhere in the file."""

    key: str
    dtype: str
    count: int


class Tensor(NamedTuple):
    """A view of a storage; its numbers are read after the pickle."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _stand_ins() -> dict[tuple[str, str], Any]:
    """Returns what a pickle may name. Made for each file: a pickle may set attributes."""
    tensor = lambda storage, offset, size, stride, *rest: Tensor(storage, offset, size, stride)
    parameter = lambda data, *rest: data
    nothing = lambda *args: None  # numpy scalars next to the weights: accuracies, epochs
    names = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor"): tensor,
        ("torch._utils", "_rebuild_tensor_v2"): tensor,
        ("torch._utils", "_rebuild_parameter"): parameter,
        ("numpy.core.multiarray", "scalar"): nothing,
        ("numpy._core.multiarray", "scalar"): nothing,
        ("numpy", "dtype"): lambda *args: OrderedDict(),  # takes the state that follows
        ("_codecs", "encode"): nothing,
    }
    return names | {("torch", name): dtype for name, dtype in STORAGES.items()}


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream):
        super().__init__(stream, encoding="utf-8")
        self._names = _stand_ins()
        self.storages: dict[str, Storage] = {}

    def find_class(self, module: str, name: str):
        if (module, name) not in self._names:
            raise UsageError(
                f"holds the object {shown(f'{module}.{name}', 80)}, and loading it would run code; "
                "save `model.state_dict()` instead of the model"
            )
        return self._names[module, name]

    def persistent_load(self, pid):
        kind, dtype, key, _, count = pid[:5]
        known = kind == "storage" and dtype in STORAGES.values() and isinstance(key, str | int)
        if not known or (len(pid) > 5 and pid[5]):
            raise ValueError("unknown kind of storage")
        return self.storages.setdefault(str(key), Storage(str(key), dtype, int(count)))


def read_torch(path: Path) -> dict[str, Any]:
    """Reads a checkpoint as nested dicts whose leaves are arrays (other leaves are dropped).

    Raises:
        UsageError: if the file is no checkpoint, is damaged, or holds anything but tensors in
            dicts, lists and plain values.
    """
    try:
        tree, data = _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
        return _arrays(tree, data, {})
    except UsageError as error:
        raise UsageError(f"the checkpoint {path} {error}") from None
    except Exception as error:  # whatever a damaged or hostile pickle makes the unpickler raise
        raise UsageError(
            f"the checkpoint {path} cannot be read ({type(error).__name__}: {reason(error)}); "
            "download it again, or save its state_dict with a current PyTorch"
        ) from error


def _read_zip(path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        roots = [name.removesuffix("data.pkl") for name in names if name.endswith("data.pkl")]
        if len(roots) != 1:
            raise UsageError("has no data.pkl; give a PyTorch checkpoint")
        (root,) = roots
        order = archive.read(root + "byteorder") if root + "byteorder" in names else b"little"
        if order != b"little":
            raise UsageError(f"was written in byte order {order[:20]!r}; only little is read")
        unpickler, tree = _load(io.BytesIO(archive.read(root + "data.pkl")))
        data = {}
        for key, storage in unpickler.storages.items():
            info = archive.getinfo(f"{root}data/{key}")
            if info.file_size != _bytes_of(storage):  # before anything is unpacked
                raise ValueError(f"storage {key} has {info.file_size} bytes")
            data[key] = _numbers(archive.read(info), storage)
    return tree, data


def _read_legacy(path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    with open(path, "rb") as file:
        if file.read(len(LEGACY_START)) != LEGACY_START:
            raise UsageError("is no PyTorch checkpoint")
        stream = io.BytesIO(file.read()[1:])  # after the STOP of the magic number's pickle
    (_, protocol), (_, system) = _load(stream), _load(stream)
    if protocol != 1001 or not system.get("little_endian", True):
        raise UsageError("has another protocol than 1001, little-endian, the only one that is read")
    (unpickler, tree), data = _load(stream), {}
    for key in _load(stream)[1]:
        storage = unpickler.storages[str(key)]
        count = int.from_bytes(stream.read(8), "little")
        if count != storage.count:
            raise ValueError(f"storage {key} has {count} numbers, not {storage.count}")
        data[storage.key] = _numbers(stream.read(_bytes_of(storage)), storage)
    return tree, data


def _load(stream: io.BytesIO) -> tuple[_Unpickler, Any]:
    """Loads the next pickle of a stream.

    The unpickler keeps a table as long as the largest place that the pickle names in it: places
    beyond the file's size would take any memory.
    """
    start, size = stream.tell(), len(stream.getbuffer())
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in ("PUT", "LONG_BINPUT") and argument > size:
            raise ValueError(f"place {argument} in a file of {size} bytes")
    stream.seek(start)
    unpickler = _Unpickler(stream)
    return unpickler, unpickler.load()


def _numbers(raw: bytes, storage: Storage) -> np.ndarray:
    if len(raw) != _bytes_of(storage):
        raise ValueError(f"storage {storage.key} is cut short")
    return numbers(raw, storage.dtype)


def _bytes_of(storage: Storage) -> int:
    return storage.count * jnp.dtype(storage.dtype).itemsize


def numbers(raw: bytes, dtype: str) -> np.ndarray:
    """Returns the numbers that bytes stand for, in `dtype`; bfloat16 is widened to float32."""
    values = np.frombuffer(raw, jnp.dtype(dtype))  # JAX adds bfloat16 to numpy's types
    return values.astype(np.float32) if dtype == "bfloat16" else values


def _arrays(tree: Any, data: dict[str, np.ndarray], done: dict[int, Any]) -> Any:
    """Replaces tensors by arrays, lists by dicts, and drops what holds none.

    `done` (id -> result) makes a part that occurs often the work of one: nested, it would be
    exponential in the size of the file.
    """
    if id(tree) not in done:
        done[id(tree)] = _replaced(tree, data, done)
    return done[id(tree)]


def _replaced(tree: Any, data: dict[str, np.ndarray], done: dict[int, Any]) -> Any:
    if isinstance(tree, Tensor):
        return _array(tree, data)
    if isinstance(tree, list | tuple):
        tree = dict(enumerate(tree))
    if not isinstance(tree, dict):
        return None
    named = {str(k): _arrays(v, data, done) for k, v in tree.items() if isinstance(k, str | int)}
    return {name: leaf for name, leaf in named.items() if leaf is not None}


def _array(tensor: Tensor, data: dict[str, np.ndarray]) -> np.ndarray:
    values, size, stride = data[tensor.storage.key], tensor.size, tensor.stride
    valid = len(size) == len(stride) and all(n >= 0 for n in (tensor.offset, *size, *stride))
    last = tensor.offset + sum((n - 1) * step for n, step in zip(size, stride))
    if not valid or math.prod(size) > len(values) or (0 not in size and last >= len(values)):
        raise ValueError("a tensor does not fit its storage")
    steps = [step * values.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], size, steps, writeable=False)
