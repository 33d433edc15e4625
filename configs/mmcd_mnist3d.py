"""MMCD (reconstruction) on 3D MNIST: digits and their raw clouds, 40 % of the labels wrong.

    python launch/main.py --config=configs/mmcd_mnist3d.py

A stage without labels, `contrast`, comes first: what looks alike is together before a label is
believed. Then five members vote. Both networks start from scratch; nothing is selected, so all
rows train and the last epoch is reported. Without MNIST's files and without a connection,
scikit-learn's digits stand in.

An argument puts another method on the same data and networks, one member and no first stage: `:ce`,
`:mc`, `:mrl`, `:rono`, `:clean` (RONO on the true labels: the ceiling). `:one` teaches a single
member, for cheap serving, what the five have agreed on; `:quick` is a smoke run on the stand-in.
RONO's own noisy labels are given by

    --config.noise.kind=file --config.noise.file=rono_noisy_labels.npz --config.noise.key=train_40
"""

from ml_collections import ConfigDict

from jaxcmr import presets
from jaxcmr.config import default, stage
from jaxcmr.errors import UsageError

# By the precision on noisy validation rows, see configs/README.md.
MEMBERS = 5
# Behind three quarters of the training the posteriors are found, and nobody needs to judge them any
# more; chosen in the same way.
VOTE = presets.MMCD | {"warmup_epochs": 12, "settle_from": 0.75}
# What the panel agreed on is taught as it is: no votes, no filter, no held-out rows.
DISTIL = VOTE | {
    "believes": "labels",
    "label_weight": 0.5,
    "voters": "all",
    "threshold": "none",
    "warmup_epochs": 0,
    "held_out_share": 0.0,
    "gate": 2.0,
}
BASELINES = {
    "ce": {"name": "ce"},
    "mc": presets.MC,
    "mrl": presets.MRL,
    "rono": presets.RONO_MNIST3D,
    "clean": presets.RONO_MNIST3D,
}
OURS = ("", "one", "quick")


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "", "one", "quick", or a baseline."""
    if variant not in OURS and variant not in BASELINES:
        known = ", ".join((*OURS[1:], *BASELINES))
        raise UsageError(f"this config has no variant {variant!r}; use {known} or none")
    config = default()
    presets.digits(config)
    config.data.validation = 0.0
    config.noise.rate = 0.0 if variant == "clean" else 0.4
    config.method = ConfigDict(BASELINES.get(variant, VOTE))
    config.train.epochs = 40
    config.train.batch_size = 64
    config.evaluate.every_epochs = 10
    if variant in OURS:
        config.ensemble.members = MEMBERS
        config.stages, config.continues = ("contrast",), True
        config.stage.contrast = stage(presets.MC | {"copies": 2}, epochs=20, batch_size=128)
    if variant == "one":
        config.stages = ("contrast", "vote")
        config.stage.vote = stage(VOTE, epochs=40, labels_left="mean")
        for own in (config.stage.contrast, config.stage.vote):
            own.ensemble = ConfigDict({"members": MEMBERS})
        config.ensemble.members = 1
        config.method = ConfigDict(DISTIL)
        config.train.epochs = 5
    if variant == "quick":
        config.data.name = "digits"
        config.data.train_size, config.data.test_size, config.data.points = 400, 100, 128
        for own in (config, config.stage.contrast):
            own.train.epochs, own.train.batch_size = 4, 50
        config.method.warmup_epochs = 2
    return config
