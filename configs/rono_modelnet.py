"""RONO on ModelNet10: rendered views and point clouds, 40 % of the labels wrong.

    python launch/main.py --config=configs/rono_modelnet.py

Variants: `:quick` is a smoke run under a minute; `:paper` has the networks, numbers and schedule
of the paper (ResNet18 on two views of 112 pixels, DGCNN on 1024 points, 200 epochs of SGD, batch
128) and wants an accelerator. The paper starts both networks from published weights:
`--config.encoders.image.pretrained=FILE --config.encoders.points.pretrained=FILE`.
"""

from ml_collections import ConfigDict

from jaxcmr.config import check_variant, default, encoder, method

# As many steps of warm-up as it takes until clean labels attract (the paper: 20 epochs of 31).
RONO = {"warmup_epochs": 12}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "", "quick" or "paper"."""
    check_variant(variant, "quick", "paper")
    config = default()
    config.data.name = "modelnet10"
    config.data.fallback = "procedural10"
    config.data.points = 256
    config.noise.rate = 0.4

    config.encoders.image = encoder("compact_cnn", views=2, augment={"flip_images": 0.5})
    config.encoders.points = encoder(
        "pointnet",
        widths=(64, 128, 256),
        augment={"scale_points": 0.2, "rotate_points": 0.3, "jitter_points": 0.01},
    )

    config.method = method("rono", **RONO)
    config.train.epochs = 40
    config.train.batch_size = 128
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 1e-5
    config.optimizer.groups.centers = ConfigDict({"weight_decay": 0.0})

    if variant == "quick":
        config.data.train_size, config.data.test_size = 400, 100
        config.data.points, config.data.views = 128, 2
        config.train.epochs, config.train.batch_size = 8, 64
        config.method.warmup_epochs = 6
    elif variant == "paper":
        config.data.points, config.data.image_size, config.data.channels = 1024, 112, 3
        config.data.views = 12
        config.encoders.image = encoder("resnet18", views=2, augment={"flip_images": 0.5})
        config.encoders.points = encoder("dgcnn")
        config.train.epochs = 200
        config.method = method("rono")
        config.optimizer.name = "sgd"
        config.optimizer.schedule = "as_released"
        config.optimizer.groups.centers = ConfigDict(
            {"weight_decay": 0.0, "momentum": 0.0, "decay_every": 1500}
        )
    return config
