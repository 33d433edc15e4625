"""Run by test_devices on virtual devices: scores and searches on meshes, compared with one device.

Coordinates are halves, so that products are exact and ties are many: results must be equal bit by
bit, however the gallery is divided.
"""

import json
import sys

import chex
import jax
import numpy as np
import oracle
from jax.sharding import Mesh

from jaxcmr.retrieval import blocks, retrieval_scores, top_k


def exact_rows(rng: np.random.Generator, count: int) -> np.ndarray:
    """Returns rows of length 2 with entries 1 and -1."""
    return rng.choice(np.float32([-1, 1]), (count, 4))


def task(items: int, seed: int = 0, queries: int = 13):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, queries), rng.integers(0, 3, items)
    return exact_rows(rng, queries), exact_rows(rng, items), *labels


def check_spread(mesh: Mesh, *arrays, **options) -> None:
    spread, whole = (retrieval_scores(*arrays, mesh=m, **options) for m in (mesh, None))
    chex.assert_trees_all_equal(spread, whole)


def check_scores(mesh: Mesh) -> None:
    """Galleries that the devices divide, do not divide, and cannot all have a part of."""
    for items in (5, 16, 37):
        arrays = task(items)
        mask = np.random.default_rng(1).random(items) < 0.7
        for options in ({}, {"gallery_mask": mask}, {"block": 1}):
            check_spread(mesh, *arrays, at=(1, 4), **options)
    query, _, labels, _ = task(13)
    check_spread(mesh, query, query, labels, labels, keep_self=False)
    query, gallery, *_ = arrays
    shares = np.random.default_rng(2).random((len(query) + items, 5)) < 0.2
    check_spread(mesh, query, gallery, shares[: len(query)], shares[len(query) :])


def check_search(mesh: Mesh) -> None:
    for items in (5, 16, 37):
        query, gallery, *_ = task(items)
        mask = np.random.default_rng(1).random(items) < 0.7
        for k in (1, 3, int(mask.sum())):
            for there in (None, mask):
                found = top_k(query, gallery, k, gallery_mask=there, mesh=mesh)
                kept = np.arange(items) if there is None else np.flatnonzero(there)
                cosines = oracle.cosine(query, gallery)[:, kept]
                order = np.array([oracle.order(scores)[:k] for scores in cosines])
                expected = kept[order].astype(np.int32), np.take_along_axis(cosines, order, 1)
                chex.assert_trees_all_equal(tuple(found), expected)


def held(mesh: Mesh) -> int:
    """Returns the most gallery rows on one device."""
    spread = blocks.spread_units(task(37)[1], mesh)
    return max(len(shard.data) for shard in spread.addressable_shards)


def main() -> None:
    devices = np.array(jax.devices())
    meshes = {
        "1": Mesh(devices[:1], ("data",)),
        "8": Mesh(devices, ("data",)),
        "2x4": Mesh(devices.reshape(2, 4), ("member", "data")),
    }
    report = {"devices": len(devices)}
    for name, mesh in meshes.items():
        check_scores(mesh)
        check_search(mesh)
        report[name] = held(mesh)
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
