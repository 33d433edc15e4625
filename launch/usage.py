"""What `--help` prints: how a command is used, its flags, the configs there are, their fields."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags

from jaxcmr.config.fields import FIELDS, OPEN, method_fields, methods
from jaxcmr.config.ranges import Field

AGAIN = "; repeat this option"  # what absl adds to the help of a flag that may be given again


def of(
    command: ModuleType, words: tuple[str, ...], configs: Path | None, files: Sequence[str] = ()
) -> str:
    """Returns the help of a command.

    Args:
        command: its module, whose docstring describes its use.
        words: what may stand besides flags.
        configs: the folder of the configs; None: it takes none.
        files: methods beside those of `jaxcmr.methods.METHODS`, files of the user.
    """
    lines = [(command.__doc__ or "").strip(), ""]
    if words:
        lines += [f"One of: {', '.join(words)}", ""]
    lines += ["Flags"]
    if configs is None:
        return "\n".join(lines + _flags(command))
    lines += [_row("--config=FILE[:VARIANT]", "a file of configs/, see below")]
    lines += [_row("--config.FIELD=VALUE", "any field of the config, see below")]
    lines += _flags(command)
    lines += ["", "Configs (variants are described in their first lines)"]
    lines += [
        _row(f"configs/{path.name}", _first_line(path)) for path in sorted(configs.glob("*.py"))
    ]
    lines += ["", "Fields, with their defaults", *_fields(FIELDS)]
    lines += [_row(f"{path}.*", meaning) for path, meaning in OPEN.items()]
    for method in dict.fromkeys([*methods().METHODS, *files]):
        numbers = _fields(method_fields(method), "method.")
        lines += ["", f"Numbers of the method {method}" + ("" if numbers else ": none"), *numbers]
    return "\n".join(lines)


def _fields(fields: Mapping[str, Field], prefix: str = "") -> list[str]:
    return [
        _row(f"{prefix}{name}={_shown(field.default)}", field.meaning)
        for name, field in fields.items()
    ]


def _flags(command: ModuleType) -> list[str]:
    modules = flags.FLAGS.flags_by_module_dict()
    found = [flag for name in (command.__name__, "command_line") for flag in modules.get(name, [])]
    found += [flag for name, theirs in modules.items() if name.endswith(".py") for flag in theirs]
    return [
        _row(f"--{flag.name}={_shown(flag.default)}", " ".join(flag.help.split()).split(AGAIN)[0])
        for flag in found
        if not flag.help.startswith("Internal")
    ]


def _row(name: str, meaning: str) -> str:
    return f"  {name:<42} {meaning}"


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _first_line(path: Path) -> str:
    """Returns the first line of a config's docstring; the file is not run."""
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0]
