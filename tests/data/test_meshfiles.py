import logging
import tracemalloc
import zipfile

import numpy as np
import pytest

from jaxcmr.data.sources.meshfiles import list_meshes, read_mesh
from jaxcmr.errors import UsageError

NAMES = [
    f"{name}/{split}/{name}_000{k}.off"
    for name in ("bed", "chair")
    for k, split in enumerate(("train", "test"))
]


def text(size: float) -> str:
    return f"OFF\n3 1 0\n0 0 0\n{size} 0 0\n0 {size} 0\n3 0 1 2\n"


@pytest.fixture
def archive(tmp_path):
    """Writes names, or (name, text), into a zip."""

    def _archive(names):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            for name in names:
                file.writestr(*((name, text(1)) if isinstance(name, str) else name))
        return tmp_path / "a.zip"

    return _archive


def summary(files) -> tuple:
    rows = [[(item.id, item.label) for item in items] for items in (files.train, files.test)]
    for item in files.train + files.test:
        np.testing.assert_array_equal(read_mesh(item).faces, [[0, 1, 2]])
    return files.class_names, *rows


EXPECTED = (
    ("bed", "chair"),
    [("bed_0000", 0), ("chair_0000", 1)],
    [("bed_0001", 0), ("chair_0001", 1)],
)


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name.replace("/", "\\"),
        lambda name: f"ModelNet10\\{name}".replace("/", "\\"),
        lambda name: f"ModelNet10/{name}",
        lambda name: f"a/b/{name}",
        lambda name: name.replace(".off", ".OFF").replace("/train", "/Train"),
        lambda name: name.replace("bed/", "Bed/").replace("chair/", "CHAIR/"),
    ],
)
def test_a_zip_may_be_packed_in_any_way(archive, change):
    path = archive([change(name) for name in NAMES])
    assert summary(list_meshes(path, ("bed", "chair"))) == EXPECTED


@pytest.mark.parametrize("top", ["", "ModelNet10/", "flat"])
def test_a_folder_may_be_unpacked_in_any_way(tmp_path, top):
    for name in NAMES:
        path = tmp_path / (name.replace("/", "\\") if top == "flat" else top + name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".OFF" if "chair" in name else ".off").write_text(text(1))
    assert summary(list_meshes(tmp_path)) == EXPECTED


def test_what_is_not_used_is_counted_and_named(archive, tmp_path, caplog):
    more = [
        "__MACOSX/bed/train/._bed_0000.off",
        "bed/.DS_Store",
        "bed\\train\\",
        "bed/val/bed_0009.off",
    ]
    path = archive([*NAMES, *more, "README.txt"])
    with caplog.at_level(logging.INFO):
        assert summary(list_meshes(path)) == EXPECTED
    assert "2 files are no <class>/<train or test>/<name>.off" in caplog.text
    assert "bed/val/bed_0009.off" in caplog.text
    with pytest.raises(UsageError, match=r"holds no mesh .*, but 1 others, such as 'x/a.off'"):
        list_meshes(archive(["x/a.off"]))
    with pytest.raises(UsageError, match=r"holds no mesh <class>/<train or test>/<name>.off$"):
        list_meshes(archive([]))


def test_of_a_mesh_that_was_added_twice_the_later_one_counts(archive):
    files = list_meshes(archive([*NAMES, ("bed\\train\\bed_0000.off", text(7))]))
    assert summary(files) == EXPECTED
    assert read_mesh(files.train[0]).vertices.max() == 7


def test_classes_that_differ_in_case_alone_are_one_by_mistake(archive):
    path = archive([*NAMES, "Bed/train/bed_0007.off"])
    with pytest.raises(UsageError, match="has the classes 'Bed' and 'bed'; make them one"):
        list_meshes(path)
    assert list_meshes(path, ("bed", "chair")).class_names == ("bed", "chair")
    with pytest.raises(UsageError, match="has not the 2 classes expected; compare 'Bed'"):
        list_meshes(path, ("sofa", "chair"))


def test_a_name_that_would_garble_the_terminal_is_shown_without(archive):
    path = archive([("bed/train/\x1b[2J.off", "OFF\n"), "bed/test/a.off"])
    with pytest.raises(UsageError, match=r"bed/train/\\x1b\[2J.off is cut off") as error:
        read_mesh(list_meshes(path).train[0])
    assert str(error.value).isprintable()


def test_a_mesh_that_announces_more_than_its_zip_has_takes_no_memory(archive):
    path = archive(NAMES)
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + 20  # in the table of contents: packed and unpacked bytes
    data[place : place + 8] = (2**30).to_bytes(4, "little") * 2
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match=r"0\.off is damaged \(it is larger than the zip\)"):
            for item in list_meshes(path).train:
                read_mesh(item)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
