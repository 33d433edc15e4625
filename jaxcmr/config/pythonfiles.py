"""Runs a user's Python file: it may import its neighbours, and an error in it is one sentence."""

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from jaxcmr.errors import UsageError

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


@contextmanager
def neighbors(folder: Path, **packages: Path) -> Iterator[None]:
    """Lets a file import the files in its folder, and folders as packages of the given names.

    Both are forgotten afterwards: the next file has neighbours of its own. The folder is searched
    last, so that nothing in it takes the place of an installed package.
    """
    place, before = os.path.abspath(folder), dict(sys.modules)
    added = place not in sys.path
    _forget(packages)
    for name, path in packages.items():
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(path)]
    if added:
        sys.path.append(place)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if added and place in sys.path:
            sys.path.remove(place)
        new = sys.modules.keys() - before.keys()
        _forget({name for name in new if added and _folder_of(sys.modules[name]) == place})
        _forget(packages)
        sys.modules.update(
            {name: module for name, module in before.items() if name.partition(".")[0] in packages}
        )


def run(file: Path, kind: str) -> ModuleType:
    """Returns the module that a Python file makes.

    Args:
        file: its path.
        kind: what to call it in sentences: "config file".

    Raises:
        UsageError: it cannot be read, is no Python, or fails.
    """
    loader = SourceFileLoader(f"{kind} {file.stem}".replace(".", " "), str(file))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    with neighbors(file.parent):
        sys.modules[loader.name] = module  # where data classes look for the names in it
        tried(file, kind, lambda: loader.exec_module(module))
    return module


def tried(file: Path, kind: str, work: Callable[[], Any]) -> Any:
    """Returns `work()`; an error in a file is one sentence that names the file and the line."""
    try:
        return work()
    except UsageError:
        raise
    except SyntaxError as error:
        where = Path(error.filename or file)
        raise UsageError(
            f"{where if where.is_file() else file} is no {kind}: line {error.lineno or 1} is no "
            f"Python ({error.msg})"
        ) from None
    except (Exception, SystemExit) as error:
        folder, frames = os.path.abspath(file.parent), traceback.extract_tb(error.__traceback__)
        inside = [f for f in frames if os.path.dirname(os.path.abspath(f.filename)) == folder]
        if isinstance(error, OSError) and not inside:
            raise UsageError(f"{file} cannot be read: {error.strerror or error}") from None
        where = (
            f"{inside[-1].filename} fails in line {inside[-1].lineno}"
            if inside
            else f"{file} fails"
        )
        message = " ".join(str(error).split())
        last = frames[-1]
        ours = last.filename.startswith(PACKAGE) and last not in inside
        origin = f" (in {last.filename}, line {last.lineno})" if ours else ""
        raise UsageError(f"{where} with {type(error).__name__}: {message}{origin}") from None


def _forget(packages: Collection[str]) -> None:
    """Drops imported packages, or modules, and what is in them."""
    for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
        del sys.modules[name]


def _folder_of(module: ModuleType) -> str:
    """Returns the folder in which a package or a module lies; "" if it has no file."""
    places = [*getattr(module, "__path__", ()), getattr(module, "__file__", None)]
    return os.path.dirname(os.path.abspath(places[0])) if places[0] else ""
