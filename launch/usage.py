"""What `--help` prints: how a command is used, its flags, the configs there are, their fields."""

import ast
from pathlib import Path
from types import ModuleType
from typing import Any

from absl import flags

from jaxcmr.config.fields import FIELDS, OPEN
from jaxcmr.method_numbers import METHODS


def of(command: ModuleType, words: tuple[str, ...], config: Any, configs: Path) -> str:
    """Returns the help of a command.

    Args:
        command: its module, whose docstring says how it is used.
        words: what may stand beside flags.
        config: its `ConfigFlag`, or None.
        configs: the folder of the configs.
    """
    lines = [(command.__doc__ or "").strip(), ""]
    if words:
        lines += [f"One of: {', '.join(words)}", ""]
    lines += ["Flags"]
    if config is not None:
        lines += [_row("--config=FILE[:VARIANT]", "a file of configs/, see below")]
        lines += [_row("--config.FIELD=VALUE", "any field of the config, see below")]
    lines += _flags(command)
    if config is not None:
        lines += ["", "Configs (variants are described in their first lines)"]
        lines += [_row(f"configs/{path.name}", _first_line(path)) for path in _files(configs)]
        lines += ["", "Fields, with their defaults"]
        lines += [
            _row(f"{path}={_shown(field.default)}", field.meaning) for path, field in FIELDS.items()
        ]
        lines += [_row(f"{path}.*", meaning) for path, meaning in OPEN.items()]
        for method, numbers in METHODS.items():
            lines += ["", f"Numbers of the method {method}" + ("" if numbers else ": none")]
            lines += [
                _row(f"method.{name}={_shown(field.default)}", field.meaning)
                for name, field in numbers.items()
            ]
    return "\n".join(lines)


def _flags(command: ModuleType) -> list[str]:
    own = flags.FLAGS.flags_by_module_dict()
    found = [flag for name in (command.__name__, "command_line") for flag in own.get(name, [])]
    found += [flag for name, theirs in own.items() if name.endswith(".py") for flag in theirs]
    return [
        _row(f"--{flag.name}={_shown(flag.default)}", " ".join(flag.help.split()))
        for flag in found
        if not flag.help.startswith("Internal")
    ]


def _row(name: str, meaning: str) -> str:
    return f"  {name:<42} {meaning}"


def _shown(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _files(configs: Path) -> list[Path]:
    return sorted(configs.glob("*.py"))


def _first_line(path: Path) -> str:
    """Returns the first line of a config's docstring; the file is not run."""
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return doc.partition("\n")[0]
