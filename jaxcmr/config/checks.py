"""The check of a config, which catches a mistake before anything is computed.

Every field must be known and in its range (`jaxcmr.config.fields`), and together they must make
sense.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from jaxcmr.config.fields import AUGMENTATIONS, ENCODER, ENCODERS, FIELDS, range_of
from jaxcmr.errors import UsageError
from jaxcmr.method_numbers import METHODS, WITHOUT_CLASSES, WITHOUT_LABELS

OWN = ("own", "arrays", "manifest")  # sources of the user's own data
# What `jaxcmr.data.own.complete` chooses from the user's own data.
LEFT_OPEN = {"data.modalities": (), "data.validation": -1.0, "train.batch_size": 0}
NOISES = ("symmetric", "symmetric_inclusive", "asymmetric", "asymmetric_half", "file")


def check(config: ConfigDict) -> None:
    """Raises a `UsageError` that names the first field that is unknown, missing or out of range.

    What `jaxcmr.data.own.complete` is still to choose may be open.
    """
    _check_names(config)
    present = dict(leaves(config))
    for path in FIELDS:
        if path not in present:
            raise UsageError(
                f"the config has no field config.{path}; begin with jaxcmr.config.default()"
            )
    for path, value in present.items():
        check_value(path, value, method_of(config, path), open_=config.data.name == "own")
    _check_methods(config)
    _check_data(config)
    _check_encoders(config)


def leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the path and the value of every field of a config or a section."""
    for name, value in section.items():
        if isinstance(value, ConfigDict | dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def method_of(config: ConfigDict, path: str) -> str:
    """Returns the name of the method to whose section a path belongs."""
    parts = path.split(".")
    section = config.stage[parts[1]] if parts[0] == "stage" and len(parts) > 2 else config
    return section.method.name


def check_value(path: str, value: Any, method: str = "", open_: bool = False) -> None:
    """Raises a `UsageError` if there is no field of this name, or its value is out of range."""
    if open_ and path in LEFT_OPEN and value == LEFT_OPEN[path]:
        return
    allowed = range_of(path, method)
    if allowed is None:
        close = closest(path, method)
        hint = f" (did you mean config.{close}?)" if close else ""
        raise UsageError(f"the config has no field config.{path}{hint}")
    if expected := allowed(value):
        raise UsageError(f"config.{path} is {value!r}, but it must be {expected}")


def closest(path: str, method: str = "") -> str:
    """Returns the field that a misspelt name most likely means, "train.epochs"; "" if none does.

    Args:
        path: the name as given.
        method: whose numbers count.
    """
    section, _, last = path.rpartition(".")
    lasts = {*AUGMENTATIONS, *ENCODER, *METHODS.get(method, ())}
    lasts |= {name.rpartition(".")[2] for name in FIELDS}
    lasts |= {option for _, options in ENCODERS.values() for option in options}
    here = {name for name in lasts if section and range_of(f"{section}.{name}", method)}
    # The right section with a wrong last part, then the right last part in a wrong section.
    if close := difflib.get_close_matches(last, here, 1, 0.5):
        return f"{section}.{close[0]}"
    names = {*FIELDS, *(f"method.{name}" for name in METHODS.get(method, ()))}
    found = [name for name in sorted(names) if name.rpartition(".")[2] == last]
    found += difflib.get_close_matches(path, names, 1, 0.75)
    return found[0] if found else ""


def _check_names(config: ConfigDict) -> None:
    """Finds names that decide which other fields there are."""
    for section in ("data", "noise", "method", "encoders", "stage", "train", "ensemble"):
        if not isinstance(config.get(section), ConfigDict):
            raise UsageError(
                f"the config has no section config.{section}; begin with jaxcmr.config.default()"
            )
    sections = {"": config} | {f"stage.{name}.": own for name, own in config.stage.items()}
    for prefix, section in sections.items():
        own = section.get("method") if isinstance(section, ConfigDict) else None
        if not isinstance(own, ConfigDict) or "name" not in own:
            raise UsageError(f"config.{prefix}method has no name; choose from {', '.join(METHODS)}")
        if own.name not in METHODS:
            raise UsageError(
                f"there is no method {own.name!r} (config.{prefix}method.name); "
                f"choose from {', '.join(METHODS)}"
            )
        if missing := [number for number in METHODS[own.name] if number not in own]:
            raise UsageError(
                f"config.{prefix}method lacks {', '.join(missing)} of the method {own.name!r}; "
                f"begin with jaxcmr.method_numbers.defaults({own.name!r})"
            )
    if config.noise.get("kind") not in NOISES:
        raise UsageError(
            f"unknown kind of noise {config.noise.get('kind')!r} (config.noise.kind); "
            f"use one of {', '.join(NOISES)}"
        )


def _check_methods(config: ConfigDict) -> None:
    """Finds stages that do not follow from each other."""
    for name in config.stages:
        if name not in config.stage:
            raise UsageError(
                f"config.stages names {name!r}, but config.stage has "
                f"{', '.join(config.stage) or 'no section'}"
            )
    if config.labels_left:
        raise UsageError(
            f"config.labels_left is {config.labels_left!r}, but nothing follows the last stage; "
            "set config.stage.<name>.labels_left"
        )
    absent = config.labels == "absent"
    if config.classes and not absent:
        raise UsageError(
            f"config.classes is {config.classes}, but it must be 0 where labels are given"
        )
    for name in (*config.stages, ""):
        section = config.stage[name] if name else config
        method, left = section.method.name, section.get("labels_left", "")
        if absent and method not in WITHOUT_LABELS:
            raise UsageError(
                f"config.labels is 'absent', and no stage before the method {method!r} leaves it "
                f"any; choose {' or '.join(WITHOUT_LABELS)}, or a config romo_*"
            )
        if left and method in WITHOUT_CLASSES:
            raise UsageError(
                f"config.stage.{name}.labels_left is {left!r}, but its method {method!r} tells no "
                "classes to make labels of"
            )
        absent = absent and not left


def _check_data(config: ConfigDict) -> None:
    """Finds fields that would be of no effect."""
    name, noise = config.data.name, config.noise
    if config.data.path and name not in OWN:
        raise UsageError(
            f"config.data.path is {config.data.path!r}, but config.data.name is {name!r}, which "
            "reads no such file; add --config.data.name=own"
        )
    if noise.kind == "file" and not noise.file:
        raise UsageError("config.noise.kind is 'file'; say which with config.noise.file")
    for field in ("file", "key", "validation_key"):
        if noise[field] and noise.kind != "file":
            raise UsageError(
                f"config.noise.{field} is {noise[field]!r}, but config.noise.kind is "
                f"{noise.kind!r}, which reads no file; add --config.noise.kind=file"
            )
    if noise.class_map and not noise.kind.startswith("asymmetric"):
        raise UsageError(
            f"config.noise.class_map is {noise.class_map!r}, but config.noise.kind is "
            f"{noise.kind!r}; add --config.noise.kind=asymmetric"
        )


def _check_encoders(config: ConfigDict) -> None:
    """Finds encoders that there are not, and what does not belong to them."""
    for modality, own in config.encoders.items():
        if modality == "embedding_size":
            continue
        if not isinstance(own, ConfigDict) or set(own) != {*ENCODER, "augment", "options"}:
            raise UsageError(
                f"config.encoders.{modality} is no encoder; make it with jaxcmr.config.encoder"
            )
        if own.name not in ENCODERS:
            raise UsageError(
                f"there is no encoder {own.name!r} (config.encoders.{modality}.name); "
                f"choose from {', '.join(ENCODERS)}"
            )
        kind = ENCODERS[own.name][0]
        if wrong := [name for name in own.augment if not name.endswith(kind)]:
            raise UsageError(
                f"config.encoders.{modality}.augment has {wrong[0]!r}, but the encoder "
                f"{own.name!r} takes {kind}; choose from "
                f"{', '.join(name for name in AUGMENTATIONS if name.endswith(kind)) or 'none'}"
            )
        if own.views and kind != "images":
            raise UsageError(
                f"config.encoders.{modality}.views is {own.views}, but the encoder {own.name!r} "
                f"takes {kind}; set it to 0"
            )
    for modality in config.data.modalities:
        if modality not in config.encoders and config.data.name != "own":
            raise UsageError(
                f"no encoder is configured for the modality {modality!r}; "
                f"add config.encoders.{modality} or leave it out of config.data.modalities"
            )
    groups = {*config.data.modalities, *config.encoders, "head", "centers", "clusters"}
    for group in config.optimizer.groups:
        if group not in groups:
            raise UsageError(
                f"config.optimizer.groups has {group!r}, but the groups of parameters are the "
                "modalities, head, centers, clusters"
            )
