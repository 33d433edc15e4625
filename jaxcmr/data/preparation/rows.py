"""The preparation of a data set: one recipe a modality, and many raw items at once."""

import dataclasses
import os
import threading
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxcmr.data.items.standardize import Standard
from jaxcmr.data.own.names import suggestion
from jaxcmr.data.preparation.recipe import Recipe, is_picture
from jaxcmr.errors import UsageError
from jaxcmr.types import Items

THREADS = 8  # at most: decoders of pictures let other threads work, most of the rest does not


class Rows(NamedTuple):
    """Rows as those of the training set.

    Attributes:
        items: `[N, ...]`; of a mesh a dict of arrays.
        known: `[N]` bool, False for a text without any known word, whose row is zeros.
    """

    items: Items
    known: np.ndarray


@dataclasses.dataclass(frozen=True)
class Preparation:
    """All that a raw item needs to become a row like those of the training set.

    Attributes:
        class_names: K names; a label k is `class_names[k]`.
        recipes: modality -> how its items become rows.
    """

    class_names: tuple[str, ...]
    recipes: Mapping[str, Recipe]

    def rows(self, modality: str, raw: Sequence[Any]) -> Rows:
        """Makes rows of raw items, exactly as those of the training set were made.

        Raw items are paths (`str` or `Path`), Pillow images or numpy arrays; for texts a `str` is
        the text itself, and a `Path` a text file. An array `[N, ...]` is N raw items.

        Raises:
            UsageError: no such modality, no item, or one that cannot be used, by its name.
        """
        if modality not in self.recipes:
            known = tuple(self.recipes)
            raise UsageError(
                f"there is no modality {modality!r}, only {', '.join(known)}"
                f"{suggestion(modality, known)}"
            )
        recipe = self.recipes[modality]
        raw = _listed(raw, modality)
        # An object that occurs twice is read once; no two threads read one image.
        places = {id(item): place for place, item in enumerate(raw)}
        once = sorted(places.values())
        one = lambda place: recipe.row(raw[place], f"{modality}[{place}]")
        with _FILTERS:
            found = dict(zip(once, _in_threads(one, once)))
        made = [found[places[id(item)]] for item in raw]
        items = jax.tree.map(lambda *rows: np.stack(rows), *made)
        known = np.ones(len(raw), bool)
        if recipe.kind == "text":
            known = items.any(1)
        if recipe.standard is not None:
            items[known] = recipe.standard(items[known])
        return Rows(items, known)

    def only(self, modalities: Collection[str]) -> "Preparation":
        """Returns the same for these modalities alone."""
        kept = {name: recipe for name, recipe in self.recipes.items() if name in modalities}
        return dataclasses.replace(self, recipes=kept)

    def standardized(self, modality: str, standard: Standard) -> "Preparation":
        """Returns the same with the numbers by which a modality is standardised."""
        recipe = dataclasses.replace(self.recipes[modality], standard=standard)
        return dataclasses.replace(self, recipes={**self.recipes, modality: recipe})


def _listed(raw: Any, modality: str) -> list[Any]:
    """Returns raw items as a list; one alone is a mistake."""
    one = isinstance(raw, str | bytes | os.PathLike | Mapping) or is_picture(raw)
    if one or not isinstance(raw, Iterable) or getattr(raw, "ndim", 1) == 0:
        raise UsageError(
            f"the items of {modality!r} are one {type(raw).__name__}; give a list of items"
        )
    items = list(raw)
    if not items:
        raise UsageError(f"the list of items of {modality!r} is empty; give at least one")
    return items


def _in_threads(make: Any, places: list[int]) -> list[Any]:
    threads = min(os.cpu_count() or 1, THREADS, len(places))
    if threads == 1:
        return [make(place) for place in places]
    with ThreadPoolExecutor(threads, "rows") as pool:
        try:
            return list(pool.map(make, places))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


class _Filters:
    """Puts the filters of warnings back when the last of several threads has left.

    Readers change them. They belong to the process, so that of threads that overlap one would leave
    what another has set, for good.
    """

    def __init__(self):
        self._lock, self._inside = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = warnings.catch_warnings()
                self._before.__enter__()
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._before.__exit__(*error)


_FILTERS = _Filters()
