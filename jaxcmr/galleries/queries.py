"""What is searched with: files, texts and known rows, of which several become one query."""

import contextlib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxcmr.data.formats.textfiles import read_text
from jaxcmr.display import listed, quoted
from jaxcmr.errors import UsageError
from jaxcmr.galleries import files, sources
from jaxcmr.galleries.run import of_run
from jaxcmr.index import Index

CANCELLED = 1e-6  # length of a mean below which it has no direction


class Query(NamedTuple):
    """One item that is searched with.

    Attributes:
        name: the path of its file, its words, or its id.
        modality: its name.
        source: the path of its file, or its words; None: not known.
        embedding: `[d]`, a unit row.
        row: its row in the gallery; -1: it is none.
    """

    name: str
    modality: str
    source: str | None
    embedding: np.ndarray
    row: int = -1


def of_file(model: Any, path: Path, modality: str = "") -> Query:
    """Embeds a file, whose modality is that of its ending unless it is given.

    Raises:
        UsageError: there is no such file, it cannot be read, or the modality is not clear.
    """
    recipes = files.readable(model.preparation.recipes, [modality] if modality else ())
    modality = files.modality_of(path, recipes, "--from")
    if recipes[modality].kind == "text":
        return _of_words(model, read_text(path), modality, str(path))
    (embedding,) = model.embed(**{modality: [path]})
    return Query(str(path), modality, str(path), embedding)


def of_text(model: Any, words: str, modality: str = "") -> Query:
    """Embeds words; `modality` tells which, where the model has several of texts.

    Raises:
        UsageError: they have no word that the model knows, or it knows no texts.
    """
    recipes = model.preparation.recipes
    if modality:
        files.check_modality(recipes, modality)
    texts = [name for name, recipe in recipes.items() if recipe.kind == "text"]
    texts = [modality] if modality in texts else texts
    if not texts:
        raise UsageError(
            f"{quoted(words)} cannot be searched for: the model has no texts, only "
            f"{listed(list(recipes))}; search with --query or --id"
        )
    if len(texts) > 1:
        raise UsageError(f"a text may be {' or '.join(texts)}; say which, with --from={texts[0]}")
    return _of_words(model, words, texts[0], words)


def _of_words(model: Any, words: str, modality: str, name: str) -> Query:
    rows, (known,) = model.preparation.rows(modality, [words])
    if not known:
        raise UsageError(
            f"{quoted(name)} has no word that the model knows from its training, so that nothing "
            "can be found; use other words"
        )
    (embedding,) = model.embed_rows(modality, rows)
    return Query(name, modality, words, embedding)


def of_row(gallery: Index, name: str, modality: str = "") -> Query:
    """Returns an item of the gallery by its id.

    Raises:
        UsageError: the gallery has no such id, or it is that of several items.
    """
    ids, kinds = gallery.ids, gallery.modalities
    modalities = {kinds[row]: int(row) for row in gallery.find(name)}
    if not modalities:
        raise UsageError(f"the gallery has no row with the id {quoted(name)}{_similar(name, ids)}")
    if modality and modality not in modalities:
        raise UsageError(
            f"the row {quoted(name)} has no item of {quoted(modality)}, only of "
            f"{listed(list(modalities))}; correct --from"
        )
    if not modality and len(modalities) > 1:
        raise UsageError(
            f"the row {quoted(name)} has items of {listed(list(modalities))}; say which is "
            f"searched with, --from={next(iter(modalities))}"
        )
    modality = modality or next(iter(modalities))
    row = modalities[modality]
    return Query(name, modality, gallery.source(row), np.asarray(gallery.embeddings[row]), row)


def of_known_row(model: Any, gallery: Index, name: str, modality: str = "") -> Query:
    """Returns an item of the gallery, or else of the run, by its id.

    Raises:
        UsageError: as `of_row`.
    """
    rows = None
    if not len(gallery.find(name)):
        with contextlib.suppress(UsageError):  # they are of other weights, or not kept
            rows = of_run(model)
    if rows is None or not len(rows.find(name)):
        return of_row(gallery, name, modality)
    found = of_row(rows, name, modality)
    (source,) = sources.of_rows(model.workdir, [(name, found.modality)])
    return found._replace(source=source, row=-1)


def _similar(name: str, ids: Sequence[str]) -> str:
    """Suggests ids that hold a name, or are close to it, or else the first ones."""
    known = list(dict.fromkeys(ids))
    holding = [text for text in known if name.lower() in text.lower()][:3]
    close = holding or get_close_matches(name, known[:10_000], 3, 0.6)
    if close:
        return f"; did you mean {' or '.join(map(quoted, close))}?"
    return f"; its ids are {', '.join(map(quoted, known[:3]))}, ..."


def mean(embeddings: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the unit row `[d]` of the mean of queries' embeddings.

    Raises:
        UsageError: they point in opposite directions, or are zeros.
    """
    row = np.mean(embeddings, 0, dtype=np.float64)
    length = np.linalg.norm(row)
    if not np.any(embeddings):
        raise UsageError(
            "nothing is known of what is searched with, as of a text without a known word; search "
            "with another item"
        )
    if length < CANCELLED:
        raise UsageError(
            "the queries are opposites of each other, so that their mean has no direction; search "
            "with one of them"
        )
    return (row / length).astype(np.float32)
