import base64
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxcmr.data.formats import gltfscene
from jaxcmr.data.formats.gltf import Asset, buffer_files
from jaxcmr.data.formats.gltfscene import load_gltf
from jaxcmr.errors import UsageError

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 2, 0]], "<f4")  # y up


def turned(places) -> np.ndarray:
    """Those of y up with z up."""
    x, y, z = np.asarray(places, np.float64).T
    return np.stack([x, -z, y], 1)


@pytest.fixture
def read(tmp_path):
    """Reads a document whose buffer is the writer's, as a binary file."""

    def _read(writer, document):
        return load_gltf(tmp_path / "shape.glb", writer.glb(document))

    return _read


@pytest.fixture
def triangle(writer):
    return writer, {"attributes": {"POSITION": writer.array(TRIANGLE)}}


def test_y_up_becomes_z_up(read, triangle):
    writer, primitive = triangle
    mesh = read(writer, writer.document(primitive))
    np.testing.assert_array_equal(mesh.vertices, [[0, 0, 0], [1, 0, 0], [0, 0, 2]])
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2]])


def test_nodes_move_what_is_below_them(read, triangle):
    writer, primitive = triangle
    half = np.sqrt(0.5)
    nodes = [
        {"translation": [10, 0, 0], "children": [1, 2]},
        {"rotation": [0, 0, half, half], "scale": [2, 3, 1], "mesh": 0},  # a quarter turn about z
        {"matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 5, 6, 7, 1], "mesh": 0, "camera": 0},
        {"translation": [99, 0, 0], "mesh": 0},  # in no scene
    ]
    mesh = read(
        writer, writer.document(primitive, nodes=nodes, scenes=[{}, {"nodes": [0]}], scene=1)
    )
    # Scaled (0, 0, 0), (2, 0, 0), (0, 6, 0); turned (x, y) -> (-y, x); moved by 10.
    first = [[10, 0, 0], [10, 2, 0], [4, 0, 0]]
    second = TRIANGLE + np.array([15, 6, 7])
    np.testing.assert_allclose(mesh.vertices, turned([*first, *second]), atol=1e-12)
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2], [3, 4, 5]])


def test_without_a_scene_all_nodes_count_and_without_nodes_all_meshes(read, triangle):
    writer, primitive = triangle
    nodes = [{"mesh": 0, "translation": [1, 0, 0]}, {"children": [0], "translation": [0, 1, 0]}]
    mesh = read(writer, writer.document(primitive, nodes=nodes, scenes=None, scene=None))
    np.testing.assert_array_equal(mesh.vertices, turned(TRIANGLE + np.array([1, 1, 0])))
    mesh = read(writer, writer.document(primitive, nodes=None, scenes=None, scene=None))
    np.testing.assert_array_equal(mesh.vertices, turned(TRIANGLE))


@pytest.mark.parametrize(
    ("mode", "faces"),
    [
        (4, [[0, 1, 2], [2, 1, 3]]),
        (5, [[0, 1, 2], [2, 1, 2], [2, 2, 1], [1, 2, 3]]),
        (6, [[0, 1, 2], [0, 2, 2], [0, 2, 1], [0, 1, 3]]),
    ],
)
@pytest.mark.parametrize("type", ["u1", "u2", "u4"])
def test_triangles_strips_and_fans_of_every_type_of_index(read, writer, mode, faces, type):
    places = writer.array(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], "<f4"))
    corners = writer.array(np.array([0, 1, 2, 2, 1, 3], f"<{type}"))
    primitive = {"attributes": {"POSITION": places}, "indices": corners, "mode": mode}
    np.testing.assert_array_equal(read(writer, writer.document(primitive)).faces, faces)


def test_points_and_lines_are_passed_over(read, triangle):
    writer, primitive = triangle
    both = {"primitives": [primitive | {"mode": 0}, primitive | {"mode": 1}, primitive]}
    assert len(read(writer, writer.document(primitive, meshes=[both])).faces) == 1
    with pytest.raises(UsageError, match="holds no face"):
        read(writer, writer.document(primitive | {"mode": 1}))


def test_places_may_be_interleaved_quantized_sparse_or_morphed(read, writer):
    rows = np.zeros((3, 6), "<f4")
    rows[:, :3], rows[:, 3:] = TRIANGLE, 9
    interleaved = writer.array(TRIANGLE)
    writer.accessors[interleaved] |= {
        "bufferView": writer.view(bytes(4) + rows.tobytes(), byteStride=24),
        "byteOffset": 4,
    }
    quantized = writer.array(
        np.array([[0, 0, 0], [127, 0, 0], [0, 64, -128]], "i1"), normalized=True
    )
    whole = writer.array(np.array([[0, 0, 0], [700, 0, 0], [0, 800, -9]], "<i2"))
    sparse = writer.array(np.zeros((3, 3), "<f4"))
    writer.accessors[sparse]["sparse"] = {
        "count": 2,
        "indices": {"bufferView": writer.view(b"\1\2"), "componentType": 5121},
        "values": {"bufferView": writer.view(TRIANGLE[1:].tobytes())},
    }
    zero = writer.array(TRIANGLE)
    writer.accessors[zero] = {
        k: v for k, v in writer.accessors[sparse].items() if k != "bufferView"
    }
    for accessor, places in (
        (interleaved, TRIANGLE),
        (quantized, [[0, 0, 0], [1, 0, 0], [0, 64 / 127, -1]]),
        (whole, [[0, 0, 0], [700, 0, 0], [0, 800, -9]]),
        (sparse, TRIANGLE),
        (zero, TRIANGLE),
    ):
        document = writer.document({"attributes": {"POSITION": accessor}})
        document["extensionsRequired"] = ["KHR_mesh_quantization", "KHR_materials_unlit"]
        np.testing.assert_allclose(read(writer, document).vertices, turned(places))
    primitive = {
        "attributes": {"POSITION": interleaved},
        "targets": [{"POSITION": whole}, {"NORMAL": 0}, {"POSITION": sparse}],
    }
    meshes = [{"primitives": [primitive], "weights": [0, 1, 0.5]}]
    mesh = read(writer, writer.document(primitive, meshes=meshes))
    np.testing.assert_allclose(mesh.vertices, turned(1.5 * TRIANGLE))
    nodes = [{"mesh": 0, "weights": [0, 0, 1]}]
    mesh = read(writer, writer.document(primitive, meshes=meshes, nodes=nodes))
    np.testing.assert_allclose(mesh.vertices, turned(2 * TRIANGLE))


def test_joints_move_a_skin_and_its_node_does_not(read, triangle):
    writer, primitive = triangle
    joints = writer.array(np.array([[0, 1, 0, 0]] * 3, "u1"))
    weights = writer.array(np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.5, 0.5, 0, 0]], "<f4"))
    bind = np.eye(4, dtype="<f4")
    bind[3, :3] = [-10, 0, 0]  # by columns
    matrices = writer.array(np.stack([np.eye(4, dtype="<f4"), bind]).reshape(2, 16))
    primitive["attributes"] |= {"JOINTS_0": joints, "WEIGHTS_0": weights}
    nodes = [
        {"mesh": 0, "skin": 0, "translation": [1000, 0, 0]},
        {"translation": [0, 0, 1]},
        {"translation": [10, 0, 4]},
    ]
    skins = [{"joints": [1, 2], "inverseBindMatrices": matrices}]
    scenes = [{"nodes": [0, 1, 2]}]
    mesh = read(writer, writer.document(primitive, nodes=nodes, skins=skins, scenes=scenes))
    # The first corner moves by (0, 0, 1), the second by (0, 0, 4), the third by half of both.
    np.testing.assert_allclose(
        mesh.vertices, turned(TRIANGLE + np.array([[0, 0, 1], [0, 0, 4], [0, 0, 2.5]]))
    )


def test_numbers_may_lie_in_the_document_or_beside_it(tmp_path, triangle):
    writer, primitive = triangle
    document = writer.document(primitive)
    path = tmp_path / "shape.gltf"
    packed = base64.b64encode(writer.data).decode()
    for kind in ("application/octet-stream", "application/gltf-buffer"):
        document["buffers"][0]["uri"] = f"data:{kind};base64,{packed}"
        mesh = load_gltf(path, json.dumps(document).encode())
        np.testing.assert_array_equal(mesh.vertices, turned(TRIANGLE))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "my numbers.bin").write_bytes(writer.data)
    document["buffers"][0]["uri"] = "sub/my%20numbers.bin"
    path.write_text("\ufeff" + json.dumps(document))
    mesh = load_gltf(path, path.read_bytes())
    np.testing.assert_array_equal(mesh.vertices, turned(TRIANGLE))
    assert buffer_files(path) == [tmp_path / "sub" / "my numbers.bin"]


@pytest.mark.parametrize(
    "uri",
    ["../secret.bin", "a/../../secret.bin", "%2e%2e/secret.bin", "{}/secret.bin", "file://{}/secret.bin",
     "http://a.invalid/secret.bin", "..\\secret.bin", "C:\\secret.bin", "", "a\0b"],
)  # fmt: skip
def test_nothing_outside_of_the_folder_is_read(tmp_path, triangle, uri):
    writer, primitive = triangle
    (tmp_path / "secret.bin").write_bytes(writer.data)
    folder = tmp_path / "in"
    folder.mkdir()
    document = writer.document(primitive)
    document["buffers"][0]["uri"] = uri.format(tmp_path)
    with pytest.raises(UsageError, match="which is outside of its folder"):
        load_gltf(folder / "shape.gltf", json.dumps(document).encode())


def change(**parts):
    """Sets `key__index__key...` of a document."""

    def _change(document):
        for path, value in parts.items():
            *steps, last = [int(step) if step.isdigit() else step for step in path.split("__")]
            part = document
            for step in steps:
                part = part[step]
            part[last] = value
        return document

    return _change


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (change(asset={"version": "1.0"}), "is glTF 1.0; only version 2"),
        (change(asset=3), "is no glTF file"),
        (change(extensionsRequired=["KHR_draco_mesh_compression"]), "KHR_draco_mesh_compression"),
        (change(extensionsRequired=["EXT_meshopt_compression"]), "EXT_meshopt_compression"),
        (change(accessors__0={"componentType": 5126, "count": 3, "type": "VEC3"}), "no numbers"),
        (change(accessors__0__count=10**9), r"bufferViews\[0\] is short"),
        (change(accessors__0__count=4), r"bufferViews\[0\] is short"),
        (change(accessors__0__count=-1), "count is -1"),
        (change(accessors__0__count=10**30), "count is 1"),
        (change(accessors__0__count=2.5), "count is 2.5"),
        (change(accessors__0__count=2), "cannot reshape|is damaged"),
        (change(accessors__0__type="VEC2"), "has an unfit type"),
        (change(accessors__0__componentType=7), "has an unfit type"),
        (change(accessors__0__bufferView=-1), r"bufferViews\[-1\]"),
        (change(accessors__0__bufferView=True), r"bufferViews\[True\]"),
        (change(accessors__0__byteOffset=8), r"bufferViews\[0\] is short"),
        (change(bufferViews__0__byteLength=99), r"bufferViews\[0\] is short"),
        (change(bufferViews__0__byteStride=99), r"bufferViews\[0\] is short"),
        (change(bufferViews__0__buffer=1), r"buffers\[1\]"),
        (change(buffers__0__uri="none.bin"), "names the file 'none.bin', but .* is none"),
        (change(buffers__0__uri="data:text/plain,abc"), "not base64"),
        (change(nodes__0__mesh=7), r"meshes\[7\]"),
        (change(nodes__0__children=[0]), "has two parents"),
        (change(nodes__0__matrix=[1, 2]), "is damaged"),
        (change(nodes__0__rotation=[1]), "is damaged"),
        (change(nodes__0__scale="big"), "is damaged"),
        (change(nodes__0__skin=0), r"skins\[0\]"),
        (change(scene=5), r"scenes\[5\]"),
        (change(meshes__0__primitives=5), "is damaged"),
        (change(meshes__0__primitives=[]), "holds no face"),
        (change(meshes__0__primitives__0__indices=0), "has an unfit type"),
    ],
)
def test_damage_is_one_sentence_with_the_name(read, triangle, changed, message):
    writer, primitive = triangle
    with pytest.raises(UsageError, match=message) as error:
        read(writer, changed(writer.document(primitive)))
    assert "shape.glb" in str(error.value) and "\n" not in str(error.value)


def test_an_index_of_no_vertex_is_refused(read, triangle):
    writer, primitive = triangle
    primitive["indices"] = writer.array(np.array([0, 1, 3], "u1"))
    with pytest.raises(UsageError, match="a face of vertices that it lacks"):
        read(writer, writer.document(primitive))


@settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.binary(max_size=12), st.integers(0, 900), st.integers(-20, 20))
def test_no_bytes_make_it_fail_otherwise(tmp_path, triangle, junk, start, more):
    writer, primitive = triangle
    good = writer.glb(writer.document(primitive))
    try:
        mesh = load_gltf(tmp_path / "x.glb", good[:start] + junk + good[max(start + more, 0) :])
    except UsageError as error:
        assert str(error).isprintable()
        return
    assert mesh.vertices.shape[1:] == (3,) and mesh.faces.shape[1:] == (3,)


@pytest.mark.parametrize("nodes", ["meshes", "nothing"])
def test_a_small_file_cannot_ask_for_hours_or_for_all_memory(read, triangle, monkeypatch, nodes):
    writer, primitive = triangle
    monkeypatch.setattr(gltfscene, "MAX_PARTS" if nodes == "nothing" else "MAX_REPEATED", 9)
    monkeypatch.setattr(Asset, "size", property(lambda asset: 9, lambda asset, value: None), False)
    document = writer.document(primitive, scenes=[{"nodes": list(range(10))}])
    document["nodes"] = [{"mesh": 0} if nodes == "meshes" else {}] * 10
    message = "repeats its meshes too often" if nodes == "meshes" else "has more than 9 nodes"
    with pytest.raises(UsageError, match=message):
        read(writer, document)
