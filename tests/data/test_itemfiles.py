import numpy as np
import pytest
import trimesh

from jaxcmr.data.formats.itemfiles import read_array, read_cloud, read_picture, read_surface, stamps
from jaxcmr.errors import UsageError

CLOUD = np.random.default_rng(0).normal(size=(40, 3))


@pytest.fixture
def saved(tmp_path):
    """Saves an array, and returns its path."""

    def _saved(array, name="x.npy"):
        with open(tmp_path / name, "wb") as file:
            np.save(file, array)
        return tmp_path / name

    return _saved


@pytest.mark.parametrize("shape", [(3, 200), (3, 3), (3, 4), (4, 4), (6, 40), (4, 200), (2, 4)])
def test_axes_that_can_mean_two_things_are_refused(saved, shape):
    message = rf"has the shape \[{shape[0]}, {shape[1]}\], which can mean .* save it as \[N, 3\]"
    with pytest.raises(UsageError, match=message):
        read_array(saved(np.random.default_rng(0).normal(size=shape)))


@pytest.mark.parametrize("shape", [(3,), (), (0, 3), (4, 2), (1, 40, 3), (0,)])
def test_what_is_no_table_of_points_is_refused_with_its_shape(saved, shape):
    with pytest.raises(UsageError, match=r"not numbers \[N, 3\]"):
        read_array(saved(np.zeros(shape)))


@pytest.mark.parametrize("type", [bool, complex, "U3"])
def test_what_is_no_number_is_refused(saved, type):
    with pytest.raises(UsageError, match=r"not numbers \[N, 3\]"):
        read_array(saved(np.zeros((5, 3), type)))


@pytest.mark.parametrize("columns", [4, 6, 7])
def test_the_first_three_columns_are_the_place(saved, columns):
    more = np.concatenate([CLOUD, np.full((40, columns - 3), 1e9)], 1)
    np.testing.assert_array_equal(read_array(saved(more)), CLOUD)


@pytest.mark.parametrize("type", [">f8", "<f8", ">f4", "f2", ">i4", "u1", "<i8", ">u2", "g"])
def test_every_type_and_order_of_bytes_is_the_same_cloud(saved, type):
    whole = np.round(np.random.default_rng(0).uniform(0, 100, (40, 3)))
    np.testing.assert_array_equal(read_array(saved(whole.astype(type))), whole)
    fortran = np.asfortranarray(whole.astype(type))
    np.testing.assert_array_equal(read_array(saved(fortran, "y.NPY")), whole)


def test_a_table_has_its_places_in_the_fields_x_y_and_z(saved):
    table = np.zeros(40, [("intensity", "f4"), ("z", ">f8"), ("x", "f8"), ("y", "f8")])
    table["x"], table["y"], table["z"] = CLOUD.T
    np.testing.assert_array_equal(read_array(saved(table)), CLOUD)
    np.testing.assert_array_equal(read_array(saved(table.reshape(8, 5))), CLOUD)
    with pytest.raises(UsageError, match=r"in the fields x, y and z, but has .'x', 'y'"):
        read_array(saved(table[["x", "y"]]))
    with pytest.raises(UsageError, match="holds no point"):
        read_array(saved(table[:0]))


def test_a_file_that_is_shorter_than_it_says_costs_nothing(tmp_path):
    np.save(tmp_path / "x.npy", CLOUD)
    data = (tmp_path / "x.npy").read_bytes()
    (tmp_path / "x.npy").write_bytes(data.replace(b"(40, 3)", b"(1000000000, 3)"[:7] + b"0"))
    with pytest.raises(UsageError, match=r"x.npy cannot be read"):
        read_array(tmp_path / "x.npy")
    head = data[:10] + data[10:128].replace(b"(40, 3), }        ", b"(4000000000000, 3)}")
    (tmp_path / "x.npy").write_bytes(head + data[128:])
    with pytest.raises(UsageError, match=r"x.npy cannot be read"):
        read_array(tmp_path / "x.npy")


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1.0])
def test_a_cloud_of_any_scale_is_put_into_the_unit_sphere(saved, scale):
    cloud = read_cloud(saved(CLOUD * scale), 40, 0)
    assert cloud.dtype == np.float32 and len(np.unique(cloud, axis=0)) == 40
    assert np.linalg.norm(cloud, axis=1).max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_coordinate_that_is_not_finite_is_refused(saved, value):
    cloud = CLOUD.copy()
    cloud[7, 1] = value
    with pytest.raises(UsageError, match=r"x.npy has coordinates that are not finite"):
        read_cloud(saved(cloud), 16, 0)


def test_a_file_of_another_column_is_refused_with_that_column(tmp_path):
    with pytest.raises(UsageError, match=r"one of .npy, .ply, .pcd, or stand in the column 'mesh'"):
        read_cloud(tmp_path / "x.OBJ", 16, 0)
    with pytest.raises(UsageError, match=r".gltf, or stand in the column 'points'$"):
        read_surface(tmp_path / "x.npy", 16, 0)
    with pytest.raises(UsageError, match=r"one of .png, .jpg, .jpeg, .jpe, .jfif$"):
        read_picture(tmp_path / "x.txt", 16, 1)


@pytest.mark.parametrize("scale", [1e300, 1e-300])
@pytest.mark.parametrize("suffix", [".off", ".obj"])
def test_a_mesh_of_any_scale_is_put_into_the_unit_sphere(tmp_path, suffix, scale):
    rows = [(0, 0, 0), (3, 0, 0), (3, 1, 0), (1, 1, 0), (1, 3, 0), (0, 3, 0)]  # an L
    lines = [" ".join(str(scale * x) for x in row) for row in rows]
    if suffix == ".off":
        text = "OFF\n6 1 0\n" + "\n".join(lines) + "\n6 0 1 2 3 4 5\n"
    else:
        text = "".join(f"v {line}\n" for line in lines) + "f 1 2 3 4 5 6\n"
    (tmp_path / f"x{suffix}").write_text(text)
    x, y, _ = read_surface(tmp_path / f"x{suffix}", 2000, 0).T * np.sqrt(4.5) + 1.5
    assert min(x.min(), y.min()) > -1e-5 and max(x.max(), y.max()) < 3 + 1e-5
    assert not ((x > 1 + 1e-5) & (y > 1 + 1e-5)).any()
    assert np.mean(y > 1) == pytest.approx(2 / 5, abs=0.01)  # two of five unit squares


SOLID = trimesh.creation.box((1, 2, 3))


@pytest.mark.parametrize("suffix", [".off", ".obj", ".ply", ".stl", ".glb"])
def test_every_format_gives_one_shape_in_any_case_of_its_ending(tmp_path, suffix):
    shape = trimesh.creation.box((1, 3, 2)) if suffix == ".glb" else SOLID  # y up
    shape.export(tmp_path / f"x{suffix}")
    (tmp_path / f"x{suffix}").rename(tmp_path / f"x{suffix.upper()}")
    points = read_surface(tmp_path / f"x{suffix.upper()}", 512, 0)
    # Half edges 1/2, 1, 3/2 by the half diagonal sqrt(14)/2; every point lies on a side.
    np.testing.assert_allclose((np.abs(points) * np.sqrt(14) / [1, 2, 3]).max(1), 1, atol=1e-5)


def test_a_buffer_that_changes_is_another_version_of_its_file(tmp_path):
    (tmp_path / "x.gltf").write_text(
        '{"asset": {"version": "2.0"}, "buffers": [{"uri": "a.bin"}, {"uri": "none.bin"}]}'
    )
    (tmp_path / "a.bin").write_bytes(b"1")
    before = stamps(tmp_path / "x.gltf")
    assert len(before) == 2
    (tmp_path / "a.bin").write_bytes(b"22")
    assert stamps(tmp_path / "x.gltf")[0] == before[0] != stamps(tmp_path / "x.gltf")[1]
    assert stamps(tmp_path / "x.gltf") != before
    assert len(stamps(tmp_path / "a.bin")) == 1
