"""Writes a preparation into the folder of a run as JSON, and reads it back."""

import dataclasses
import functools
import hashlib
import json
import operator
import os
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import numpy as np

from jaxcmr.data.preparation.digits import DigitPoints
from jaxcmr.data.preparation.objects import ObjectFaces, ObjectPoints, ObjectViews
from jaxcmr.data.preparation.pictures import Picture, Views
from jaxcmr.data.preparation.recipe import Recipe
from jaxcmr.data.preparation.rows import Preparation
from jaxcmr.data.preparation.shapes import Cloud, FramePoints, Surface
from jaxcmr.data.preparation.vectors import Given, GivenMesh, Text
from jaxcmr.errors import UsageError, reason
from jaxcmr.storage.files import read_bytes, write_text
from jaxcmr.storage.paths import expanded

FILE = "preparation.json"
DTYPES = ("uint8", "float32", "int32", "bool")  # of rows
VERSION = 1  # raise it when older files are read no more
_OF_PICTURES, _OF_SHAPES = (Picture, Views), (Cloud, Surface, FramePoints, DigitPoints)
_OF_OBJECTS, _OTHERS = (ObjectPoints, ObjectViews, ObjectFaces), (Given, GivenMesh, Text)
WAYS: dict[str, type[Recipe]] = {
    way.__name__: way for way in (*_OF_PICTURES, *_OF_SHAPES, *_OF_OBJECTS, *_OTHERS)
}


def to_json(preparation: Preparation) -> dict[str, Any]:
    """Returns a preparation as plain JSON: of each modality the name of its way and its numbers."""
    return {
        "version": VERSION,
        "class_names": list(preparation.class_names),
        "recipes": {
            name: {"way": type(recipe).__name__, **_plain(recipe)}
            for name, recipe in preparation.recipes.items()
        },
    }


def from_json(content: Mapping[str, Any]) -> Preparation:
    """Makes the preparation of `to_json`; what it does not hold raises some exception."""
    if content["version"] != VERSION:
        raise ValueError(f"its version is {content['version']!r}, not {VERSION}")
    recipes = {
        str(name): _made(WAYS[fields["way"]], {k: v for k, v in fields.items() if k != "way"})
        for name, fields in content["recipes"].items()
    }
    return Preparation(_made(tuple[str, ...], content["class_names"]), recipes)


def digest(preparation: Preparation) -> str:
    """Returns the SHA-256 of a preparation, in hex: another one makes other rows."""
    return hashlib.sha256(json.dumps(to_json(preparation), sort_keys=True).encode()).hexdigest()


def write(workdir: str | os.PathLike, preparation: Preparation) -> None:
    """Writes a preparation into the folder of a run, whole or not at all."""
    text = json.dumps(to_json(preparation), separators=(",", ":"))
    write_text(Path(workdir) / FILE, text + "\n")


def read(workdir: str | os.PathLike) -> Preparation:
    """Reads the preparation of a run.

    Raises:
        UsageError: the run's version wrote none, or it is damaged.
    """
    path = expanded(workdir) / FILE
    if not path.is_file():
        raise UsageError(
            f"there is no {path}: this is no folder of a run, or an older version made it; start "
            "the command of the run again, which writes the file without training again"
        )
    try:
        return from_json(json.loads(read_bytes(path)))
    except UsageError:
        raise
    except Exception as error:  # whatever a damaged file leads to
        raise UsageError(
            f"{path} is damaged ({type(error).__name__}: {reason(error)}); start the command of "
            "the run again, which writes it anew without training again"
        ) from None


def _plain(value: Any) -> Any:
    """Returns a recipe, or a value of one, as JSON has it; what has its default is left out."""
    if dataclasses.is_dataclass(value):
        fields = {field: getattr(value, field.name) for field in dataclasses.fields(value)}
        kept = {f.name: v for f, v in fields.items() if v is not None}
        return {name: _plain(part) for name, part in kept.items()}
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _made(kind: Any, value: Any) -> Any:
    """Makes a value of a type from its JSON; one of another type raises."""
    if isinstance(kind, types.UnionType):  # `Standard | None`; None is left out
        kind = get_args(kind)[0]
    if dataclasses.is_dataclass(kind):
        kinds = _kinds(kind)
        return kind(**{name: _made(kinds[name], part) for name, part in value.items()})
    if kind is np.ndarray:
        array = np.array(value, np.float64)
        if array.ndim != 1 or not np.isfinite(array).all():
            raise ValueError("an array is no row of numbers")
        return array
    if kind is np.dtype:
        return np.dtype(DTYPES[DTYPES.index(value)])
    if get_origin(kind) is tuple:
        return tuple(_made(get_args(kind)[0], part) for part in _checked(list, value))
    if get_origin(kind) is dict:
        part = get_args(kind)[1]
        return {name: _made(part, entry) for name, entry in value.items()}
    if kind is float:
        return float(value)
    return operator.index(value) if kind is int else _checked(kind, value)


@functools.cache
def _kinds(kind: Any) -> dict[str, Any]:
    return {field.name: field.type for field in dataclasses.fields(kind)}


def _checked(kind: type, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{str(value)[:40]!r} is no {kind.__name__}")
    return value
