"""RoMo on ModelNet10: rendered views and point clouds, without a single label.

    python launch/main.py --config=configs/romo_modelnet.py

The stages are those of `romo_mnist3d.py`. `:quick` is a smoke run. On the official split it has
68.6 / 69.4, with the true labels in the last stage 77.4 / 80.3 (means of three seeds).
"""

from ml_collections import ConfigDict

from configs.romo_mnist3d import without_labels
from jaxcmr import presets
from jaxcmr.config import check_variant, default, method, stage


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "" or "quick"."""
    check_variant(variant, "quick")
    config = default()
    presets.furniture(config)
    without_labels(config, stage(method("pairs", copies=2), epochs=15, batch_size=64))
    config.train.epochs = 10
    if variant == "quick":
        config.data.train_size, config.data.test_size = 400, 100
        config.data.points, config.data.views = 128, 2
        presets.shorten(config, epochs=2, batch_size=50)
    return config
