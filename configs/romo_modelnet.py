"""RoMo on ModelNet10: rendered views and point clouds, without a single label.

    python launch/main.py --config=configs/romo_modelnet.py

The stages are those of `romo_mnist3d.py`. `:quick` is a smoke run. On the official split it has
68.6 / 69.4, with the true labels in the last stage 77.4 / 80.3 (means of three seeds).
"""

from ml_collections import ConfigDict

from jaxcmr import presets
from jaxcmr.config import default, stage
from jaxcmr.errors import UsageError


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "" or "quick"."""
    config = default()
    config.labels = "absent"
    presets.furniture(config)
    config.stages = ("contrast", "match")
    config.stage.contrast = stage(presets.MC | {"copies": 2}, epochs=15, batch_size=64)
    config.stage.match = stage(presets.ROMO_CLUSTERS, epochs=4, batch_size=250, labels_left="mean")
    config.method = ConfigDict(presets.ROMO_CENTERS)
    config.continues = True
    config.train.epochs = 10
    if variant == "quick":
        config.data.train_size, config.data.test_size = 400, 100
        config.data.points, config.data.views = 128, 2
        for own in (config, config.stage.contrast, config.stage.match):
            own.train.epochs, own.train.batch_size = 2, 50
    elif variant:
        raise UsageError(f"this config has no variant {variant!r}; use quick or none")
    return config
