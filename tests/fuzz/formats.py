"""The formats that are read: valid files of each, and how they are read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import seeds


class Format(NamedTuple):
    """One format: `make()` returns valid files, path in a folder -> bytes.

    `read(path)` reads the file that was changed; where it returns real numbers, they are finite
    if `finite`.
    """

    make: Callable[[], dict[str, bytes]]
    read: Callable[[Path], Any]
    finite: bool = False


def _read_surface(path: Path):
    from jaxcmr.data.formats.itemfiles import read_surface

    return read_surface(path, 64, 0)


def _read_ply(path: Path):
    from jaxcmr.data.formats.itemfiles import read_cloud

    return read_cloud(path, 16, 0) if "cloud" in path.name else _read_surface(path)


def _read_pcd(path: Path):
    from jaxcmr.data.formats.itemfiles import read_cloud

    return read_cloud(path, 16, 0)


def _read_idx(path: Path):
    from jaxcmr.data.formats.idx import read_idx

    return read_idx(path)


def _read_mat(path: Path):
    from jaxcmr.data.formats.matlab import read_mat

    return read_mat(path)


def _read_h5(path: Path):
    from jaxcmr.data.formats.pointfiles import read_point_file

    return read_point_file(path)


def _data_config(path: Path, *modalities: str):
    from jaxcmr.config import default

    data = default().data
    data.path, data.modalities = str(path), modalities
    return data


def _read_npz(path: Path):
    from jaxcmr.data.own import arrays
    from jaxcmr.storage import numpyfiles

    if path.suffix == ".npy":
        return numpyfiles.read_npy(path)
    return arrays.load_arrays(_data_config(path, "image", "text"), 0).train.inputs


def _read_picture(path: Path):
    from jaxcmr.data.formats.pictures import read_image

    return read_image(path, 16, 3)


def _read_table(path: Path):
    from jaxcmr.data.own.manifest import load_manifest

    return load_manifest(_data_config(path, "text"), 0).train.inputs


def _read_noise(path: Path):
    from jaxcmr import noise

    if "record" in path.name:
        record = noise.NoiseRecord.load(path)
    else:
        record = noise.from_file(path, seeds.LABELS, 4)
    return record.labels, record.transition, record.rate


def _read_weights(path: Path):
    from jaxcmr.encoders.weights.files import read_weights

    return read_weights(path)


def _read_index(path: Path):
    from jaxcmr.index import Index

    index = Index.open(path, "model")
    index.find(index.ids)
    rows = range(len(index))
    return index.modalities, index.metadata(rows), [index.source(row) for row in rows]


def _read_modelnet(path: Path):
    from jaxcmr.data.sources import meshfiles

    files = meshfiles.list_meshes(path)
    return [meshfiles.read_mesh(item).vertices for item in files.train + files.test]


def _read_config(path: Path):
    import paired

    from jaxcmr.workdir import folder

    config = paired.config()
    folder.check_config(path.parent, config, config)


def _read_checkpoint(path: Path):
    from jaxcmr.train import checkpoint

    run = next(parent for parent in path.parents if parent.name == "run")
    with checkpoint.Checkpoints(run) as checkpoints:
        checkpoints.restore_last(seeds.state())


FORMATS = {
    "off": Format(seeds.off, _read_surface, finite=True),
    "ply": Format(seeds.ply, _read_ply, finite=True),
    "pcd": Format(seeds.pcd, _read_pcd, finite=True),
    "obj": Format(seeds.obj, _read_surface, finite=True),
    "stl": Format(seeds.stl, _read_surface, finite=True),
    "gltf": Format(seeds.gltf, _read_surface, finite=True),
    "idx": Format(seeds.idx, _read_idx),
    "mat": Format(seeds.mat, _read_mat),
    "h5": Format(seeds.h5, _read_h5),
    "npz": Format(seeds.npz, _read_npz),
    "picture": Format(seeds.picture, _read_picture),
    "table": Format(seeds.table, _read_table, finite=True),
    "noise": Format(seeds.noise, _read_noise, finite=True),
    "weights": Format(seeds.weights, _read_weights),
    "index": Format(seeds.index, _read_index),
    "modelnet": Format(seeds.modelnet, _read_modelnet, finite=True),
    "config": Format(seeds.config, _read_config),
    "checkpoint": Format(seeds.checkpoint, _read_checkpoint),
}
