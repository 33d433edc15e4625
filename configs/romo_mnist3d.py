"""RoMo on 3D MNIST: pictures of digits and point clouds of them, without a single label.

python launch/main.py --config=configs/romo_mnist3d.py
"""

from ml_collections import ConfigDict

from jaxcmr import presets
from jaxcmr.config import default, encoder
from jaxcmr.errors import UsageError


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "" or "quick"."""
    config = default()
    config.labels = "absent"
    config.data.name = "mnist3d"
    config.data.fallback = "digits"
    config.data.points = 256
    config.encoders.embedding_size = 128
    config.encoders.image = encoder("mnist_cnn", augment={"crop_images": 2})
    config.encoders.points = encoder(
        "pointnet",
        widths=(64, 128, 256),
        augment={"scale_points": 0.2, "shift_points": 0.1, "jitter_points": 0.01},
    )

    match = ConfigDict()
    match.method = ConfigDict(presets.ROMO_MATCHING)
    match.train = ConfigDict({"epochs": 10})
    match.continues = False
    match.labels_left = "mean"
    config.stages, config.stage = ("match",), ConfigDict({"match": match})

    config.method = ConfigDict(presets.ROMO)
    config.train.epochs = 10
    config.train.batch_size = 128
    config.optimizer.learning_rate = 1e-3
    if variant == "quick":
        config.data.train_size, config.data.test_size, config.data.points = 400, 100, 64
        config.train.epochs, config.train.batch_size = 2, 50
        config.stage.match.train.epochs = 2
    elif variant:
        raise UsageError(f"this config has no variant {variant!r}; use quick or none")
    return config
