import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr.data.formats.itemfiles import MESHES, load_mesh
from jaxcmr.data.formats.obj import parse_obj
from jaxcmr.data.formats.off import parse_off
from jaxcmr.data.formats.ply import parse_ply_mesh
from jaxcmr.data.formats.polygons import polygon_mesh
from jaxcmr.errors import UsageError


def off(places, faces) -> bytes:
    lines = [" ".join(map(repr, row)) for row in places.tolist()]
    lines += [" ".join(map(str, [len(face), *face])) for face in faces]
    return f"OFF\n{len(places)} {len(faces)} 0\n{chr(10).join(lines)}\n".encode()


def obj(places, faces) -> bytes:
    lines = ["v " + " ".join(map(repr, row)) for row in places.tolist()]
    for k, face in enumerate(faces):  # forwards and backwards in turn
        lines.append("f " + " ".join(str(c + 1 if k % 2 else c - len(places)) for c in face))
    return "\n".join(lines).encode()


def ply(places, faces, kind="ascii") -> bytes:
    head = (
        f"ply\nformat {kind} 1.0\nelement vertex {len(places)}\nproperty double x\n"
        f"property double y\nproperty double z\nelement face {len(faces)}\n"
        "property list uchar int vertex_indices\nend_header\n"
    ).encode()
    if kind == "ascii":
        return head + off(places, faces).partition(b" 0\n")[2]
    order = ">" if kind.endswith("big_endian") else "<"
    rows = [bytes([len(face)]) + np.array(face, f"{order}i4").tobytes() for face in faces]
    return head + places.astype(f"{order}f8").tobytes() + b"".join(rows)


@st.composite
def meshes(draw):
    """Polygons anywhere in space, some of them concave, of one size or of several."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 7), min_size=1, max_size=9))
    if draw(st.booleans()):
        sizes = [draw(st.integers(3, 6))] * len(sizes)
    places, faces = [], []
    for size in sizes:
        angle = 2 * np.pi * (np.arange(size) + 0.5 * rng.random(size)) / size
        radius = rng.uniform(0.3, 1, (size, 1))
        flat = radius * np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        faces.append(list(range(len(places), len(places) + size)))
        places += (flat @ turn * 10.0 ** draw(st.integers(-3, 3))).tolist()
    return np.array(places), faces


@settings(max_examples=40, derandomize=True, deadline=None)
@given(meshes())
def test_every_format_gives_the_same_mesh(mesh):
    places, faces = mesh
    counts = np.array([len(face) for face in faces])
    expected = polygon_mesh(places, np.concatenate(faces), counts, "x")
    for found in (
        parse_off(off(places, faces), "x.off"),
        parse_off(off(places, faces).replace(b" 0\n", b" 0 # counts\n", 1), "x.off"),
        parse_obj(obj(places, faces), "x.obj"),
        parse_ply_mesh(ply(places, faces), "x.ply"),
        parse_ply_mesh(ply(places, faces, "binary_little_endian"), "x.ply"),
        parse_ply_mesh(ply(places, faces, "binary_big_endian"), "x.ply"),
    ):
        np.testing.assert_array_equal(found.vertices, places)
        np.testing.assert_array_equal(found.faces, expected.faces)


@pytest.mark.parametrize("suffix", MESHES)
@pytest.mark.parametrize("data", [b"", b"\0" * 100, b"<!DOCTYPE html>", b"version https://git-lfs"])
def test_what_is_no_mesh_is_one_sentence_with_its_name(tmp_path, suffix, data):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(data)
    with pytest.raises(UsageError) as error:
        load_mesh(path)
    assert str(path) in str(error.value) and str(error.value).isprintable()
    path.unlink()
    with pytest.raises(UsageError, match="cannot be read"):
        load_mesh(path)
