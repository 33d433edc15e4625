"""Meshes of a folder or zip in ModelNet's layout, `<class>/<split>/<name>.off`."""

import functools
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from jaxcmr.data.geometry import Mesh
from jaxcmr.data.objects import Item
from jaxcmr.data.off import parse_off
from jaxcmr.errors import UsageError
from jaxcmr.numpyfiles import reason

MAX_BYTES = 1 << 30  # of one mesh: the largest of ModelNet has 0.1 GB
_MEMBER = re.compile(r"(?:.*/)?(?P<name>[^/]+)/(?P<split>train|test)/(?P<stem>[^/]+)\.off", re.I)


class MeshFiles(NamedTuple):
    """The objects of both splits, sorted by class and name, and what identifies their files."""

    train: list[Item]
    test: list[Item]
    class_names: tuple[str, ...]
    state: list[tuple[str, int, int]]  # path, bytes, checksum or time of the last change


def list_meshes(path: Path, expected: tuple[str, ...] = ()) -> MeshFiles:
    """Lists the meshes of a folder or of a zip; hidden files are passed over.

    Args:
        path: a folder or a `.zip`.
        expected: the class names that must be there, and the only ones; (): take what is there.

    Raises:
        UsageError: no mesh, a class too many or too few, or no zip.
    """
    found = _list_zip(path) if path.is_file() else _list_folder(path)
    rows = []
    for name, size, version, source in found:
        match = _MEMBER.fullmatch(name)
        hidden = any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)
        if match and not hidden:
            rows.append(
                (match["name"], match["split"].lower(), match["stem"], name, size, version, source)
            )
    if not rows:
        raise UsageError(f"{path} holds no mesh <class>/<train or test>/<name>.off")
    classes = tuple(sorted({row[0] for row in rows}))
    if expected and classes != tuple(sorted(expected)):
        wrong = sorted(set(classes) ^ set(expected))
        raise UsageError(
            f"{path} has not the {len(expected)} classes expected; compare {wrong[0]!r}"
        )
    rows.sort()
    items = {"train": [], "test": []}
    for name, split, stem, *_, source in rows:
        items[split].append(Item(stem, classes.index(name), source))
    return MeshFiles(items["train"], items["test"], classes, [row[3:6] for row in rows])


def _list_folder(path: Path) -> list[tuple]:
    files = sorted(path.glob("*/*/*.off"))
    stats = [(file, file.stat()) for file in files]
    return [
        (file.relative_to(path).as_posix(), stat.st_size, stat.st_mtime_ns, str(file))
        for file, stat in stats
    ]


def _list_zip(path: Path) -> list[tuple]:
    stamp = path.stat().st_mtime_ns
    members = _open_zip(str(path), stamp).infolist()
    return [(m.filename, m.file_size, m.CRC, (str(path), stamp, m.filename)) for m in members]


def read_mesh(item: Item) -> Mesh:
    """Reads the mesh of an item of `list_meshes`; nothing is ever unpacked to the disk."""
    if isinstance(item.source, str):
        name = item.source
        try:
            data = Path(name).read_bytes()
        except OSError as error:
            raise UsageError(f"{name} cannot be read ({error.strerror})") from None
    else:
        path, stamp, member = item.source
        name = f"{path}:{member}"
        data = _read_member(path, stamp, member, name)
    return parse_off(data, name)


def _read_member(path: str, stamp: int, member: str, name: str) -> bytes:
    try:
        with _open_zip(path, stamp).open(member) as file:
            data = file.read(MAX_BYTES + 1)
    except Exception as error:  # zipfile raises what a damaged archive leads it to
        raise UsageError(f"{name} is damaged ({reason(error)}); get the zip again") from None
    if len(data) > MAX_BYTES:
        raise UsageError(
            f"{name} unpacks to more than {MAX_BYTES >> 20} MB; this is no ModelNet mesh"
        )
    return data


@functools.lru_cache(maxsize=2)
def _open_zip(path: str, stamp: int) -> zipfile.ZipFile:
    """Opens a zip once a process and version (`stamp`): its table of contents is long."""
    del stamp
    try:
        return zipfile.ZipFile(path)
    except Exception as error:  # as above
        raise UsageError(
            f"{path} is no zip file, or was cut off ({reason(error)}); get it again"
        ) from None
