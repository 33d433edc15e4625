"""Mutations of valid array files: right values or one sentence, soon, and in little memory."""

import io
import random
import resource
import time

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from jaxcmr.data import check
from jaxcmr.data.formats import matlab
from jaxcmr.data.own import arrays, own
from jaxcmr.errors import UsageError
from jaxcmr.storage import numpyfiles

# What is put in the place of two, four or eight bytes: ends of ranges, where sizes are.
ENDS = (0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63)
# Parts of headers and other ones that make sense in their place.
WORDS = (
    (b"(6,", b"(6666666666,"), (b"(4,", b"(-4,"), (b"'<f8'", b"'>f8'"), (b"False", b"True "),
    (b"<i8", b"<M8"), (b"'|u1'", b"'|O8'"), (b"descr", b"descx"), (b"train", b"tra\0n"),
)  # fmt: skip


def table(rnd: random.Random) -> dict[str, np.ndarray]:
    found = {}
    for split, rows in (("train", 6), ("test", 4)):
        pixels = 3 * np.arange(12 * rows).reshape(rows, 2, 2, 3)
        found[f"{split}_image"] = pixels.astype(rnd.choice(["u1", ">i2", "f4"]))
        found[f"{split}_text"] = np.ones((rows, 3), rnd.choice(["f8", ">f4", "i8"]))
        found[f"{split}_labels"] = np.arange(rows) % 2
        found[f"{split}_ids"] = np.array([f"{split}{row}" for row in range(rows)])
    return found


def npz(rnd: random.Random, file) -> None:
    rnd.choice([np.savez, np.savez_compressed])(file, **table(rnd))


def npy(rnd: random.Random, file) -> None:
    np.save(file, rnd.choice(list(table(rnd).values())))


def mat(rnd: random.Random, file) -> None:
    cell = np.empty(2, object)
    cell[:] = [np.ones(2), np.array(["ab"])]
    more = {"cell": cell, "sparse": scipy.sparse.csc_matrix(np.eye(4))}
    scipy.io.savemat(file, table(rnd) | more, do_compression=rnd.random() < 0.5)


def mat_4(rnd: random.Random, file) -> None:
    numbers = {k: a.reshape(len(a), -1) for k, a in table(rnd).items() if a.dtype.kind != "U"}
    scipy.io.savemat(file, numbers, format="4")


def hdf5(rnd: random.Random, file) -> None:
    with h5py.File(file, "w") as root:
        for name, array in table(rnd).items():
            array = array.astype("S") if array.dtype.kind == "U" else array
            packed = rnd.choice([{}, {"chunks": True}, {"compression": "gzip"}])
            root.create_dataset(name.replace("_", rnd.choice("_/"), 1), data=array, **packed)


def mutate(data: bytes, rnd: random.Random) -> bytes:
    """Changes a few bytes, sizes, lengths and words."""
    data = bytearray(data)
    for _ in range(rnd.choice([1, 1, 2, 4, 8])):
        place, size = rnd.randrange(len(data) + 1), rnd.choice([1, 4, 16, 200])
        way = rnd.randrange(6)
        if way == 0:
            data[place : place + 1] = bytes([rnd.choice([0, 1, 128, 255, rnd.randrange(256)])])
        elif way == 1:
            width, order = rnd.choice([2, 4, 8]), rnd.choice(["little", "big"])
            data[place : place + width] = rnd.choice(ENDS).to_bytes(8, order)[:width]
        elif way == 2:
            del data[place : place + size]
        elif way == 3:
            data[place:place] = data[place : place + size]
        elif way == 4 and rnd.random() < 0.3:
            del data[place:]
        else:
            data = bytearray(bytes(data).replace(*rnd.choice(WORDS), 1))
    return bytes(data)


def read_splits(path) -> None:
    own.shapes(path)
    splits = arrays.to_splits(arrays.read(path), str(path), {}, 0)
    check(splits, splits.train.modalities)


CASES = {
    "npz": (npz, ".npz", read_splits),
    "npy": (npy, ".npy", numpyfiles.read_npy),
    "mat": (mat, ".mat", matlab.read_mat),
    "mat of MATLAB 4": (mat_4, ".mat", matlab.read_mat),
    "hdf5": (hdf5, ".h5", read_splits),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_mutations_of_array_files(tmp_path, case):
    write, suffix, read = CASES[case]
    rnd, path = random.Random(case), tmp_path / f"a{suffix}"
    before, read_well = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    end = time.monotonic() + 20
    while time.monotonic() < end:
        buffer = io.BytesIO()
        write(rnd, buffer)
        path.write_bytes(mutate(buffer.getvalue(), rnd) if read_well else buffer.getvalue())
        started = time.monotonic()
        try:
            read(path)
            read_well += 1
        except UsageError as error:
            assert len(str(error).splitlines()) == 1 and str(error).isprintable()
        assert time.monotonic() - started < 10
    assert read_well > 1  # the first is valid
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # kB
