"""Recipes of arrays: what their rows look like, and how their pixels were brought to one scale."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxcmr.data.items import itemtypes
from jaxcmr.data.items.itemtypes import Form
from jaxcmr.data.items.pixels import Scale
from jaxcmr.data.preparation.pictures import Picture, Views
from jaxcmr.data.preparation.recipe import Recipe
from jaxcmr.data.preparation.rows import Preparation
from jaxcmr.data.preparation.vectors import Given, GivenMesh
from jaxcmr.errors import UsageError
from jaxcmr.types import Items, Splits


def of_form(form: Form) -> Recipe:
    """Returns the way of raw items to rows of a `form`, in which own arrays were brought."""
    if form.kind in ("vector", "cloud"):
        return Given(kind=form.kind, shape=form.shape)
    whites = {dtype: scale.white for dtype, scale in form.scales.items()}
    way: Any = Picture if form.kind == "image" else Views
    return way(shape=form.shape, dtype=form.dtype, whites=whites)


def complete(splits: Splits) -> Preparation:
    """Returns the preparation of a source's splits, a recipe for each of their modalities.

    A source that has no recipe for a modality delivers rows whose way nobody knows: arrays like
    them are raw items.
    """
    given = {} if splits.preparation is None else splits.preparation.recipes
    recipes = {
        name: given[name] if name in given else _of_rows(items, name)
        for name, items in splits.train.inputs.items()
    }
    return Preparation(splits.train.class_names, recipes)


def _of_rows(items: Items, name: str) -> Recipe:
    if isinstance(items, Mapping):
        shapes = {part: tuple(array.shape[1:]) for part, array in items.items()}
        return GivenMesh(shape=shapes, dtype={part: a.dtype for part, a in items.items()})
    shape, dtype = tuple(items.shape[1:]), np.dtype(items.dtype)
    try:
        kind = itemtypes.kind(shape, dtype, name)
    except UsageError:  # its shape does not tell what it is
        kind = "vector"
    if kind not in ("image", "views") or len(shape) < 3:
        return Given(kind="cloud" if kind == "cloud" else "vector", shape=shape)
    made = np.dtype(np.uint8 if dtype == np.uint8 else np.float32)
    scale = Scale(255 if dtype == np.uint8 else 1, made)
    return of_form(Form(kind, shape, made, {dtype.name: scale}))
