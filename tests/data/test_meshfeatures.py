import numpy as np
import pytest

from jaxcmr import data
from jaxcmr.data.formats.off import parse_off
from jaxcmr.data.items.geometry import face_features, face_neighbors, normalize_mesh
from jaxcmr.errors import UsageError

# Two triangles that share the edge (1, 2), the second with its own copies of those vertices.
VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], float)
FACES = np.array([[0, 1, 2], [3, 5, 4]])


def test_neighbors_by_hand():
    np.testing.assert_array_equal(face_neighbors(VERTICES, FACES), [[0, 1, 0], [1, 1, 0]])


def test_every_face_of_a_closed_mesh_has_three_mutual_neighbors(cube):
    mesh = parse_off(cube.encode(), "cube")
    neighbors = face_neighbors(mesh.vertices, mesh.faces)
    for face, others in enumerate(neighbors):
        assert len(set(others)) == 3 and face not in others
        assert all(face in neighbors[other] for other in others)


def test_features_are_padded_and_masked(cube):
    mesh = normalize_mesh(parse_off(cube.encode(), "cube"), "cube")
    features = face_features(mesh, 15, np.random.default_rng(0))
    assert {name: array.shape for name, array in features.items()} == {
        "centers": (15, 3), "corners": (15, 9), "normals": (15, 3), "neighbors": (15, 3),
        "mask": (15,),
    }  # fmt: skip
    assert features["mask"].sum() == 12 and not features["centers"][12:].any()
    np.testing.assert_array_equal(features["neighbors"][12:, 0], [12, 13, 14])
    np.testing.assert_allclose(features["corners"].reshape(15, 3, 3).sum(1), 0, atol=1e-6)
    np.testing.assert_allclose(
        features["corners"][0].reshape(3, 3) + features["centers"][0], mesh.triangles[0], atol=1e-6
    )
    np.testing.assert_allclose(np.linalg.norm(features["normals"][:12], axis=1), 1, rtol=1e-6)


def test_large_faces_are_drawn_first_and_neighbors_stay_inside(cube):
    mesh = normalize_mesh(parse_off(cube.encode(), "cube"), "cube")
    vertices = np.concatenate([mesh.vertices, mesh.vertices[:3] * 1e-3])
    tiny = mesh._replace(vertices=vertices, faces=np.concatenate([mesh.faces, [[8, 9, 10]] * 50]))
    features = face_features(tiny, 12, np.random.default_rng(0))
    assert np.linalg.norm(features["corners"], axis=1).min() > 0.1
    assert features["mask"].all()
    some = face_features(mesh, 5, np.random.default_rng(0))
    assert some["neighbors"].min() >= 0 and some["neighbors"].max() < 5


def test_three_modalities(config, tmp_path):
    config.name, config.modalities = "procedural10", ("image", "points", "mesh")
    splits = data.load(config)
    assert splits.train.inputs["mesh"]["neighbors"].shape == (20, 512, 3)
    assert splits.train.inputs["mesh"]["mask"].any(1).all()
    assert splits.train.rows(np.array([3])).inputs["mesh"]["corners"].shape == (1, 512, 9)
    arrays = {"class_names": np.array(list("abcdefghij"))}
    for split in ("train", "test"):
        arrays[f"{split}_points"] = np.random.default_rng(0).normal(size=(10, 9, 3))
        arrays[f"{split}_labels"] = np.arange(10)
    np.savez(tmp_path / "modelnet10.npz", **arrays)
    config.name, config.root = "modelnet10", str(tmp_path)
    with pytest.raises(UsageError, match="is a cloud, so it has no mesh features"):
        data.load(config)
