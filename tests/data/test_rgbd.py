import numpy as np
import pytest
from PIL import Image

from jaxcmr import data
from jaxcmr.data.formats import depthframes
from jaxcmr.errors import UsageError


def write_frame(root, instance, video=1, frame=1, depth=None, corner="100,120", mask=True):
    """Writes the four files of a frame: a 6 x 4 crop, half of it the object."""
    category = instance.rpartition("_")[0]
    folder = root / category / instance
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / f"{instance}_{video}_{frame}"
    Image.new("RGB", (6, 4), (200, 30, 30)).save(f"{name}_crop.png")
    if depth is None:
        depth = 800 + np.arange(24).reshape(4, 6)
    Image.fromarray(depth.astype(np.uint16)).save(f"{name}_depthcrop.png")
    if mask:
        covered = np.zeros((4, 6), np.uint8)
        covered[:, 3:] = 255
        Image.fromarray(covered).save(f"{name}_maskcrop.png")
    name.with_name(f"{name.name}_loc.txt").write_text(corner + "\n")


@pytest.fixture
def own(config, tmp_path):
    config.name, config.root, config.channels = "rgbd_object", str(tmp_path), 3
    return config


def test_back_projection_by_hand():
    depth = np.zeros((3, 4))
    depth[1, 2], depth[2, 0] = 1000, 2000
    # u = 319 + 2 = 321, v = 239 + 1 = 240; u = 319, v = 239 + 2 = 241.
    points = depthframes.back_project(depth, (319.0, 239.0))
    expected = [[1 / 570.3, 1.0, 0.0], [-2 / 570.3, 2.0, -2 / 570.3]]
    np.testing.assert_allclose(points, expected, rtol=1e-12)


def test_the_counts_of_the_release_and_its_instance_split(own, tmp_path, caplog):
    # 51 categories, 300 instances: 45 categories with 6, 6 with 5.
    sizes = [6] * 45 + [5] * 6
    names = [f"thing_{chr(97 + c // 26)}{chr(97 + c % 26)}" for c in range(51)]
    root = tmp_path / "rgbd-dataset_eval"
    for name, size in zip(names, sizes):
        for k in range(1, size + 1):
            write_frame(root, f"{name}_{k}")
    splits = data.load(own, workers=1)
    assert (len(splits.train), len(splits.test)) == (249, 51)
    assert splits.train.class_names == tuple(sorted(names))
    np.testing.assert_array_equal(np.bincount(splits.test.labels), [1] * 51)
    assert "the release 51 with 300" not in caplog.text
    instances = [{i.rpartition("_")[0].rpartition("_")[0] for i in p.ids} for p in
                 (splits.train, splits.test)]  # fmt: skip
    assert not instances[0] & instances[1]
    assert splits.train.provenance["split_by"] == "an instance a category, drawn with seed 0"
    own.seed = 1
    assert set(data.load(own, workers=1).test.ids) != set(splits.test.ids)


def small(root):
    for instance in ("apple_1", "apple_2", "food_box_1", "food_box_2"):
        for frame in (1, 2, 6):
            write_frame(root, instance, frame=frame)


def test_published_trials_and_every_fifth_frame(own, tmp_path):
    root = tmp_path / "rgbd-dataset"
    small(root)
    lines = ["****** trial 1 ******", "apple_1", "food_box_2", "", "****** trial 2 ******"]
    lines += ["apple_2", "food_box_1"]
    (tmp_path / "testinstance_ids.txt").write_text("\n".join(lines))
    splits = data.load(own, workers=1)
    # Frames 1 and 6 of the whole release.
    assert list(splits.test.ids) == [
        "apple_1_1_1", "apple_1_1_6", "food_box_2_1_1", "food_box_2_1_6",
    ]  # fmt: skip
    assert splits.test.provenance["split_by"] == "trial 1 of testinstance_ids.txt"
    np.testing.assert_array_equal(splits.test.labels, [0, 0, 1, 1])
    assert splits.train.class_names == ("apple", "food_box")
    own.seed = 1
    assert data.load(own, workers=1).test.ids[0] == "apple_2_1_1"
    root.rename(tmp_path / "rgbd-dataset_eval")  # the evaluation release is thinned already
    assert len(data.load(own, workers=1).test) == 6


def test_picture_and_cloud_show_the_object(own, tmp_path):
    root = tmp_path / "rgbd-dataset"
    small(root)
    splits = data.load(own, workers=1)
    image, points = splits.train.inputs["image"][0], splits.train.inputs["points"][0]
    assert image.shape == (16, 16, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(image[8, 8], [200, 30, 30])
    np.testing.assert_array_equal(image[0, 0], [255, 255, 255])  # 6 x 4 on a square
    assert points.shape == (16, 3) and np.linalg.norm(points, axis=1).max() <= 1 + 1e-6
    # Twelve pixels are masked in, so 16 points are 12 different ones.
    assert len(np.unique(points, axis=0)) == 12
    assert not splits.train.present
    for mask in root.rglob("*_maskcrop.png"):  # depth or mask may change while the picture does not
        mask.unlink()
    again = data.load(own, workers=1).train.inputs
    np.testing.assert_array_equal(again["image"], splits.train.inputs["image"])
    assert len(np.unique(again["points"][0], axis=0)) > 12


def test_frames_without_mask_or_without_depth(own, tmp_path):
    root = tmp_path / "rgbd-dataset"
    small(root)
    write_frame(root, "apple_1", frame=11, depth=np.zeros((4, 6)))
    (root / "apple" / "apple_2" / "apple_2_1_1_maskcrop.png").unlink()
    splits = data.load(own, workers=1)
    parts = (splits.train, splits.test)
    ids = [part for part in parts if "apple_1_1_11" in part.ids]
    row = list(ids[0].ids).index("apple_1_1_11")
    np.testing.assert_array_equal(ids[0].present["points"], np.arange(len(ids[0])) != row)
    assert not ids[0].inputs["points"][row].any()
    whole = next(part for part in parts if "apple_2_1_1" in part.ids)
    cloud = whole.inputs["points"][list(whole.ids).index("apple_2_1_1")]
    assert len(np.unique(cloud, axis=0)) == 16  # of 24 pixels


@pytest.mark.parametrize(
    ("ending", "content", "message"),
    [
        ("depthcrop.png", None, "there is no file .*apple_1_1_1_depthcrop.png"),
        ("depthcrop.png", b"\x89PNG\r\n", "apple_1_1_1_depthcrop.png cannot be read"),
        ("loc.txt", b"1", "must hold two numbers"),
        ("loc.txt", None, "apple_1_1_1_loc.txt cannot be read"),
        ("crop.png", b"junk", "apple_1_1_1_crop.png is no PNG or JPEG"),
    ],
)
def test_damaged_frames_are_named(own, tmp_path, ending, content, message):
    small(tmp_path / "rgbd-dataset")
    path = tmp_path / "rgbd-dataset" / "apple" / "apple_1" / f"apple_1_1_1_{ending}"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        data.load(own, workers=1)


def test_depth_of_8_bits_and_masks_of_another_size(own, tmp_path):
    root = tmp_path / "rgbd-dataset"
    small(root)
    frame = root / "apple" / "apple_1" / "apple_1_1_1_depthcrop.png"
    Image.new("L", (6, 4)).save(frame)
    with pytest.raises(UsageError, match="has no 16 bit depth, but the mode L"):
        data.load(own, workers=1)
    Image.fromarray(np.ones((9, 9), np.uint16)).save(frame)
    with pytest.raises(UsageError, match="and the depth differ in size"):
        data.load(own, workers=1)


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "RGB", "P"])
def test_a_mask_may_have_any_depth_of_bits(own, tmp_path, mode):
    root = tmp_path / "rgbd-dataset"
    small(root)
    covered = np.zeros((4, 6), bool)
    covered[:, 3:] = True
    if mode == "I;16":
        mask = Image.fromarray(covered.astype(np.uint16))  # 0 and 1 of 65535
    else:
        mask = Image.fromarray(covered).convert(mode)
    for path in root.glob("*/*/*_maskcrop.png"):
        mask.save(path)
    points = data.load(own, workers=1).train.inputs["points"]
    assert {len(np.unique(cloud, axis=0)) for cloud in points} == {12}


def test_photographs_that_are_not_used_are_counted(own, tmp_path, caplog):
    root = tmp_path / "rgbd-dataset"
    small(root)
    (root / "apple" / "apple_1" / "pear_1_1_1_crop.png").write_bytes(b"")
    count = len(data.load(own, workers=1).train)
    assert "1 photographs are not named" in caplog.text and "pear_1_1_1" in caplog.text
    (root / "apple" / "apple_1" / "pear_1_1_1_crop.png").unlink()
    assert len(data.load(own, workers=1).train) == count


@pytest.mark.parametrize("text", ["100,120\n", "\ufeff100 120\r\n", "100.0,  120"])
def test_the_place_of_a_crop_may_be_written_in_any_way(tmp_path, text):
    (tmp_path / "a_loc.txt").write_bytes(text.encode())
    assert depthframes.read_corner(tmp_path / "a_loc.txt") == (100, 120)


def test_a_crop_larger_than_the_camera_is_refused(own, tmp_path):
    root = tmp_path / "rgbd-dataset"
    small(root)
    Image.fromarray(np.ones((2, 641), np.uint16)).save(
        root / "apple" / "apple_1" / "apple_1_1_1_depthcrop.png"
    )
    with pytest.raises(UsageError, match="no crop of 640 x 480 pixels, but has 641 x 2"):
        data.load(own, workers=1)


def test_no_folder_and_wrong_trials(own, tmp_path):
    with pytest.raises(UsageError, match="no rgbd-dataset_eval or rgbd-dataset under"):
        data.load(own, workers=1)
    (tmp_path / "rgbd-dataset").mkdir()
    with pytest.raises(UsageError, match="holds no photograph"):
        data.load(own, workers=1)
    small(tmp_path / "rgbd-dataset")
    for text, message in (
        ("apple_1\n", "does not begin with a line"),
        ("", "has no trial"),
        ("*** trial 1 ***\npear_1\n", "no instance of trial 1 is in"),
    ):
        (tmp_path / "testinstance_ids.txt").write_text(text)
        with pytest.raises(UsageError, match=message):
            data.load(own, workers=1)
