"""MMCD (reconstruction) on 3D MNIST: digits and their raw clouds, 40 % of the labels wrong.

    python launch/main.py --config=configs/mmcd_mnist3d.py

A stage without labels, `pairs`, comes first: similar items are close together before labels are
used. Then five members vote. Both networks start from scratch; nothing is selected, so all rows
train and the last epoch is reported. Without MNIST's files and without a connection, scikit-learn's
digits stand in.

A variant puts another method on the same data and networks, one member and no first stage: `:ce`,
`:pairs`, `:mrl`, `:rono`, `:clean` (RONO on the true labels: the ceiling). `:one` trains a single
member, for cheap serving, on what the five have agreed on; `:quick` is a smoke run on the stand-in.
RONO's own noisy labels are given by

    --config.noise.kind=file --config.noise.file=rono_noisy_labels.npz --config.noise.key=train_40
"""

from ml_collections import ConfigDict

from configs.rono_mnist3d import RONO
from jaxcmr import presets
from jaxcmr.config import check_variant, default, method, stage

# Both chosen by the precision on noisy validation rows, see configs/ABLATIONS.md. After three
# quarters of the training beliefs are frozen, and all members train on every label.
MEMBERS = 5
VOTE = {"warmup_epochs": 12, "freeze_from": 0.75}
# The pseudo labels of the ensemble are used as given: no votes, no filter, no held-out rows.
DISTIL = {
    "label_weight": 0.5,
    "voters": "all",
    "threshold": "none",
    "warmup_epochs": 0,
    "held_out_share": 0.0,
    "min_precision": 2.0,
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "", "one", "quick", or a baseline."""
    others = baselines(**RONO)
    check_variant(variant, "one", "quick", *others)
    config = default()
    presets.digits(config)
    wrong_labels(config, variant)
    config.train.epochs = 40
    config.evaluate.every_epochs = 10
    if variant in others:
        config.method = others[variant]
        return config
    config.method = method("mmcd", **VOTE)
    begin_with_pairs(config, epochs=20)
    if variant == "one":
        config.stages, config.start_from = ("pairs", "vote", "main"), "vote"
        config.stage.vote = stage(
            config.method, epochs=40, start_from="pairs", pseudo_labels="mean"
        )
        for part in (config.stage.pairs, config.stage.vote):
            part.ensemble = ConfigDict({"members": MEMBERS})
        config.ensemble.members = 1
        config.method = method("label_vote", **DISTIL)
        config.train.epochs = 5
    if variant == "quick":
        config.data.name = "digits"
        config.data.train_size, config.data.test_size, config.data.points = 400, 100, 128
        presets.shorten(config, epochs=4, batch_size=50)
        config.method.warmup_epochs = 2
    return config


def baselines(**rono) -> dict[str, ConfigDict]:
    """Returns the methods to compare with, by their variants; `rono` are RONO's numbers."""
    names = {"ce": {}, "pairs": {}, "mrl": {}, "rono": rono}
    return {name: method(name, **numbers) for name, numbers in names.items()} | {
        "clean": method("rono", **rono)
    }


def wrong_labels(config: ConfigDict, variant: str) -> None:
    """Makes 40 % of the labels wrong, except for "clean", and trains on all rows."""
    config.noise.rate = 0.0 if variant == "clean" else 0.4
    config.data.validation = 0.0
    config.train.batch_size = 64


def begin_with_pairs(config: ConfigDict, epochs: int) -> None:
    """Sets five members, and a stage without labels from whose parameters they start."""
    config.ensemble.members = MEMBERS
    config.stages, config.start_from = ("pairs", "main"), "pairs"
    config.stage.pairs = stage(method("pairs", copies=2), epochs=epochs, batch_size=128)
