"""Items of a manifest: of the table that names them only the files of the rows asked for are read.

A photograph is shown as it is, not at the size to which training has brought it.
"""

from collections.abc import Mapping
from pathlib import Path

from jaxcmr.data.formats.tables import read_table
from jaxcmr.data.formats.textfiles import read_text
from jaxcmr.data.own import cellfiles, columns, rowlinks
from jaxcmr.display import shown
from jaxcmr.errors import UsageError
from jaxcmr.report.items import part, thumbnails
from jaxcmr.report.items.part import Part


class Manifest:
    """The rows of a manifest, by their ids.

    Args:
        path: the manifest.
        modalities: columns whose items are shown.

    Attributes:
        numbered: whether rows have no ids but their numbers in the file.

    Raises:
        UsageError: the table cannot be read, or has no such column.
    """

    def __init__(self, path: Path, modalities: tuple[str, ...]):
        table = read_table(path, columns.KNOWN)
        self._folder = path.parent
        self._cells: Mapping[str, list[str]] = {m: columns.items(table, m) for m in modalities}
        self.numbered = columns.optional(table, "id") is None
        self._rows = {name: row for row, name in enumerate(columns.ids(table).tolist())}

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def part(self, name: str, modality: str) -> Part:
        """Draws one item.

        Raises:
            UsageError: its file is gone, or cannot be read.
        """
        cell = self._cells[modality][self._rows[name]]
        if not cell:
            return part.missing(modality, "missing")
        if modality == "text":
            words = read_text(self._file(cell)) if rowlinks.names_file(cell) else cell
            return part.text(modality, words)
        kind = {"points": "cloud", "mesh": "mesh"}.get(modality, "image")
        return part.picture(modality, thumbnails.of_file(self._file(cell), kind))

    def _file(self, cell: str) -> Path:
        """Returns the file that a cell names; unlike `find` without a look at similar names.

        That takes long in large folders, and here all files may be gone.
        """
        file = cellfiles.look(self._folder, cell)
        if file is None:
            raise UsageError(f"there is no file {shown(cell, 200)}")
        return file
