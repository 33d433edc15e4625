"""The check of a config, which catches a mistake before anything is computed.

Every field must be known and in its range (`jaxcmr.config.fields`), and together they must make
sense.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from jaxcmr.config import sections
from jaxcmr.config.fields import (
    AUGMENTATIONS,
    ENCODER,
    ENCODERS,
    FIELDS,
    method_fields,
    methods,
    range_of,
)
from jaxcmr.config.ranges import text
from jaxcmr.errors import UsageError

OWN = ("own", "arrays", "manifest")  # sources of the user's own data
# What `jaxcmr.data.own.complete` chooses from the user's own data.
LEFT_OPEN = {"data.modalities": (), "data.validation": -1.0, "train.batch_size": 0}
NOISES = ("symmetric", "symmetric_inclusive", "asymmetric", "asymmetric_half", "open_set", "file")


def check(config: ConfigDict) -> None:
    """Raises a `UsageError` that names the first field that is unknown, missing or out of range.

    Fields that `jaxcmr.data.own.complete` fills in later may be open.
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
    _check_stages(config)
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
    """Returns the name of the method to whose section a path belongs; "" where there is none."""
    _, stage, *rest = [*path.split("."), ""]
    part = config.stage.get(stage) if path.startswith("stage.") and rest else config
    method = part.get("method") if isinstance(part, ConfigDict) else None
    name = method.get("name") if isinstance(method, ConfigDict) else None
    return name if isinstance(name, str) else ""


def check_value(path: str, value: Any, method: str = "", open_: bool = False) -> None:
    """Raises a `UsageError` if there is no field of this name, or its value is out of range."""
    if open_ and path in LEFT_OPEN and value == LEFT_OPEN[path]:
        return
    allowed = range_of(path, method)
    if allowed is None:
        raise unknown(path, method)
    if expected := allowed(value):
        raise _wrong(path, value, f"it must be {expected}")


def unknown(path: str, method: str = "", dashes: str = "") -> UsageError:
    """Returns the sentence on an unknown field of a config; `dashes` are "--" before a flag."""
    close = closest(path, method)
    hint = f" (did you mean {dashes}config.{close}?)" if close else ""
    if close and close == path:  # a field that other configs have
        section = path.rpartition(".")[0]
        hint = f": it has no section {section}, which a copy of the config file could add"
    return UsageError(f"the config has no field {dashes}config.{path}{hint}")


def closest(path: str, method: str = "") -> str:
    """Returns the field that a misspelt name most likely means, "train.epochs"; "" if none does.

    Args:
        path: the name as given.
        method: whose numbers count.
    """
    section, _, last = path.rpartition(".")
    names = {*FIELDS, *(f"method.{name}" for name in method_fields(method))}
    lasts = {name.rpartition(".")[2] for name in names} | {*AUGMENTATIONS, *ENCODER}
    lasts |= {option for _, options in ENCODERS.values() for option in options}
    here = {name for name in lasts if section and range_of(f"{section}.{name}", method)}
    # The right section with a wrong last part, then the right last part in a wrong section.
    if close := difflib.get_close_matches(last, here, 1, 0.5):
        return f"{section}.{close[0]}"
    found = [name for name in sorted(names) if name.rpartition(".")[2] == last]
    found += difflib.get_close_matches(path, names, 1, 0.75)
    return found[0] if found else ""


def _check_names(config: ConfigDict) -> None:
    """Finds names that decide which other fields there are."""
    for name in ("data", "noise", "method", "encoders", "stage", "train", "ensemble"):
        if not isinstance(config.get(name), ConfigDict):
            raise UsageError(
                f"the config has no section config.{name}; begin with jaxcmr.config.default()"
            )
    for name, part in {"": config, **config.stage}.items():
        _check_method(f"stage.{name}.method" if name else "method", part)
    if config.noise.get("kind") not in NOISES:
        raise UsageError(
            f"unknown kind of noise {config.noise.get('kind')!r} (config.noise.kind); "
            f"use one of {', '.join(NOISES)}"
        )


def _check_method(path: str, part: Any) -> None:
    """Finds an unknown method, and a section without all of its numbers."""
    method = part.get("method") if isinstance(part, ConfigDict) else None
    if not isinstance(method, ConfigDict) or method.get("name", "") == "":
        known = ", ".join(methods().METHODS)
        raise UsageError(f"config.{path} has no name; choose from {known}")
    if expected := text(method.name):
        raise _wrong(f"{path}.name", method.name, f"it must be {expected}")
    if missing := [number for number in method_fields(method.name) if number not in method]:
        raise UsageError(
            f"config.{path} lacks {', '.join(missing)} of the method {method.name!r}; "
            f"make it with jaxcmr.config.method({method.name!r})"
        )


def _check_stages(config: ConfigDict) -> None:
    """Finds stages that do not follow from each other."""
    *earlier, last = config.stages
    if missing := [name for name in earlier if name not in config.stage]:
        raise UsageError(
            f"config.stages names {missing[0]!r}, but config.stage has "
            f"{', '.join(config.stage) or 'no section'}"
        )
    if last in config.stage:
        raise UsageError(
            f"config.stages ends with {last!r}, whose fields are those of the config itself; "
            f"remove config.stage.{last}, or name another stage after it"
        )
    if config.pseudo_labels:
        but = "nothing follows the last stage; set config.stage.<name>.pseudo_labels"
        raise _wrong("pseudo_labels", config.pseudo_labels, but)
    absent = config.labels == "absent"
    if config.classes and not absent:
        raise _wrong("classes", config.classes, "it must be 0 where labels are given")
    apart = "config.noise.per_modality to False" if config.noise.per_modality else ""
    whole = {name: sections.section(config, name) for name in config.stages}
    for place, (name, stage) in enumerate(whole.items()):
        prefix, before = f"stage.{name}." if name != last else "", earlier[:place]
        if stage.start_from in {*whole, *config.stage} - {*before}:
            known = " or ".join([*before, "the folder of a run"])
            but = f"that stage is not trained before; name {known}"
            raise _wrong(f"{prefix}start_from", stage.start_from, but)
        members = whole.get(stage.start_from, stage).ensemble.members
        if members < stage.ensemble.members:
            but = (
                f"that stage has {members} members, and this one {stage.ensemble.members}, some of "
                f"which would start from nothing; set config.stage.{stage.start_from}.ensemble."
                f"members to {stage.ensemble.members}"
            )
            raise _wrong(f"{prefix}start_from", stage.start_from, but)
        recipe = methods().recipe(stage.method.name)
        if absent and recipe.uses_labels:
            free = [known for known, other in methods().METHODS.items() if not other.uses_labels]
            but = f"no stage before the method {stage.method.name!r} makes pseudo labels; choose "
            raise _wrong("labels", "absent", f"{but}{' or '.join(free)}, or a config romo_*")
        if stage.pseudo_labels and not recipe.has_classes:
            but = f"its method {stage.method.name!r} has no classes to make labels of"
            raise _wrong(f"{prefix}pseudo_labels", stage.pseudo_labels, but)
        if apart and recipe.one_label:
            raise UsageError(
                f"the method {stage.method.name!r} takes one label a pair, and not one a modality; "
                f"set {apart}"
            )
        if stage.pseudo_labels:
            absent, field = False, f"config.stage.{name}.pseudo_labels"
            apart = f"{field} to mean or votes" if stage.pseudo_labels == "per_modality" else ""
    _check_effects(config, whole)


def _check_effects(config: ConfigDict, whole: dict[str, ConfigDict]) -> None:
    """Finds an earlier stage that is of no effect; `whole` are the configs of the stages."""
    *earlier, _ = whole
    starts = {stage.start_from for stage in whole.values()}
    for name in earlier if config.classes >= 0 else ():  # else K may be estimated from a stage
        if name in starts or whole[name].pseudo_labels:
            continue
        if config.start_from not in ("", *earlier):
            but = f"nothing starts from the stage {name!r} then; set config.stage.{earlier[0]}."
            raise _wrong("start_from", config.start_from, f"{but}start_from instead")
        raise UsageError(
            f"nothing starts from the stage {name!r}, and it makes no pseudo labels; set "
            f"config.start_from={name} or config.stage.{name}.pseudo_labels"
        )


def _check_data(config: ConfigDict) -> None:
    """Finds fields that would be of no effect."""
    name, noise = config.data.name, config.noise
    kind = f"config.noise.kind is {noise.kind!r}"
    if config.data.path and name not in OWN:
        but = f"config.data.name is {name!r}, which reads no such file; add --config.data.name=own"
        raise _wrong("data.path", config.data.path, but)
    if config.data.corrections and config.labels == "absent":
        but = "config.labels is 'absent', so that no label is used; set config.labels to given"
        raise _wrong("data.corrections", config.data.corrections, but)
    if noise.kind == "file" and not noise.file:
        raise UsageError("config.noise.kind is 'file'; say which with config.noise.file")
    for field in ("file", "key", "validation_key"):
        if noise[field] and noise.kind != "file":
            but = f"{kind}, which reads no file; add --config.noise.kind=file"
            raise _wrong(f"noise.{field}", noise[field], but)
    if noise.open_classes != 1 and noise.kind != "open_set":
        but = f"{kind}; add --config.noise.kind=open_set"
        raise _wrong("noise.open_classes", noise.open_classes, but)
    if noise.per_modality and noise.kind == "open_set":
        raise _wrong(
            "noise.per_modality", True, f"{kind}, where an item has one label; set it to False"
        )
    if noise.class_map and not noise.kind.startswith("asymmetric"):
        but = f"{kind}; add --config.noise.kind=asymmetric"
        raise _wrong("noise.class_map", noise.class_map, but)


def _check_encoders(config: ConfigDict) -> None:
    """Finds unknown encoders, and options that do not belong to them."""
    for modality, section in config.encoders.items():
        if modality == "embedding_size":
            continue
        if not isinstance(section, ConfigDict) or set(section) != {*ENCODER, "augment", "options"}:
            raise UsageError(
                f"config.encoders.{modality} is no encoder; make it with jaxcmr.config.encoder"
            )
        if section.name not in ENCODERS:
            raise UsageError(
                f"there is no encoder {section.name!r} (config.encoders.{modality}.name); "
                f"choose from {', '.join(ENCODERS)}"
            )
        kind = ENCODERS[section.name][0]
        if wrong := [name for name in section.augment if not name.endswith(kind)]:
            raise UsageError(
                f"config.encoders.{modality}.augment has {wrong[0]!r}, but the encoder "
                f"{section.name!r} takes {kind}; choose from "
                f"{', '.join(name for name in AUGMENTATIONS if name.endswith(kind)) or 'none'}"
            )
        if section.views and kind != "images":
            but = f"the encoder {section.name!r} takes {kind}; set it to 0"
            raise _wrong(f"encoders.{modality}.views", section.views, but)
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


def _wrong(path: str, value: Any, but: str) -> UsageError:
    return UsageError(f"config.{path} is {value!r}, but {but}")
