"""Reads the surface of a glTF scene: the meshes of its nodes, placed and turned to z up."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxcmr.data.formats.gltf import Asset
from jaxcmr.data.formats.polygons import fans, strip_triangles
from jaxcmr.data.items.geometry import Mesh
from jaxcmr.errors import UsageError
from jaxcmr.packages import Later

transform = Later("scipy.spatial.transform")

TRIANGLES, STRIP, FAN = 4, 5, 6  # modes of a primitive; points and lines are passed over
# Vertices, and faces, of a scene whose file is small: nodes may repeat a mesh at no cost.
MAX_REPEATED = 2_000_000
MAX_PARTS = 50_000  # nodes, and primitives: a few seconds


def load_gltf(path: Path, data: bytes) -> Mesh:
    """Reads the triangles of the default scene of a `.glb` or `.gltf`.

    Nodes move their meshes (matrix, or translation, rotation and scale), joints move a skin, and
    morph targets stand at their weights. glTF has y up by its specification, so `(x, y, z)`
    becomes `(x, -z, y)`. `data` are the bytes of the file; buffers are read from its folder alone.

    Raises:
        UsageError: damaged, cut off, without a triangle, or in need of what is not read.
    """
    asset = Asset(path, data)
    try:
        with np.errstate(invalid="ignore", over="ignore"):  # refused when the mesh is used
            vertices, faces = _scene(asset)
    except UsageError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        detail = str(error)[:60] if str(error).isprintable() else type(error).__name__
        raise UsageError(f"{path} is damaged ({detail}); save it again") from None
    if not len(faces):
        raise UsageError(f"{path} holds no face; a mesh is needed")
    return Mesh(vertices[:, [0, 2, 1]] * [1.0, -1.0, 1.0], faces)


def _scene(asset: Asset) -> tuple[np.ndarray, np.ndarray]:
    placed = _placed_nodes(asset)
    parts = [({"mesh": k}, np.eye(4)) for k in range(len(asset.document.get("meshes", [])))]
    if asset.document.get("nodes"):
        parts = [(asset.part("nodes", number), matrix) for number, matrix in placed.items()]
    vertices, faces = [np.zeros((0, 3))], [np.zeros((0, 3), np.int64)]
    total = triangles = 0
    for node, matrix in parts:
        if "mesh" not in node:
            continue
        mesh = asset.part("meshes", node["mesh"])
        for primitive in mesh["primitives"]:
            found = _primitive(asset, primitive, node.get("weights", mesh.get("weights", [])))
            if found is None:
                continue
            places, corners = found
            if "skin" in node:
                places = _skinned(asset, primitive, node["skin"], places, placed)
            else:
                places = places @ matrix[:3, :3].T + matrix[:3, 3]
            vertices.append(places)
            faces.append(corners + total)
            total, triangles = total + len(places), triangles + len(corners)
            if max(total, triangles) > max(asset.size, MAX_REPEATED):
                raise UsageError(
                    f"{asset.name} repeats its meshes too often; save one object alone"
                )
    return np.concatenate(vertices), np.concatenate(faces)


def _placed_nodes(asset: Asset) -> dict[int, np.ndarray]:
    """Returns the nodes of the default scene and where each one stands, `[4, 4]`."""
    document = asset.document
    if document.get("scenes"):
        roots = asset.part("scenes", document.get("scene", 0)).get("nodes", [])
    else:
        nodes = document.get("nodes", [])
        inner = {child for node in nodes for child in node.get("children", [])}
        roots = [number for number in range(len(nodes)) if number not in inner]
    placed: dict[int, np.ndarray] = {}
    waiting = [(number, np.eye(4)) for number in reversed(roots)]
    while waiting:
        number, parent = waiting.pop()
        node = asset.part("nodes", number)
        if number in placed:
            raise UsageError(f"{asset.name} is damaged: nodes[{number}] has two parents")
        if len(placed) >= MAX_PARTS:
            raise UsageError(f"{asset.name} has more than {MAX_PARTS} nodes; save one object alone")
        placed[number] = parent @ _matrix(node)
        waiting += [(child, placed[number]) for child in reversed(node.get("children", []))]
    return placed


def _matrix(node: dict[str, Any]) -> np.ndarray:
    """Returns where a node stands in its parent: its `matrix`, or `T R S`."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T  # stored by columns
    matrix = np.eye(4)
    rotation = transform.Rotation.from_quat(node.get("rotation", (0, 0, 0, 1))).as_matrix()
    matrix[:3, :3] = rotation * np.array(node.get("scale", (1, 1, 1)), np.float64).reshape(1, 3)
    matrix[:3, 3] = np.array(node.get("translation", (0, 0, 0)), np.float64).reshape(3)
    return matrix


def _primitive(asset: Asset, primitive: dict[str, Any], weights: list[float]):
    """Returns the vertices `[V, 3]` and triangles `[T, 3]` of a primitive; None if it has none."""
    mode = primitive.get("mode", TRIANGLES)
    if mode not in (TRIANGLES, STRIP, FAN) or "POSITION" not in primitive["attributes"]:
        return None
    places = asset.array(primitive["attributes"]["POSITION"], 3).astype(np.float64)
    for target, weight in zip(primitive.get("targets", []), weights):
        if weight and "POSITION" in target:
            places += float(weight) * asset.array(target["POSITION"], 3)
    if "indices" in primitive:
        corners = asset.array(primitive["indices"], 1)[:, 0].astype(np.int64)
    else:
        corners = np.arange(len(places))
    if len(corners) and not 0 <= corners.min() <= corners.max() < len(places):
        raise UsageError(f"{asset.name} has a face of vertices that it lacks; save the mesh again")
    if mode == STRIP:
        return places, strip_triangles(corners)
    if mode == FAN:
        return places, fans(corners[None])
    return places, corners.reshape(-1, 3)


def _skinned(asset: Asset, primitive, skin: int, places: np.ndarray, placed) -> np.ndarray:
    """Moves vertices by the joints of a skin: `sum_k w_k J_k B_k x` (B: to the joint's frame)."""
    skin = asset.part("skins", skin)
    joints = np.stack([placed[number] for number in skin["joints"]])
    if "inverseBindMatrices" in skin:
        bind = asset.array(skin["inverseBindMatrices"], 16).astype(np.float64)
        joints = joints @ bind[: len(joints)].reshape(-1, 4, 4).transpose(0, 2, 1)
    names = primitive["attributes"]
    which = asset.array(names["JOINTS_0"], 4)
    weights = asset.array(names["WEIGHTS_0"], 4).astype(np.float64)
    moved = np.zeros_like(places)
    for k in range(4):
        matrices = joints[which[:, k]]
        turned = np.einsum("nij,nj->ni", matrices[:, :3, :3], places) + matrices[:, :3, 3]
        moved += weights[:, k, None] * turned
    return moved
