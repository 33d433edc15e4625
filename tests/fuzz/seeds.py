"""Valid files of every format: name -> bytes. Fuzzing begins with them."""

import functools
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
import scipy.sparse
import trimesh
from PIL import Image

POINTS = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
LABELS = np.arange(12) % 4
OFF = trimesh.creation.box().export(file_type="off").encode()


def _box(**options) -> bytes:
    exported = trimesh.creation.box((1, 2, 3)).export(**options)
    return exported if isinstance(exported, bytes) else exported.encode()


def _written(write: Callable[[io.BytesIO], Any]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def off() -> dict[str, bytes]:
    cut = b"OFF 5 2 0 # a house\n0 0 0\n2 0 0 1 0 0\n2 2 0\n1 1 0\n0 2 0\n"
    cut += b"5 0 1 2 3 4 255 0 0\n3 0 1 2\n"
    return {"box.off": OFF, "glued.off": OFF.replace(b"OFF\n", b"OFF", 1), "cut.off": cut}


def ply() -> dict[str, bytes]:
    cloud = trimesh.PointCloud(POINTS)
    return {
        "text.ply": _box(file_type="ply", encoding="ascii"),
        "binary.ply": _box(file_type="ply"),
        "cloud.ply": cloud.export(file_type="ply"),
    }


def pcd() -> dict[str, bytes]:
    head = (
        b"# .PCD v0.7\nVERSION 0.7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F U\nCOUNT 1 1 1 1\n"
        b"WIDTH 12\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 12\nDATA "
    )
    lines = "\n".join(f"{x!r} {y!r} {z!r} 7" for x, y, z in POINTS.tolist()).encode()
    rows = b"".join(row.tobytes() + b"\7\0\0\0" for row in POINTS)
    return {"text.pcd": head + b"ascii\n" + lines, "binary.pcd": head + b"binary\n" + rows}


def obj() -> dict[str, bytes]:
    cut = b"mtllib a.mtl\no l\nv 0 0 0\nv 2 0 0\nv 2 2 0\nv 1 1 0\nv 0 2 0\nvt 0 0\n"
    cut += b"f 1/1 2/1 3 4 5\nf -1 -2 -3\n"
    return {"box.obj": _box(file_type="obj"), "cut.obj": cut}


def stl() -> dict[str, bytes]:
    return {"text.stl": _box(file_type="stl_ascii"), "binary.stl": _box(file_type="stl")}


def gltf() -> dict[str, bytes]:
    scene = trimesh.Scene([trimesh.creation.box(), trimesh.creation.icosphere(subdivisions=1)])
    return {"box.glb": _box(file_type="glb"), "scene.glb": scene.export(file_type="glb")}


def idx() -> dict[str, bytes]:
    images = b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (3, 4, 5)) + bytes(range(60))
    return {"a.idx": images, "b.idx.gz": gzip.compress(images)}


def mat() -> dict[str, bytes]:
    cell = np.empty(2, object)
    cell[:] = [np.ones(2), np.array(["ab"])]
    found = {"x": np.eye(3), "n": np.int16([[1, 2]]), "t": np.array(["ab", "c"])}
    five = found | {"c": cell, "s": scipy.sparse.csc_matrix(np.eye(3))}
    return {
        "five.mat": _written(lambda f: scipy.io.savemat(f, five)),
        "packed.mat": _written(lambda f: scipy.io.savemat(f, five, do_compression=True)),
        "four.mat": _written(lambda f: scipy.io.savemat(f, found, format="4")),
    }


def h5() -> dict[str, bytes]:
    def write(buffer):
        with h5py.File(buffer, "w") as file:
            for split in ("train", "test"):
                data = np.repeat(POINTS[None], 3, 0)
                file.create_dataset(f"{split}_points", data=data, compression="gzip", chunks=True)
                file[f"{split}_labels"] = np.arange(3)
            file["class_names"] = np.array([b"a", b"b", b"c"])
            file.create_group("group")["names"] = ["ab", "c"]

    return {"a.h5": _written(write)}


def npz() -> dict[str, bytes]:
    table = {"labels": LABELS, "image": POINTS, "text": np.ones((12, 2)), "ids": LABELS.astype(str)}
    names = {"class_names": np.array(list("abcd"))}
    return {
        "a.npz": _written(lambda f: np.savez(f, **table)),
        "b.npz": _written(lambda f: np.savez_compressed(f, **table, **names)),
        "c.npy": _written(lambda f: np.save(f, POINTS)),
    }


def picture() -> dict[str, bytes]:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 24, 4), np.uint8)
    found = {}
    for mode in ("L", "RGB", "RGBA", "P", "1", "LA", "I;16"):
        image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257, None)
        image = image if mode == "I;16" else Image.fromarray(pixels).convert(mode)
        found[f"{mode[:4].strip(';')}.png"] = _written(lambda f, i=image: i.save(f, "PNG"))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    for mode in ("L", "RGB", "CMYK"):
        image = Image.fromarray(pixels).convert("RGB").convert(mode)
        found[f"{mode}.jpg"] = _written(lambda f, i=image: i.save(f, "JPEG", exif=exif))
    return found


def table() -> dict[str, bytes]:
    rows = [
        {"id": f"row {k}", "label": "ab"[k % 2], "text": f'a "red", pot no {k}',
         "group": str(k // 2), "split": "test" if k > 5 else "train", "true_label": "a"}
        for k in range(8)
    ]  # fmt: skip
    cells = [["label", "id", "text", "split"]]
    cells += [
        [row["label"], row["id"], row["text"].replace('"', '""'), row["split"]] for row in rows
    ]
    text = "\n".join(",".join(f'"{cell}"' for cell in line) for line in cells)
    return {
        "a.csv": text.encode(),
        "b.csv": text.replace('","', '";"').encode("utf-8-sig"),
        "c.jsonl": "\n".join(map(json.dumps, rows)).encode(),
    }


def noise() -> dict[str, bytes]:
    from jaxcmr.noise.injection import inject

    record = inject(LABELS, 4, rate=0.5, seed=0, kind="symmetric")
    fields = {"labels": record.labels, "true_labels": record.true_labels, "num_classes": 4,
              "kind": "symmetric", "rate": 0.5, "seed": 0}  # fmt: skip
    return {
        "record.npz": _written(lambda f: np.savez(f, **fields)),
        "labels.npy": _written(lambda f: np.save(f, LABELS)),
        "one.npz": _written(lambda f: np.savez(f, LABELS)),
    }


def weights() -> dict[str, bytes]:
    import tempfile

    import test_weight_files as writers

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writers.safetensors(folder / "a.safetensors", writers.ARRAYS)
        np.savez(folder / "b.npz", **writers.ARRAYS)
        for layout, (write, extra) in writers.WRITERS.items():
            tensors = {k: writers.tensor(k, a, extra) for k, a in writers.ARRAYS.items()}
            write(folder / f"{layout}.pt", {"state_dict": tensors}, writers.ARRAYS)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def index() -> dict[str, bytes]:
    import tempfile

    from jaxcmr.index import Index

    found = Index(3, "model")
    metadata = {"price": [1.5, None, 2], "stock": [1, 2, None], "name": ["é", None, ""]}
    for modality in ("image", "text"):
        sources = ["a.png", None, "b.png"]
        found.add(np.eye(3), modality=modality, metadata=metadata, sources=sources)
    with tempfile.TemporaryDirectory() as name:
        found.save(Path(name) / "a.index")
        return {"a.index": (Path(name) / "a.index").read_bytes()}


def modelnet() -> dict[str, bytes]:
    import zipfile

    def write(buffer):
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in ("m/a/train/a_1.off", "m/a/test/a_2.off", "m/b/train/b_1.off", "m/README"):
                archive.writestr(name, OFF)

    return {"m.zip": _written(write)}


def config() -> dict[str, bytes]:
    import paired

    from jaxcmr.workdir import folder

    return {"run/config.json": json.dumps(folder._plain(paired.config()), indent=1).encode()}


@functools.cache
def state():
    """A small state by hand: what a checkpoint holds does not depend on a trainer."""
    import jax
    import jax.numpy as jnp

    from jaxcmr.train.state import TrainState

    params = {"image": {"kernel": jnp.ones((1, 12, 6))}, "head": {"bias": jnp.zeros((1, 4))}}
    step, alive, key = jnp.int32(3), jnp.ones(1, bool), jax.random.key(0)
    return TrainState(step, params, {}, {"mu": params}, {"labels": jnp.arange(20)}, alive, key)


def checkpoint() -> dict[str, bytes]:
    import tempfile

    from jaxcmr.train import checkpoint

    with tempfile.TemporaryDirectory() as name:
        with checkpoint.Checkpoints(Path(name)) as checkpoints:
            checkpoints.save_last(state(), {"epoch": 1})
        files = [path for path in Path(name).rglob("*") if path.is_file()]
        return {f"run/{path.relative_to(name)}": path.read_bytes() for path in files}
