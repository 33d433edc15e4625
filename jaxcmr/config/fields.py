"""Every field of a config in one table: its default, its range, its meaning.

Sections that a config fills in (`method`, `encoders`, `stage`, `optimizer.groups`) have ranges
alone: `range_of` finds that of any field by its name.
"""

from collections.abc import Mapping
from types import MappingProxyType, ModuleType

from jaxcmr.config.ranges import (
    LARGEST_INT32,
    NOT_NEGATIVE,
    POSITIVE,
    SEED,
    SHARE,
    Field,
    Range,
    choice,
    either,
    flag,
    modality,
    name,
    number,
    several,
    text,
    whole,
    widths,
)

PSEUDO_LABELS = choice("", "mean", "votes", "per_modality")
SIZE = whole(1)
ITEM_SIZE = whole(1, 16384)

FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "seed": Field(0, SEED, "of initial weights, batches, augmentation and voters"),
        "labels": Field("given", choice("given", "absent"), "absent: none reaches the training"),
        "classes": Field(0, either(0, either(-1, whole(2))), "where labels are absent: clusters; "
                         "0 as many as the data's classes, -1 an estimate"),
        "stages": Field(("main",), several(name, 1), "all stages in their order; the last one is "
                        "the config itself, those before it are sections of `stage`"),
        "start_from": Field("", text, "a stage before, or the folder of another run, from whose "
                            "best weights this one starts; '': new parameters"),
        "pseudo_labels": Field("", PSEUDO_LABELS, "what a stage makes of the labels for those "
                               "after it; see jaxcmr/train/stages.py"),
        "data.name": Field("modelnet10", text, "which data; own: your own, at data.path"),
        "data.root": Field("", text, "folder of the data; '': $JAXCMR_DATA, else the cache"),
        "data.path": Field("", text, "your own file or folder"),
        "data.fallback": Field("none", choice("none", "digits", "procedural10"),
                               "a stand-in for a machine without the data; none forbids it"),
        "data.modalities": Field(("image", "points"), several(modality, 2), "which are paired"),
        "data.standardize": Field((), several(modality), "feature modalities to center and scale "
                                  "by training statistics"),
        "data.points": Field(512, SIZE, "points a cloud"),
        "data.faces": Field(512, SIZE, "faces a mesh"),
        "data.views": Field(6, whole(1, 1000), "rendered azimuths an object"),
        "data.image_size": Field(64, ITEM_SIZE, "pixels"),
        "data.channels": Field(1, choice(1, 3), "1 grey, 3 RGB"),
        "data.train_size": Field(2000, SIZE, "rows of a stand-in"),
        "data.test_size": Field(500, SIZE, "rows of a stand-in"),
        "data.seed": Field(0, SEED, "of sampling, splits and stand-ins"),
        "data.feeding": Field("auto", choice("auto", "resident", "streamed"),
                              "resident: the set lies on the device; streamed: batches follow it"),
        "data.resident_bytes": Field(4 << 30, whole(1, 2**63 - 1),
                                     "auto: sets whose items take more are streamed"),
        "data.validation": Field(0.1, number(0, below=1), "share of the training set that is "
                                 "split off after the noise; 0: none"),
        "data.corrections": Field("", text, "tables of ids and their right labels, or drop, with "
                                  "commas between; applied after noise and split"),
        "noise.kind": Field("symmetric", text, "how wrong labels are drawn; file: given ones; "
                            "open_set: items of classes that are taken out keep one"),
        "noise.rate": Field(0.0, number(0, below=1), "nominal share of wrong labels"),
        "noise.seed": Field(0, SEED, "of the draw"),
        "noise.per_modality": Field(False, flag, "draw every modality's labels separately"),
        "noise.class_map": Field("", choice("", "rono"), "asymmetric: '' flips k to k + 1 mod K, "
                                 "rono as RONO on ModelNet10"),
        "noise.open_classes": Field(1, whole(1), "open_set: classes, drawn by the seed, that are "
                                    "taken out; the share `rate` of their rows keeps a label of "
                                    "the others"),
        "noise.file": Field("", text, "kind file: an .npz or .npy of labels, one a training row"),
        "noise.key": Field("", text, "which array of the .npz"),
        "noise.validation_key": Field("", text, "and which for a validation set of the source"),
        "ensemble.members": Field(1, whole(1, 1000), "models that are trained together"),
        "audit.test": Field(False, flag, "judge the labels of the test set, too"),
        "audit.folds": Field(0, either(0, whole(2, 1000)), "folds of labels, hidden in turn: any "
                             "method then judges out-of-fold; 0: only its own folds"),
        "mesh.member": Field(-1, either(-1, whole(1)), "devices that share members; -1: chosen"),
        "mesh.data": Field(-1, either(-1, whole(1)), "devices that share a batch; -1: chosen"),
        "encoders.embedding_size": Field(256, whole(1, 65536), "of the common space"),
        "train.epochs": Field(50, whole(1), "passes over the training set"),
        "train.batch_size": Field(128, whole(2), "rows of a step"),
        "train.steps_per_call": Field(0, whole(0, LARGEST_INT32), "optimiser steps in one jitted "
                                      "call; 0: a whole epoch"),
        "train.compute_dtype": Field("float32", choice("float32", "tensorfloat32", "bfloat16"),
                                     "of the encoders' products; bfloat16 needs half the memory"),
        "train.remat": Field("none", choice("none", "products", "towers"), "computed again for the "
                             "backward pass: none, all but matrix products, whole towers"),
        "train.batch_statistics": Field("global", choice("global", "device"),
                                        "batch norm's moments: of the whole batch, or of each "
                                        "device's part of it"),
        "train.on_nan": Field("stop", choice("stop", "drop"), "a loss that is not finite: stop, or "
                              "drop the member and go on"),
        "optimizer.name": Field("adam", choice("adam", "sgd"), "the rule"),
        "optimizer.learning_rate": Field(1e-3, number(0, 1000), "at the start"),
        "optimizer.weight_decay": Field(1e-5, number(0, 1000), "L2 in the gradient"),
        "optimizer.momentum": Field(0.9, number(0, below=1), "SGD"),
        "optimizer.b1": Field(0.9, number(0, below=1), "Adam"),
        "optimizer.b2": Field(0.999, number(0, below=1), "Adam"),
        "optimizer.schedule": Field("cosine", choice("cosine", "constant", "as_released"),
                                    "of the rate; see jaxcmr/train/optimizer.py"),
        "optimizer.decay_every": Field(0, whole(0, LARGEST_INT32), "steps between tenfold falls "
                                       "under as_released; 0: never"),
        "evaluate.every_epochs": Field(1, whole(1), "between scores of the validation set"),
        "evaluate.batch_size": Field(256, whole(1), "rows that are embedded at once"),
        "evaluate.at": Field((10, 50), several(whole(1, LARGEST_INT32)), "ranks k of mAP@k, "
                             "precision@k, recall@k"),
    }
)  # fmt: skip

# Sections that may be empty, and what they hold.
OPEN = {
    "method": "the method's name and its numbers",
    "stage": "one section an earlier stage: the fields in which it differs, `method` whole",
    "optimizer.groups": "parameter group (a modality, head, centers, clusters) -> fields of "
    "`optimizer` that differ",
}

ENCODER: Mapping[str, Range] = MappingProxyType(
    {"name": text, "views": whole(0, 1000), "pretrained": text, "pretrained_names": text}
)
AUGMENTATIONS: Mapping[str, Range] = MappingProxyType(
    {
        "flip_images": SHARE,
        "crop_images": whole(0, 1000),
        "zoom_images": number(0, below=1),
        "warp_images": SHARE,
        "jitter_colors": SHARE,
        "scale_points": NOT_NEGATIVE,
        "shift_points": NOT_NEGATIVE,
        "jitter_points": NOT_NEGATIVE,
        "rotate_points": number(0, 7),  # radians
        "roll_points": number(0, 7),
        "drop_points": SHARE,
        "jitter_faces": NOT_NEGATIVE,
        "rotate_faces": number(0, 7),
    }
)
_WIDTH = whole(2, 65536)  # the first layer has half of it
_POOL = choice("mean", "max", "mean_max")
_HEAD = choice("linear_bn_relu", "linear", "none")
_DROPOUT = number(0, below=1)
_RESNET = {"width": _WIDTH, "pool": _POOL, "head": _HEAD, "imagenet_input": flag}
# Encoder -> what it takes, and its options.
ENCODERS: Mapping[str, tuple[str, Mapping[str, Range]]] = MappingProxyType(
    {
        "mnist_cnn": ("images", {"channels": widths(1), "hidden": widths(0)}),
        "compact_cnn": ("images", {"width": _WIDTH, "pool": _POOL, "head": _HEAD}),
        "resnet18": ("images", _RESNET),
        "resnet34": ("images", _RESNET),
        "resnet50": ("images", _RESNET),
        "efficientnet_lite0": ("images", {"pool": _POOL, "head": _HEAD}),
        "pointnet": ("points", {"widths": widths(1), "transforms": flag}),
        "triplane_cnn": (
            "points",
            {"cells": whole(2, 1024), "extent": POSITIVE, "width": _WIDTH, "head": _HEAD},
        ),
        "dgcnn": (
            "points",
            {
                "k": whole(1, 1024),
                "widths": widths(1),
                "pooled": either(None, whole(1, 65536)),
                "remat": flag,
            },
        ),
        "meshnet": (
            "faces",
            {
                "kernels": whole(1, 65536),
                "sigma": POSITIVE,
                "aggregation": choice("concat", "max", "average"),
                "dropout": _DROPOUT,
            },
        ),
        "feature_mlp": ("vectors", {"hidden": widths(0), "dropout": _DROPOUT}),
        "fc": ("vectors", {"hidden": widths(0), "dropout": _DROPOUT, "normalize": flag}),
    }
)
_NOT_OF_A_STAGE = ("data.", "noise.", "audit.", "labels", "classes", "stages", "seed", "mesh.")


def methods() -> ModuleType:
    """Returns the package `jaxcmr.methods`, imported late: it imports JAX and this package."""
    from jaxcmr import methods

    return methods


def method_fields(name: str) -> Mapping[str, Field]:
    """Returns the numbers and choices of a method, by their names; "" has none.

    Args:
        name: a key of `jaxcmr.methods.METHODS`, or a Python file that defines a method.

    Raises:
        UsageError: there is no such method.
    """
    if not name:
        return {}
    recipe = methods().recipe(name)
    return {**recipe.numbers, **recipe.choices}


def range_of(field: str, method: str) -> Range | None:
    """Returns the range of a field such as "train.epochs"; None if there is no such field.

    Args:
        field: its name, without "config.".
        method: the name of the method whose numbers `method.NUMBER` are.
    """
    if field in FIELDS:
        return FIELDS[field].range
    match field.split("."):
        case ["method", "name"]:
            return text
        case ["method", number]:
            known = method_fields(method).get(number)
            return known and known.range
        case ["optimizer", "groups", _, last]:
            known = FIELDS.get(f"optimizer.{last}")
            return known and known.range
        case ["encoders", _, last]:
            return ENCODER.get(last)
        case ["encoders", _, "augment", last]:
            return AUGMENTATIONS.get(last)
        case ["encoders", _, "options", encoder, last] if encoder in ENCODERS:
            return ENCODERS[encoder][1].get(last)
        case ["stage", _, *rest] if rest and rest[0] != "stage":
            inner = ".".join(rest)
            return None if inner.startswith(_NOT_OF_A_STAGE) else range_of(inner, method)
    return None
