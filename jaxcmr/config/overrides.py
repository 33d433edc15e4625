"""Fields of a config that are set at the command line: `--config.train.epochs=3`."""

import ast
import re
from typing import Any

from ml_collections import ConfigDict

from jaxcmr.config import sections
from jaxcmr.config.checks import OWN, leaves, method_of, unknown
from jaxcmr.config.fields import FIELDS, range_of
from jaxcmr.errors import UsageError

TRUE, FALSE = ("true", "t", "1", "yes"), ("false", "f", "0", "no")


def apply(config: ConfigDict, overrides: list[tuple[str, str]]) -> list[str]:
    """Sets fields of a config in place; names of methods and encoders first.

    A method that is not the config's brings its own numbers. The user's own data get none of the
    config's noise, unless it is among the overrides.

    Args:
        config: of `loading.load`.
        overrides: fields and their values, ("train.epochs", "3"), in the order of the command line;
            of several for one field the last one counts.

    Returns:
        Sentences for the user on what was changed beyond the overrides.

    Raises:
        UsageError: there is no such field, or it cannot have such a value.
    """
    notes = _repeated(config, overrides)
    given = dict(overrides)
    first = lambda path: (not path.startswith("data."), not path.endswith(".name"))
    with config.unlocked():
        for path in sorted(given, key=first):  # the data and names decide which fields there are
            if path.endswith("method.name"):
                notes += _choose_method(config, path, given[path])
            else:
                _set(config, path, given[path])
        noisy = {"noise.rate", "noise.kind", "noise.file"} & given.keys()
        if given.get("data.name") in OWN and config.noise.rate and not noisy:
            rate, config.noise.rate = config.noise.rate, 0.0
            put_in = f"--config.noise.rate={rate} puts it in"
            notes.append(f"your own data get none of this config's noise; {put_in}")
    return notes


def _repeated(config: ConfigDict, overrides: list[tuple[str, str]]) -> list[str]:
    """Finds fields that are given twice, and not alike."""
    by_path: dict[str, list[str]] = {}
    for path, text in overrides:
        by_path.setdefault(path, []).append(text)
    notes = []
    for path, texts in by_path.items():
        if len(set(texts)) > 1:
            if isinstance(dict(leaves(config)).get(path), tuple | list):
                raise UsageError(
                    f"--config.{path} is given twice, as {texts[0]} and {texts[-1]}; "
                    f"give all values at once, --config.{path}={','.join(texts)}"
                )
            notes.append(
                f"--config.{path} is given {len(texts)} times; the last, {texts[-1]}, counts"
            )
    return notes


def _choose_method(config: ConfigDict, path: str, name: str) -> list[str]:
    """Chooses another method, with its defaults in place of the numbers of the one before."""
    section, _ = _holder(config, path.rpartition(".")[0])
    before, name = section.method.get("name"), _unquoted(name)
    if name == before:
        return []
    section.method = sections.method(name)
    numbers = ", ".join(f"{key} {value}" for key, value in section.method.items() if key != "name")
    with_ = f"its defaults ({numbers})" if numbers else "no numbers"
    return [f"the method {name!r} in place of {before!r}, with {with_}"]


def takes_value(config: ConfigDict, path: str) -> bool:
    """Returns whether a flag needs a value: all but those of True or False do."""
    return not isinstance(dict(leaves(config)).get(path), bool)


def _set(config: ConfigDict, path: str, text: str) -> None:
    section, last = _holder(config, path)
    current = section.get(last, _default_of(path))
    if isinstance(current, ConfigDict):
        section[last] = _section(path, text, current)
    elif last in section or range_of(path, method_of(config, path)):
        section[last] = _value(path, text, current)
    else:
        raise unknown(path, method_of(config, path), "--")


def _holder(config: ConfigDict, path: str) -> tuple[ConfigDict, str]:
    """Returns the section that holds a field, and the last part of the field's name.

    Sections that may be empty are made: those of a stage, of an encoder, of parameter groups; and
    the encoder itself for the first modality of the user's own data that is given one by name.
    """
    *parts, last = path.split(".")
    method, names = method_of(config, path), config.data.modalities
    known = range_of(path, method) is not None
    section: Any = config
    for depth, part in enumerate(parts):
        if known and part not in section:
            if depth >= 2 or (depth == 1 and parts[0] == "optimizer"):
                section[part] = ConfigDict()
            elif path == f"encoders.{part}.name" and (
                part in names or (config.data.name == "own" and not names)
            ):
                section[part] = sections.encoder("")
        section = section.get(part)
        if not isinstance(section, ConfigDict):
            raise unknown(path, method, "--")
    return section, last


def _default_of(path: str) -> Any:
    """Returns the default of a field, for its type; None where any literal is allowed."""
    match path.split("."):
        case ["optimizer", "groups", _, last]:
            path = f"optimizer.{last}"
        case ["stage", _, *rest]:
            path = ".".join(rest)
    return FIELDS[path].default if path in FIELDS else None


def _section(path: str, text: str, current: ConfigDict) -> ConfigDict:
    """Reads a whole section, where it may have any fields."""
    if not re.fullmatch(
        r"optimizer\.groups(\.\w+)?|encoders\.\w+\.(augment|options(\.\w+)?)", path
    ):
        example = f"--config.{path}.{next(iter(current), 'FIELD')}=VALUE"
        raise UsageError(f"--config.{path} is a section; set its fields one by one, {example}")
    value = _literal(text)
    if not isinstance(value, dict):
        raise UsageError(f"--config.{path}={text} gives no section, such as {{'name': 0.5}}")
    return ConfigDict(value)


def _value(path: str, text: str, current: Any) -> Any:
    """Reads a value of the type of the current one."""
    flag = f"--config.{path}={text}"
    if isinstance(current, bool):
        if text.lower() not in (*TRUE, *FALSE):
            raise UsageError(f"{flag} must be True or False")
        return text.lower() in TRUE
    if isinstance(current, int | float):
        read, kind = (_whole, "whole number") if isinstance(current, int) else (float, "number")
        try:
            return read(text.strip())
        except ValueError:
            raise UsageError(f"{flag} gives no {kind}") from None
    if isinstance(current, str):
        return _unquoted(text)
    if isinstance(current, tuple | list):
        return _tuple(text, flag)
    found = _literal(text)
    return text if found is None and text != "None" else found


def _whole(text: str) -> int:
    """Reads `128`, `1_000`, `0x80` or `008`."""
    return int(text, 0) if text.lower().lstrip("-").startswith("0x") else int(text)


def _tuple(text: str, flag: str) -> tuple:
    """Reads `('image','text')`, `image,text` or `10`."""
    found = _literal(text)
    if isinstance(found, tuple | list):
        return tuple(found)
    if isinstance(found, int | float | str) and not isinstance(found, bool):
        return (found,)
    bare = text.strip()
    if bare[:1] + bare[-1:] in ("()", "[]"):
        bare = bare[1:-1]
    words = [word.strip() for word in bare.split(",") if word.strip()]
    if any(set(word) & set("()[]{}'\"") for word in words):
        raise UsageError(f"{flag} gives no tuple; write {flag.partition('=')[0]}=FIRST,SECOND")
    return tuple(word if _literal(word) is None else _literal(word) for word in words)


def _literal(text: str) -> Any:
    """Returns the Python literal that a text is, or None."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _unquoted(text: str) -> str:
    """Drops quotes that a shell would have dropped."""
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text
