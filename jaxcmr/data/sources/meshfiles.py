"""Reads meshes of a folder or zip in ModelNet's layout, `<class>/<split>/<name>.off`."""

import functools
import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from absl import logging

from jaxcmr.data import cache
from jaxcmr.data.formats.off import parse_off
from jaxcmr.data.items.geometry import Mesh
from jaxcmr.data.items.objects import Item
from jaxcmr.display import shown
from jaxcmr.errors import UsageError, reason
from jaxcmr.storage.files import MAX_BYTES, read_bytes

_MEMBER = re.compile(r"(?:.*/)?(?P<name>[^/]+)/(?P<split>train|test)/(?P<stem>[^/]+)\.off", re.I)


class MeshFiles(NamedTuple):
    """The objects of both splits, sorted by class and name, and what identifies their files."""

    train: list[Item]
    test: list[Item]
    class_names: tuple[str, ...]
    state: list[tuple[str, int, int]]  # path, bytes, checksum or time of the last change


class _File(NamedTuple):
    """A file of a folder or zip, and where `read_mesh` finds it."""

    name: str
    size: int
    version: int
    source: str | tuple[str, int, str]


def list_meshes(path: Path, expected: tuple[str, ...] = ()) -> MeshFiles:
    """Lists the meshes of a folder or a `.zip`; hidden files are passed over, others are counted.

    The layout may lie in folders of its own; a zip may have backslashes for slashes; the case of
    an ending, of a split and of an expected class does not matter. The classes `expected`, if any,
    must be there, and no others.

    Raises:
        UsageError: no mesh, a class too many or too few, or no zip.
    """
    found = _list_zip(path) if path.is_file() else _list_folder(path)
    hidden = lambda name: any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)
    matches = [(_MEMBER.fullmatch(file.name), file) for file in found if not hidden(file.name)]
    rows = [(m["name"], m["split"].lower(), m["stem"], file) for m, file in matches if m]
    others = [file.name for match, file in matches if not match]
    if not rows:
        example = f", but {len(others)} others, such as {others[0]!r}" if others else ""
        raise UsageError(f"{path} holds no mesh <class>/<train or test>/<name>.off{example}")
    if others:
        logging.info(
            "%s: %d files are no <class>/<train or test>/<name>.off and are not used, such as %s",
            path, len(others), others[0],
        )  # fmt: skip
    names = _class_names({row[0] for row in rows}, expected, path)
    classes = tuple(sorted(set(names.values())))
    rows = sorted((names[name], *rest) for name, *rest in rows)
    items = {"train": [], "test": []}
    for name, split, stem, file in rows:
        items[split].append(Item(stem, classes.index(name), file.source))
    return MeshFiles(items["train"], items["test"], classes, [row[3][:3] for row in rows])


def _class_names(found: set[str], expected: tuple[str, ...], path: Path) -> dict[str, str]:
    """Returns the name of each class folder's class: the expected one of the same letters."""
    known = {name.casefold(): name for name in expected or sorted(found)}
    alike = sorted(found - set(known.values()))
    if not expected and alike:
        other = known[alike[0].casefold()]
        raise UsageError(f"{path} has the classes {alike[0]!r} and {other!r}; make them one")
    names = {name: known.get(name.casefold(), name) for name in found}
    if wrong := sorted(set(names.values()) ^ set(known.values())):
        count = len(expected)
        raise UsageError(f"{path} has not the {count} classes expected; compare {wrong[0]!r}")
    return names


def _list_folder(path: Path) -> list[_File]:
    """Lists the files of the first depth that has a mesh: as published, in a folder, unpacked flat.

    Some programs unpack a zip with backslashes into files that have them in their names.
    """
    listed = []
    for pattern in ("*/*/*", "*/*/*/*", "*"):
        found = []
        for file in sorted(file for file in path.glob(pattern) if file.is_file()):
            size, _, changed = cache.stamp(file)
            name = file.relative_to(path).as_posix().replace("\\", "/")
            found.append(_File(name, size, changed, str(file)))
        if any(_MEMBER.fullmatch(file.name) for file in found):
            return found
        listed += found
    return listed


def _list_zip(path: Path) -> list[_File]:
    stamp = path.stat().st_mtime_ns
    members = _open_zip(str(path), stamp).infolist()
    # Of a member that was added twice, the later one counts.
    latest = {member.filename.replace("\\", "/"): member for member in members}
    return [
        _File(name, member.file_size, member.CRC, (str(path), stamp, member.filename))
        for name, member in latest.items()
        if not name.endswith("/")
    ]


def read_mesh(item: Item) -> Mesh:
    """Reads the mesh of an item of `list_meshes`; nothing is ever unpacked to the disk."""
    if isinstance(item.source, str):
        name, data = item.source, read_bytes(Path(item.source))
    else:
        path, stamp, member = item.source
        name = f"{path}:{shown(member, 120)}"
        data = _read_member(path, stamp, member, name)
    return parse_off(data, name)


def _read_member(path: str, stamp: int, member: str, name: str) -> bytes:
    try:
        archive = _open_zip(path, stamp)
        if archive.getinfo(member).compress_size > Path(path).stat().st_size:
            raise ValueError("it is larger than the zip")
        with archive.open(member) as file:
            data = file.read(MAX_BYTES + 1)
    except Exception as error:  # zipfile raises what a damaged archive leads it to
        raise UsageError(f"{name} is damaged ({reason(error)}); get the zip again") from None
    if len(data) > MAX_BYTES:
        limit = MAX_BYTES >> 20
        raise UsageError(f"{name} unpacks to more than {limit} MB; this is no ModelNet mesh")
    return data


@functools.lru_cache(maxsize=2)
def _open_zip(path: str, stamp: int) -> zipfile.ZipFile:
    """Opens a zip once a process and version (`stamp`): its table of contents is long."""
    del stamp
    try:
        return zipfile.ZipFile(path)
    except Exception as error:  # as above
        wrong = f"{path} is no zip file, or was cut off ({reason(error)})"
        raise UsageError(f"{wrong}; get it again") from None
