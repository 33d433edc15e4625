"""RoMo on ModelNet10: rendered views and point clouds, without a single label.

    python launch/main.py --config=configs/romo_modelnet.py

The stages are those of `romo_mnist3d.py`. `:quick` is a smoke run.
"""

from ml_collections import ConfigDict

from jaxcmr import presets
from jaxcmr.config import default, encoder, stage
from jaxcmr.errors import UsageError


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "" or "quick"."""
    config = default()
    config.labels = "absent"
    config.data.name = "modelnet10"
    config.data.fallback = "procedural10"
    config.data.points = 256
    config.encoders.embedding_size = 128
    config.encoders.image = encoder(
        "compact_cnn", views=1, augment={"flip_images": 0.5, "crop_images": 4}
    )
    config.encoders.points = encoder(
        "pointnet",
        widths=(64, 128, 256),
        augment={"scale_points": 0.2, "rotate_points": 0.3, "jitter_points": 0.01},
    )
    config.stages = ("contrast", "match")
    config.stage.contrast = stage(presets.MC | {"copies": 2}, epochs=15, batch_size=64)
    config.stage.match = stage(presets.ROMO_CLUSTERS, epochs=4, batch_size=250, labels_left="mean")
    config.method = ConfigDict(presets.ROMO)
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
