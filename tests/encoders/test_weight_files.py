"""Readers of files of weights: what they give, and what they refuse."""

import io
import json
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from jaxcmr.encoders.weights.files import read_weights
from jaxcmr.encoders.weights.torch_files import LEGACY_MAGIC
from jaxcmr.errors import UsageError

ARRAYS = {
    "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.bias": np.array([-1.5, 2.25], np.float32),
    "steps": np.array(7, np.int64),
}


class Named:
    """Pickles as a call of the global `module name`, which need not exist here."""

    def __init__(self, module, name, *args):
        self.call, self.args = (module, name), args


class Persistent:
    def __init__(self, *pid):
        self.pid = pid


class Pickler(pickle._Pickler):
    """Writes what PyTorch would: globals by name alone, storages as persistent ids."""

    def persistent_id(self, obj):
        return ("storage", *obj.pid) if isinstance(obj, Persistent) else None

    def save(self, obj, *args, **kwargs):
        if isinstance(obj, Named):
            self.write(pickle.GLOBAL + "{}\n{}\n".format(*obj.call).encode())
            if obj.args:
                self.save(obj.args)
                self.write(pickle.REDUCE)
        else:
            super().save(obj, *args, **kwargs)


def dumps(obj):
    stream = io.BytesIO()
    Pickler(stream, 2).dump(obj)
    return stream.getvalue()


KINDS = {"f": "FloatStorage", "i": "LongStorage", "u": "BFloat16Storage"}


def tensor(key, array, extra=(), size=None, stride=None, offset=0):
    kind = Named("torch", KINDS[array.dtype.kind])
    storage = Persistent(kind, key, "cpu", array.size, *extra)
    size = array.shape if size is None else size
    if stride is None:
        stride = tuple(s // array.itemsize for s in array.strides)
    args = (storage, offset, size, stride, False, OrderedDict())
    return Named("torch._utils", "_rebuild_tensor_v2", *args)


def zip_checkpoint(path, tree, storages):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", dumps(tree))
        archive.writestr("archive/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", np.ascontiguousarray(array).tobytes())


def legacy_checkpoint(path, tree, storages):
    with open(path, "wb") as file:
        for part in (LEGACY_MAGIC, 1001, {"little_endian": True}, tree, list(storages)):
            file.write(dumps(part))
        for array in storages.values():
            file.write(np.int64(array.size).tobytes() + np.ascontiguousarray(array).tobytes())


WRITERS = {"zip": (zip_checkpoint, ()), "legacy": (legacy_checkpoint, (None,))}


def safetensors(path, arrays, **changes):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        kind = {"f": "F", "i": "I", "u": "BF"}[array.dtype.kind] + str(array.itemsize * 8)
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": offsets}
        data += array.tobytes()
    header["a.weight"] |= changes
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def same(read, expected):
    assert set(read) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("nest", ["plain", "nested", "module"])
def test_reads_checkpoints(tmp_path, layout, nest):
    write, extra = WRITERS[layout]
    prefix = "module." if nest == "module" else ""
    storages = {str(i): array for i, array in enumerate(ARRAYS.values())}
    tree = OrderedDict(
        (prefix + name, tensor(str(i), array, extra))
        for i, (name, array) in enumerate(ARRAYS.items())
    )
    if nest == "nested":
        accuracy = Named(
            "numpy.core.multiarray", "scalar", Named("numpy", "dtype", "f8"), b"8bytes!!"
        )
        tree = {"epoch": 3, "accuracy": accuracy, "state_dict": tree, "optimizer": [1, {}]}
    write(tmp_path / "w.t7", tree, storages)
    same(read_weights(tmp_path / "w.t7"), ARRAYS)


@pytest.mark.parametrize("layout", WRITERS)
def test_reads_views_of_a_shared_storage_and_bfloat16(tmp_path, layout):
    write, extra = WRITERS[layout]
    base = np.arange(12, dtype=np.float32)
    bits = np.array([0x3FC0, 0xC000], np.uint16)  # 1.5, -2
    tree = {
        "transposed": tensor("0", base, extra, size=(2, 3), stride=(1, 4), offset=2),
        "half": Named("torch._utils", "_rebuild_parameter", tensor("1", bits, extra), True, {}),
    }
    write(tmp_path / "w.pth", tree, {"0": base, "1": bits})
    read = read_weights(tmp_path / "w.pth")
    np.testing.assert_array_equal(read["transposed"], [[2, 6, 10], [3, 7, 11]])
    np.testing.assert_array_equal(read["half"], np.float32([1.5, -2]))


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize(
    "call",
    [("posix", "system"), ("builtins", "eval"), ("builtins", "getattr"), ("torch", "load")],
)
def test_a_malicious_pickle_is_refused_and_nothing_runs(tmp_path, layout, call):
    write, _ = WRITERS[layout]
    trace = tmp_path / "trace"
    code = f"touch {trace}" if call[1] == "system" else f"open({str(trace)!r}, 'w')"
    write(tmp_path / "w.pth", {"a": Named(*call, code)}, {})
    with pytest.raises(UsageError, match=rf"{call[0]}\.{call[1]}.*would run code"):
        read_weights(tmp_path / "w.pth")
    assert not trace.exists()


def test_a_checkpoint_of_one_array_or_of_an_endless_name_is_one_short_sentence(tmp_path):
    write, _ = WRITERS["zip"]
    array = np.zeros(3, np.float32)
    write(tmp_path / "w.pth", tensor("0", array), {"0": array})
    with pytest.raises(UsageError, match="holds no weights by name"):
        read_weights(tmp_path / "w.pth")
    write(tmp_path / "w.pth", {"a": Named("os" + "x" * 5000, "system", "true")}, {})
    with pytest.raises(UsageError, match="holds the object osxxx") as caught:
        read_weights(tmp_path / "w.pth")
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_the_same_pickle_does_run_elsewhere(tmp_path):
    """Shows that the test above could fail."""
    pickle.loads(dumps(Named(os.system.__module__, "system", f"touch {tmp_path / 'trace'}")))
    assert (tmp_path / "trace").exists()


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize(
    "view",
    [
        {"size": (2, 4)},
        {"size": (10**6, 10**6), "stride": (0, 0)},
        {"size": (2,), "stride": (6,)},
        {"offset": 1},
        {"offset": -1},
        {"size": (-1, 2)},
        {"size": (2, 3), "stride": (3,)},
    ],
)
def test_views_outside_their_storage_are_refused(tmp_path, layout, view):
    write, extra = WRITERS[layout]
    array = ARRAYS["a.weight"]
    write(tmp_path / "w.pth", {"a": tensor("0", array, extra, **view)}, {"0": array})
    with pytest.raises(UsageError, match="does not fit its storage"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("layout", WRITERS)
def test_cut_checkpoints_are_refused(tmp_path, layout):
    write, extra = WRITERS[layout]
    path, array = tmp_path / "w.pth", ARRAYS["a.weight"]
    write(path, {"a": tensor("0", array, extra)}, {"0": array})
    whole = path.read_bytes()
    for length in range(16, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        with pytest.raises(UsageError):
            read_weights(path)
    write(path, {"a": tensor("0", array, extra)}, {"0": array[:1]})
    with pytest.raises(UsageError, match="storage 0"):
        read_weights(path)


def test_reads_npz_and_refuses_pickles_in_it(tmp_path):
    np.savez(tmp_path / "w.npz", **ARRAYS)
    same(read_weights(tmp_path / "w.npz"), ARRAYS)
    np.savez(tmp_path / "w.npz", a=np.array([{}], object))
    with pytest.raises(UsageError, match="plain arrays"):
        read_weights(tmp_path / "w.npz")


def test_reads_safetensors(tmp_path):
    bits = np.array([0x3FC0, 0xC000], np.uint16)
    read = read_weights(safetensors(tmp_path / "w.safetensors", {**ARRAYS, "half": bits}))
    same(read, {**ARRAYS, "half": np.float32([1.5, -2])})


@pytest.mark.parametrize(
    "changes",
    [
        {"dtype": "F31"},
        {"shape": [2, 4]},
        {"shape": [-2, -3]},
        {"shape": 6},
        {"shape": ["2", 3]},
        {"data_offsets": [8, 10**9]},
        {"data_offsets": [-24, 0]},
        {"data_offsets": [0]},
        {"data_offsets": [24, 0], "shape": [0]},
    ],
)
def test_damaged_safetensors_are_refused(tmp_path, changes):
    with pytest.raises(UsageError, match="damaged"):
        read_weights(safetensors(tmp_path / "w.safetensors", ARRAYS, **changes))


def test_safetensors_with_a_false_header_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    for start in (2**62, 40, 3):
        path.write_bytes(start.to_bytes(8, "little") + b'{"a": {"dtype": "F32"}}')
        with pytest.raises(UsageError, match="damaged"):
            read_weights(path)


@pytest.mark.parametrize("content", [b"", b"hello, world, hello", b"PK\x03\x04" + bytes(60)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(UsageError, match=r"neither \.safetensors nor"):
        read_weights(tmp_path / "w")
    with pytest.raises(UsageError, match="cannot open"):
        read_weights(tmp_path / "absent")


def test_a_checkpoint_without_weights_is_refused(tmp_path):
    zip_checkpoint(tmp_path / "w.pth", {"epoch": 1, "best": {}}, {})
    with pytest.raises(UsageError, match=r"no weights.*it has best"):
        read_weights(tmp_path / "w.pth")


def test_a_pickle_cannot_make_the_reader_take_memory_or_time_beyond_its_size(tmp_path):
    place = b"\x80\x02}r" + (2**31 - 1).to_bytes(4, "little") + b"."  # would be 16 GB of places
    with zipfile.ZipFile(tmp_path / "place.pt", "w") as archive:
        archive.writestr("archive/data.pkl", place)
    with pytest.raises(UsageError, match="place 2147483647 in a file of"):
        read_weights(tmp_path / "place.pt")
    tree = []
    for _ in range(60):
        tree = [tree, tree]  # 2**60 lists if each is read as often as it occurs
    array = np.ones(2, np.float32)
    zip_checkpoint(tmp_path / "deep.pt", {"a": tensor("0", array), "b": tree}, {"0": array})
    same(read_weights(tmp_path / "deep.pt"), {"a": array})


def test_an_archive_in_several_pieces_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz", a=np.ones(2))
    data = (tmp_path / "w.npz").read_bytes()
    locator = b"PK\x06\x07" + (1).to_bytes(4, "little") + bytes(8) + (2).to_bytes(4, "little")
    end = data.index(b"PK\x05\x06")
    (tmp_path / "w.npz").write_bytes(data[:end] + locator + data[end:])
    with pytest.raises(UsageError, match=r"neither \.safetensors nor"):
        read_weights(tmp_path / "w.npz")
