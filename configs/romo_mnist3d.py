"""RoMo on 3D MNIST: pictures of digits and point clouds of them, without a single label.

    python launch/main.py --config=configs/romo_mnist3d.py --config.data.root=DATA

Three stages: `contrast` brings the items of a pair together, `match` finds clusters that both
modalities share, and the last one learns from these pseudo labels what it can believe. `:described`
has the last stage of the paper; `:quick` is a smoke run on the stand-in.

The log of the released code says 84.9 / 83.1, with pairs of a class instead of an instance; this
config 92.1 / 92.3 (mean of three seeds) with pairs of an instance. See configs/README.md.
"""

from ml_collections import ConfigDict

from jaxcmr import presets
from jaxcmr.config import default, stage
from jaxcmr.errors import UsageError


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "", "described" or "quick"."""
    config = default()
    config.labels = "absent"
    presets.digits(config)
    config.stages = ("contrast", "match")
    config.stage.contrast = stage(presets.MC | {"copies": 2}, epochs=30, batch_size=64)
    config.stage.match = stage(presets.ROMO_CLUSTERS, epochs=4, batch_size=250, labels_left="mean")
    config.method = ConfigDict(presets.ROMO if variant == "described" else presets.ROMO_CENTERS)
    config.continues = True
    config.train.epochs = 10
    config.train.batch_size = 128
    if variant == "quick":
        config.data.train_size, config.data.test_size, config.data.points = 400, 100, 64
        for own in (config, config.stage.contrast, config.stage.match):
            own.train.epochs, own.train.batch_size = 2, 50
    elif variant not in ("", "described"):
        raise UsageError(f"this config has no variant {variant!r}; use described, quick or none")
    return config
