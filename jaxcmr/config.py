"""Defaults of every run, and the checks that catch a mistake before anything is computed.

A config is an `ml_collections.ConfigDict`: the fields below, plus `method` (the method's own
numbers) and one entry of `encoders` a modality, which the files in `configs/` fill in.
"""

from typing import Any

from ml_collections import ConfigDict

from jaxcmr.errors import UsageError, check_choice


def default() -> ConfigDict:
    """Returns the fields that every config shares, with their defaults."""
    config = ConfigDict()
    config.seed = 0
    config.labels = "given"  # "absent": no label reaches the training, whatever the data have
    config.classes = 0  # K of the methods; 0: as many as the data have. For absent labels alone:
    # another number of clusters, or -1 to estimate it from the first stage's embeddings
    config.stages = ()  # names of stages before the last one, in order; each a section of `stage`
    config.stage = ConfigDict()
    config.continues = False  # start from the parameters of the stage before
    config.labels_left = ""  # what a stage makes of the labels; see jaxcmr/train/stages.py

    data = config.data = ConfigDict()
    data.name = "modelnet10"
    data.root = ""  # "": $JAXCMR_DATA, else the user's cache folder
    data.path = ""  # your own file or folder (the sources "arrays" and "manifest")
    data.fallback = "none"  # a stand-in's name, for a machine without the data; "none" forbids it
    data.modalities = ("image", "points")
    data.standardize = ()  # feature modalities to center and scale by training statistics
    data.points = 512  # points a cloud
    data.faces = 512  # faces a mesh
    data.views = 6  # rendered azimuths an object
    data.image_size = 64  # pixels
    data.channels = 1  # 1 grey, 3 RGB
    data.train_size = 2000  # rows of a stand-in
    data.test_size = 500
    data.seed = 0
    data.feeding = "auto"  # "resident": the set lies on the device; "streamed": batches follow it
    data.resident_bytes = 4 << 30  # "auto": sets whose items take more are streamed
    data.validation = 0.1  # share of the training set, split off after the noise; 0: none

    noise = config.noise = ConfigDict()
    noise.kind = "symmetric"
    noise.rate = 0.0  # nominal share of wrong labels, in [0, 1)
    noise.seed = 0
    noise.per_modality = False  # draw every modality's labels separately, as MRL does
    noise.class_map = ""  # asymmetric: "" flips k to k + 1 mod K, "rono" as RONO on ModelNet10
    noise.file = ""  # kind "file": an .npz or .npy of given labels, one a training row
    noise.key = ""  # which array of the .npz
    noise.validation_key = ""  # and which for a validation set that the source has

    config.ensemble = ConfigDict({"members": 1})

    mesh = config.mesh = ConfigDict()  # devices; -1: what is left, see jaxcmr/train/sharding.py
    mesh.member = -1  # over how many the members are spread
    mesh.data = -1  # over how many a batch is

    encoders = config.encoders = ConfigDict()
    encoders.embedding_size = 256

    train = config.train = ConfigDict()
    train.epochs = 50
    train.batch_size = 128
    train.steps_per_call = 0  # optimiser steps in one jitted call; 0: a whole epoch
    train.compute_dtype = "float32"  # of the encoders' products; "bfloat16" needs half the memory
    train.remat = "none"  # computed anew for the backward pass: "none", all but matrix "products",
    # or whole "towers"
    train.batch_statistics = "global"  # batch norm's moments: of the whole batch, or of each
    # "device"'s part of it
    train.on_nan = "stop"  # a loss that is not finite: "stop", or "drop" the member and go on

    optimizer = config.optimizer = ConfigDict()
    optimizer.name = "adam"  # "adam" | "sgd"
    optimizer.learning_rate = 1e-3
    optimizer.weight_decay = 1e-5  # L2 in the gradient
    optimizer.momentum = 0.9  # SGD
    optimizer.b1, optimizer.b2 = 0.9, 0.999  # Adam
    optimizer.schedule = "cosine"  # "cosine" | "constant" | "as_released"
    optimizer.decay_every = 0  # steps between tenfold falls under "as_released"; 0: never
    optimizer.groups = ConfigDict()  # top-level parameter name -> fields that differ

    evaluate = config.evaluate = ConfigDict()
    evaluate.every_epochs = 1
    evaluate.batch_size = 256
    evaluate.at = (10, 50)  # ranks k of mAP@k, precision@k, recall@k
    return config


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
        augment: names of augmentations of `jaxcmr.data.augment` and their strengths.
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


def check(config: ConfigDict) -> None:
    """Raises a `UsageError` that names the first field whose value cannot work."""
    _require(config.train.epochs >= 1, "train.epochs", config.train.epochs, "at least 1")
    _require(config.train.batch_size >= 2, "train.batch_size", config.train.batch_size, "2 or more")
    _require(
        config.train.steps_per_call >= 0,
        "train.steps_per_call",
        config.train.steps_per_call,
        ">= 0",
    )
    check_choice("train.compute_dtype", config.train.compute_dtype, ("float32", "bfloat16"))
    check_choice("train.remat", config.train.remat, ("none", "products", "towers"))
    check_choice("train.batch_statistics", config.train.batch_statistics, ("global", "device"))
    check_choice("train.on_nan", config.train.on_nan, ("stop", "drop"))
    check_choice("data.feeding", config.data.feeding, ("auto", "resident", "streamed"))
    limit = config.data.resident_bytes
    _require(limit >= 1, "data.resident_bytes", limit, "at least 1")
    members = config.ensemble.members
    _require(members >= 1, "ensemble.members", members, "at least 1")
    for axis, size in config.mesh.items():
        _require(size == -1 or size >= 1, f"mesh.{axis}", size, "-1 or a number of devices")
    _require(0 <= config.noise.rate < 1, "noise.rate", config.noise.rate, "in [0, 1)")
    share = config.data.validation
    _require(0 <= share < 1, "data.validation", share, "at least 0 and below 1")
    check_choice("labels", config.labels, ("given", "absent"))
    _require(config.classes >= -1, "classes", config.classes, "0, -1 or a number of clusters")
    absent = config.labels == "absent"
    _require(absent or config.classes == 0, "classes", config.classes, "0 where labels are given")
    for name in config.stages:
        _require(name in config.stage, "stages", config.stages, "names of sections of config.stage")
    _require(
        len(config.data.modalities) >= 2, "data.modalities", config.data.modalities, "two names"
    )
    _require(config.evaluate.every_epochs >= 1, "evaluate.every_epochs", 0, "at least 1")
    check_choice("optimizer.name", config.optimizer.name, ("adam", "sgd"))
    check_choice(
        "optimizer.schedule", config.optimizer.schedule, ("cosine", "constant", "as_released")
    )
    for modality in config.data.modalities:
        if modality not in config.encoders:
            raise UsageError(
                f"no encoder is configured for the modality {modality!r}; "
                f"add config.encoders.{modality} or leave it out of config.data.modalities"
            )


def _require(holds: bool, field: str, value: Any, expected: str) -> None:
    if not holds:
        raise UsageError(f"config.{field} is {value!r}, but it must be {expected}")
