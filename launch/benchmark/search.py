"""The speed of exact search in a large gallery, beside faiss's exact flat index (IndexFlatIP).

The rows lie in a file that is mapped into memory, as those of an index do; faiss holds a copy. Both
sides use all cores that the process may run on: `taskset -c 0` leaves them one. Without faiss only
our lines are printed.
"""

import importlib.util
import os
import statistics
import tempfile
from pathlib import Path

import numpy as np
from resident import mebibytes
from retrieval import synthetic
from stopwatch import interleaved_seconds

from jaxcmr.retrieval import Gallery, top_k

CORES = len(os.sched_getaffinity(0))
K, DIM, CLASSES = 10, 256, 100
BATCHES = (1, 16, 256)
BLOCK = 10_000  # rows that are made at a time
PERCENT = 1  # of the items, that a filter leaves


def run(items: int, repeats: int) -> None:
    """Prints the times of both sides, how often they agree, and the memory of ours."""
    print(f"{K} nearest of {items:,} x {DIM}; {load()}")
    with tempfile.TemporaryDirectory() as folder:
        rows = mapped_rows(Path(folder) / "rows.npy", items)
        query, _ = synthetic(max(BATCHES), CLASSES, seed=1, dim=DIM)
        before = mebibytes("VmRSS")
        gallery = Gallery(rows)
        for batch in BATCHES:
            gallery.search(query[:batch], K)
        more = (mebibytes("VmHWM") - before) / 1024
        print(f"searches take at most {more:.2f} GiB beside the rows")
        theirs = flat_index(rows)
        for batch in BATCHES:
            sides = {"jaxcmr": lambda batch=batch: gallery.search(query[:batch], K).index}
            if theirs is not None:
                sides["faiss"] = lambda batch=batch: theirs.search(query[:batch], K)[1]
                same = np.mean(sides["jaxcmr"]() == sides["faiss"]())
            print_times(f"{batch} at a time", sides, repeats)
        if theirs is not None:
            print(f"both found the same items in {same:.2%} of the places of {batch} queries")
        mask = np.arange(items) % 100 < PERCENT
        few = Gallery(rows[: items // 10])
        one = query[:1]
        ours = {
            f"1, {PERCENT} % of the items allowed": lambda: gallery.search(one, K, mask),
            f"1, of the first {items // 10:,}": lambda: few.search(one, K),
            "1, the gallery not prepared": lambda: top_k(one, rows, K),
        }
        for name, search in ours.items():
            print_times(name, {"jaxcmr": search}, repeats)
    print(load())


def load() -> str:
    return f"{CORES} threads on each side, load {os.getloadavg()[0]:.1f}"


def mapped_rows(path: Path, items: int) -> np.ndarray:
    """Writes unit rows to a file and returns them as a memory map, all of it read once."""
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (items, DIM))
    for first in range(0, items, BLOCK):
        rows[first : first + BLOCK] = synthetic(min(BLOCK, items - first), CLASSES, first, DIM)[0]
    rows.flush()
    rows = np.load(path, mmap_mode="r")
    np.max(rows)
    return rows


def flat_index(rows: np.ndarray):
    """Returns faiss's exact index of the rows, which it copies; None where it is not installed."""
    if importlib.util.find_spec("faiss") is None:
        return None
    import faiss

    faiss.omp_set_num_threads(CORES)
    index = faiss.IndexFlatIP(DIM)
    index.add(rows)
    return index


def print_times(name: str, sides: dict, repeats: int) -> None:
    for side, seconds in interleaved_seconds(sides, repeats).items():
        best, median = min(seconds) * 1e3, statistics.median(seconds) * 1e3
        print(f"{name:32} {side:7} best {best:8.1f} ms   median {median:8.1f} ms", flush=True)
