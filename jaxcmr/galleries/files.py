"""Lists what a folder or a manifest holds: the items that a model can embed, and what is lost."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from jaxcmr.data.formats import tables
from jaxcmr.data.formats.textfiles import read_text
from jaxcmr.data.own import cellfiles, columns, missing, names, rowlinks
from jaxcmr.display import listed, quoted, shown
from jaxcmr.errors import UsageError
from jaxcmr.index.adding import RESERVED

Recipes = Mapping[str, Any]  # modality -> `preparation.Recipe`


class Item(NamedTuple):
    """One item without an embedding.

    Attributes:
        id: unique among the items of its modality.
        modality: its name.
        raw: the path of its file, or the words of a text.
        metadata: field -> text, None where there is none.
    """

    id: str
    modality: str
    raw: Path | str
    metadata: Mapping[str, str | None]


class Listing(NamedTuple):
    """What a folder or a manifest holds.

    Attributes:
        items: those that can be tried.
        lost: a sentence for each item that cannot be read.
    """

    items: list[Item]
    lost: list[str]


def readable(recipes: Recipes, chosen: Collection[str] = ()) -> dict[str, Any]:
    """Returns the recipes of the modalities `chosen` (none: of all) whose items may be files.

    Raises:
        UsageError: the model lacks a modality, or takes arrays of it alone.
    """
    for name in chosen:
        check_modality(recipes, name)
    found = {m: recipe for m, recipe in recipes.items() if not chosen or m in chosen}
    files = {m: recipe for m, recipe in found.items() if recipe.files or recipe.kind == "text"}
    if not files:
        raise UsageError(
            f"the model takes arrays of {listed(list(found))} alone, no files; embed them in "
            "Python, or search the rows of the run"
        )
    return files


def check_modality(recipes: Recipes, name: str) -> None:
    """Raises a `UsageError` if the model has no such modality."""
    if name not in recipes:
        raise UsageError(
            f"the model has no modality {quoted(name)}, only {listed(list(recipes))}"
            f"{names.suggestion(name, tuple(recipes))}"
        )


def modality_of(path: Path, recipes: Recipes, flag: str) -> str:
    """Returns the modality of a file by the ending of its name.

    Args:
        path: the file.
        recipes: of the modalities that it may have, each with files (`readable`).
        flag: with which the user chooses, "--from".

    Raises:
        UsageError: it fits none, or several.
    """
    suffix = path.suffix.lower()
    fitting = [name for name, recipe in recipes.items() if suffix in recipe.files]
    fitting = fitting or [name for name, recipe in recipes.items() if suffix in recipe.further]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(
            f"{path} may be {' or '.join(fitting)} by its ending; say which, with "
            f"{flag}={fitting[0]}"
        )
    endings = ", ".join(f"{', '.join(r.files)} ({name})" for name, r in recipes.items() if r.files)
    raise UsageError(f"{path} must end in one of {endings or 'none: the model reads texts alone'}")


def listing_of(path: Path, recipes: Recipes) -> Listing:
    """Lists the items of a folder or a manifest.

    In a folder, which is walked with all folders in it, files are found by their endings, and an
    id is the path within the folder. A manifest's columns are the modalities' items and `id`; the
    others become metadata, `label` as well, which no row needs to have. Names that begin with a dot
    are passed over.

    Args:
        path: the folder or manifest.
        recipes: of the modalities that are looked for (`readable`).

    Raises:
        UsageError: there is no such folder or manifest, or nothing in it for the model.
    """
    if path.is_dir():
        found = _of_folder(path, recipes)
    elif path.suffix.lower() in tables.SUFFIXES:
        found = _of_manifest(path, recipes)
    elif path.exists():
        raise UsageError(
            f"{path} is neither a folder nor a manifest ({', '.join(tables.SUFFIXES)}); name one"
        )
    else:
        raise UsageError(f"there is no folder or manifest {path}; correct its name")
    if not found.items:
        raise UsageError(f"{path} has no item that can be embedded{in_words(found.lost)}")
    return found


def in_words(lost: Sequence[str]) -> str:
    """Counts items that cannot be read, and says why the first cannot; "" where there is none."""
    return f": {len(lost)} cannot be read, the first: {lost[0]}" if lost else ""


def _of_folder(folder: Path, recipes: Recipes) -> Listing:
    lost: list[str] = []
    others: Counter[str] = Counter()
    items = []
    endings = {ending for recipe in recipes.values() for ending in recipe.files}
    if len(recipes) == 1:  # it is named, so that all that it reads is meant
        endings |= {ending for recipe in recipes.values() for ending in recipe.further}
    for file in _walk(folder, lost):
        if file.suffix.lower() not in endings:
            others[file.suffix.lower() or file.name] += 1
            continue
        name = modality_of(file, recipes, "--to")
        try:
            if not os.path.isfile(file):  # reading a pipe would wait forever
                raise UsageError(f"{file} is no file, or a link to none")
            raw = read_text(file) if recipes[name].kind == "text" else file
        except UsageError as error:
            lost.append(str(error))
            continue
        items.append(Item(file.relative_to(folder).as_posix(), name, raw, {}))
    if not items and not lost:
        there = f", only {listed(sorted(others))}" if others else "; it is empty"
        raise UsageError(f"{folder} has no file that ends in {', '.join(sorted(endings))}{there}")
    if others:
        passed = [f"{count} {shown(ending)}" for ending, count in others.most_common()]
        logging.info("%s: passed over: %s", folder, listed(passed))
    return Listing(items, lost)


def _walk(folder: Path, lost: list[str]) -> Iterator[Path]:
    """Yields the files of a folder and of those in it, sorted; links to folders are followed."""
    refused = lambda error: lost.append(f"{error.filename} cannot be read ({error.strerror})")
    seen = set()
    for place, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith("."))


def _of_manifest(path: Path, recipes: Recipes) -> Listing:
    known = (*columns.KNOWN, *recipes, *(f"present_{name}" for name in recipes))
    table = tables.read_table(path, known)
    modalities = [name for name in recipes if name in table.columns]
    if not modalities:
        there = [shown(name) for name in table.columns]
        raise UsageError(
            f"{path} has none of the columns {', '.join(recipes)}, only "
            f"{listed(there, columns.NAMED)}; rename those of your items"
        )
    used = {"id", *modalities, *(f"present_{name}" for name in modalities)}
    if reserved := [name for name in RESERVED if name in table.columns and name not in used]:
        logging.warning(
            "%s: the columns %s are left out, for hits have fields of this name; rename them",
            path, listed(reserved),
        )  # fmt: skip
    fields = [name for name in table.columns if name not in (*used, *RESERVED)]
    value = lambda cell: None if missing.is_missing(cell) else missing.strip(cell)
    items, lost = [], []
    ids = columns.ids(table).tolist()
    for name in modalities:
        for row_id, (line, row), cell in zip(ids, table.rows, columns.cells(table, name)):
            if not cell:
                continue
            try:
                raw = _raw(path.parent, cell, recipes[name])
            except UsageError as error:
                lost.append(f"{path}, line {line}: {error}")
                continue
            metadata = {field: value(row.get(field, "")) for field in fields}
            items.append(Item(row_id, name, raw, metadata))
    return Listing(items, lost)


def _raw(folder: Path, cell: str, recipe: Any) -> Path | str:
    """Returns the file that a cell names, or the words of a text."""
    if recipe.kind == "text":
        return rowlinks.text_of(folder, cell)
    return cellfiles.find(folder, cell)
