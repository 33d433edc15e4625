"""Config files: `FILE[:VARIANT]`, a Python file whose `get_config` returns a `ConfigDict`.

A config file may import its neighbours, and ours: `from configs.rono_modelnet import get_config`.
"""

import difflib
import inspect
import os
from pathlib import Path

from ml_collections import ConfigDict

from jaxcmr.config import pythonfiles
from jaxcmr.errors import UsageError
from jaxcmr.storage.paths import expanded

KIND = "config file"
DATA = (".csv", ".jsonl", ".json", ".npz", ".npy", ".h5", ".hdf5", ".mat", ".zip")


def load(argument: str, known: Path) -> ConfigDict:
    """Returns the config of `FILE[:VARIANT]`, locked: no field can be added by mistake.

    Args:
        argument: of `--config`.
        known: the folder of the configs of this project, for suggestions and imports.

    Raises:
        UsageError: there is no such file, it is no config file, or it fails.
    """
    file, variant = split(argument)
    _check_file(file, known)
    with pythonfiles.neighbors(file.parent, configs=known):
        get_config = getattr(pythonfiles.run(file, KIND), "get_config", None)
        if not callable(get_config):
            raise UsageError(f"{file} is no config file: it has no function get_config")
        arguments = [variant] if variant else []
        try:
            inspect.signature(get_config).bind(*arguments)
        except TypeError:
            raise UsageError(
                f"{file} takes no variant, but {variant!r} is given"
                if variant
                else f"{file} needs a variant, --config={file}:VARIANT"
            ) from None
        config = pythonfiles.tried(file, KIND, lambda: get_config(*arguments))
    if not isinstance(config, ConfigDict):
        raise UsageError(
            f"get_config of {file} returns a {type(config).__name__}, but it must return the "
            "ml_collections.ConfigDict that jaxcmr.config.default() begins"
        )
    return config.lock()


def check_variant(variant: str, *known: str) -> None:
    """Raises a `UsageError` if a config has no variant of this name; "" is always one."""
    if variant not in ("", *known):
        raise UsageError(f"this config has no variant {variant!r}; use {', '.join(known)} or none")


def split(argument: str) -> tuple[Path, str]:
    """Returns the file and the variant of `FILE[:VARIANT]`; a colon may be in a folder's name."""
    if Path(argument).is_file():
        return expanded(argument), ""
    head, ending, variant = argument.rpartition(".py:")
    if not ending:
        head, _, variant = argument.partition(":")
    return expanded(head + ending.rstrip(":")), variant


def name_of(argument: str) -> str:
    """Returns the name of a config, `rono_modelnet` or `rono_modelnet-quick`."""
    file, variant = split(argument)
    return file.stem + (f"-{variant}" if variant else "")


def _check_file(file: Path, known: Path) -> None:
    if file.is_dir():
        raise UsageError(f"{file} is a folder, but --config takes a file; see the folder configs/")
    if not file.exists():
        names = [path.stem for path in sorted(known.glob("*.py"))]
        close = difflib.get_close_matches(file.stem, names, 1)
        near = os.path.relpath(known / f"{close[0]}.py") if close else ""
        hint = f" (did you mean {near}?)" if close else ""
        raise UsageError(f"there is no config file {file}{hint}; see the folder configs/")
    if file.suffix.lower() in DATA:
        raise UsageError(
            f"{file} is no config file, which ends in .py; your own data are named by "
            f"--config=configs/rono_custom.py --config.data.path={file}"
        )
