"""A method in a person's own file: a mistake in it is one sentence that names the file."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from jaxcmr.config import pythonfiles
from jaxcmr.config.ranges import Field
from jaxcmr.errors import UsageError
from jaxcmr.methods.base import Method, Recipe
from jaxcmr.storage import paths

KIND = "method file"


def is_file(name: str) -> bool:
    """Tells whether the name of a method is the path of a file."""
    return name.endswith(".py")


def recipe(name: str) -> Recipe:
    """Returns the recipe that a file exports as `METHOD`.

    Raises:
        UsageError: there is no such file, it fails, or exports no recipe. What its method raises
            later, while it is built or called, is a `UsageError`, too.
    """
    path = paths.expanded(name)
    if not path.is_file():
        raise UsageError(f"there is no file {name} to take a method from")
    return _recipe(path, path.stat().st_mtime_ns)


@functools.cache
def _recipe(path: Path, changed: int) -> Recipe:
    """Returns the recipe of a file, which is run once until it is `changed`."""
    found = getattr(pythonfiles.run(path, KIND), "METHOD", None)
    if not isinstance(found, Recipe):
        raise UsageError(
            f"{path} exports no method: it needs METHOD = jaxcmr.methods.Recipe(build, numbers)"
        )
    for part in ("numbers", "choices"):
        _check_fields(path, part, getattr(found, part))
    if both := found.numbers.keys() & found.choices.keys():
        raise UsageError(f"{path}: {min(both)!r} is among the numbers and the choices of METHOD")
    return found._replace(build=functools.partial(_build, path, found.build))


def _check_fields(path: Path, part: str, fields: Any) -> None:
    """Finds names that no config can have, and what is no field."""
    if not isinstance(fields, Mapping):
        raise UsageError(
            f"{path}: the {part} of METHOD are a {type(fields).__name__}, but they must be a dict, "
            "name -> jaxcmr.config.ranges.Field"
        )
    for name, field in fields.items():
        if not isinstance(name, str) or not name.isidentifier() or name == "name":
            raise UsageError(
                f"{path}: {name!r}, among the {part} of METHOD, must be a Python name other than "
                "'name'"
            )
        if not isinstance(field, Field) or not callable(field.range):
            raise UsageError(
                f"{path}: {name!r}, among the {part} of METHOD, must be a "
                "jaxcmr.config.ranges.Field(default, range, meaning)"
            )
        number = isinstance(field.default, int | float) and not isinstance(field.default, bool)
        if part == "numbers" and not number:
            raise UsageError(
                f"{path}: the number {name!r} has the default {field.default!r}; what is no number "
                "belongs to the choices of METHOD"
            )


def _build(path: Path, build: Callable[[ConfigDict], Method], config: ConfigDict) -> Method:
    """Returns the method with functions whose errors are sentences."""
    method = pythonfiles.tried(path, KIND, lambda: build(config))
    if not isinstance(method, Method):
        raise UsageError(
            f"build in {path} returns a {type(method).__name__}, but it must return a "
            "jaxcmr.methods.Method"
        )

    def guarded(part: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **named: pythonfiles.tried(path, KIND, lambda: part(*args, **named))

    return Method(*(part and guarded(part) for part in method))
