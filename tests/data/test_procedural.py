import numpy as np
import pytest

from jaxcmr import data
from jaxcmr.data.items.geometry import face_areas, normalize_mesh
from jaxcmr.data.items.render import camera_ring, render_mesh
from jaxcmr.data.standin import furniture


@pytest.mark.parametrize("name", furniture.MAKERS)
def test_every_class_makes_sound_and_different_meshes(name):
    pictures = []
    for seed in range(12):
        mesh = furniture.make(name, np.random.default_rng(seed))
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.min() >= 0 and mesh.faces.max() < len(mesh.vertices)
        assert face_areas(mesh)[1].sum() > 0.01  # square metres
        assert 10 < len(mesh.faces) < 5000
        pictures.append(render_mesh(normalize_mesh(mesh, name), camera_ring(1), 24)[0])
    assert len({picture.tobytes() for picture in pictures}) == 12


def test_the_classes_are_modelnet10s_in_canonical_order():
    assert furniture.CLASS_NAMES == (
        "bathtub", "bed", "chair", "desk", "dresser", "monitor", "night_stand", "sofa", "table",
        "toilet",
    )  # fmt: skip


def test_items_are_balanced_stable_and_apart():
    train, test = furniture.items("train", 23, 5), furniture.items("test", 10, 5)
    counts = np.bincount([item.label for item in train])
    np.testing.assert_array_equal(counts, [3, 3, 3, 2, 2, 2, 2, 2, 2, 2])
    assert not {item.id for item in train} & {item.id for item in test}
    larger = {item.id: item for item in furniture.items("train", 50, 5)}
    assert all(larger[item.id] == item for item in train)
    first = [furniture.read(items[0]) for items in (train, test, furniture.items("train", 23, 6))]
    assert first[0].vertices.shape != first[1].vertices.shape or not np.allclose(
        first[0].vertices, first[1].vertices
    )
    assert first[0].vertices.shape != first[2].vertices.shape or not np.allclose(
        first[0].vertices, first[2].vertices
    )


def test_the_stand_in_is_announced_and_recorded(config, caplog):
    config.fallback = "procedural10"
    splits = data.load(config)
    lines = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(lines) == 1 and lines[0].startswith("STAND-IN DATA: no ModelNet10 under")
    assert splits.train.provenance["source"] == "stand-in"
    assert splits.train.provenance["name"] == "procedural10"
    assert splits.train.provenance["count"] == 20 and splits.test.provenance["count"] == 10
    image, points = splits.train.inputs["image"], splits.train.inputs["points"]
    assert image.shape == (20, 2, 16, 16, 1) and image.dtype == np.uint8
    assert points.shape == (20, 16, 3) and points.dtype == np.float32
    assert np.linalg.norm(points, axis=-1).max() <= 1 + 1e-6
    np.testing.assert_array_equal(splits.train.labels, np.repeat(np.arange(10), 2))
    np.testing.assert_array_equal(splits.train.labels, splits.train.true_labels)
    assert splits.train.labels.dtype == np.int32
    assert splits.train.ids[0] == "train/bathtub_0001"


def test_image_and_points_of_a_row_show_the_same_object(config):
    config.name, config.points, config.image_size = "procedural10", 2000, 32
    config.train_size = 10
    splits = data.load(config)
    cameras = camera_ring(config.views)
    for image, points in zip(splits.train.inputs["image"], splits.train.inputs["points"]):
        shape = points.astype(np.float64)
        for view, camera in zip(image[..., 0], cameras):
            flat = shape @ camera[:2].T
            half = 1.04 * np.abs(np.einsum("vij,nj->vni", cameras[:, :2], shape)).max()
            column = ((flat[:, 0] / half + 1) / 2 * 32).astype(int)
            row = ((1 - flat[:, 1] / half) / 2 * 32).astype(int)
            # The frame is fitted to the sampled points here: a pixel of tolerance.
            inside = (view < 255) | (np.roll(view, 1, 0) < 255) | (np.roll(view, -1, 0) < 255)
            inside |= np.roll(inside, 1, 1) | np.roll(inside, -1, 1)
            assert inside[row, column].mean() > 0.97


def test_the_same_seed_gives_the_same_arrays_with_any_number_of_workers(
    config, monkeypatch, tmp_path
):
    config.name = "procedural10"
    config.train_size, config.test_size = 110, 20
    config.channels = 3
    one = data.load(config, workers=1)
    again = data.load(config, workers=1)  # from the cache
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    two = data.load(config, workers=2)
    for other in (again, two):
        for name, array in one.train.inputs.items():
            np.testing.assert_array_equal(array, other.train.inputs[name])
    assert one.train.inputs["image"].shape[-1] == 3
    assert one.train.provenance["prepared"] == again.train.provenance["prepared"]
    config.seed = 1
    assert not np.array_equal(one.train.inputs["points"], data.load(config).train.inputs["points"])
