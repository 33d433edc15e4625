"""RONO on 3D MNIST: handwritten digits and the clouds made from them, 40 % of the labels wrong.

    python launch/main.py --config=configs/rono_mnist3d.py

Both networks start from scratch: RONO's CNN on the pictures, PointNet on 256 points of the raw
clouds. Without MNIST's files and without a connection, scikit-learn's digits stand in.

Variants: `:quick` is a smoke run on that stand-in, under a minute; `:features` is the released
protocol on given point features, from `ROOT/mnist3d_features.npz` (jaxcmr/data/README.md): RONO's
heads, optimiser and schedule. RONO's own noisy labels are given by

    --config.noise.kind=file --config.noise.file=rono_noisy_labels.npz --config.noise.key=train_40
"""

from ml_collections import ConfigDict

from jaxcmr.config import check_variant, default, encoder, method

# The numbers of the released branch `main`; the method's own are those of the branch `ModelNet`.
RONO = {
    "tau1": 0.05,
    "tau2": 0.05,
    "margin": 0.3,
    "warmup_epochs": 25,
    "crc_scale": 5.0,
    "pair_temperature": 0.22,
    "crc_weight": 1.0,
    "pair_weight": 1.0,
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "", "quick" or "features"."""
    check_variant(variant, "quick", "features")
    config = default()
    config.data.name = "mnist3d"
    config.data.fallback = "digits"
    config.data.points = 256
    config.noise.rate = 0.4

    config.encoders.image = encoder("mnist_cnn")
    config.encoders.points = encoder(
        "pointnet",
        widths=(64, 128, 256),
        augment={"scale_points": 0.2, "jitter_points": 0.01},
    )
    config.method = method("rono", **RONO)
    config.train.epochs = 50
    config.train.batch_size = 128
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 1e-5
    config.optimizer.groups.image = ConfigDict({"learning_rate": 3e-4})
    config.optimizer.groups.centers = ConfigDict({"weight_decay": 0.0})

    if variant == "quick":
        config.data.name = "digits"
        config.data.train_size, config.data.test_size = 400, 100
        config.data.points = 128
        config.train.epochs, config.train.batch_size = 8, 64
        config.method.warmup_epochs = 6
    elif variant == "features":
        config.data.fallback = "none"
        config.data.modalities = ("image", "features")
        del config.encoders.points
        config.encoders.features = encoder("feature_mlp")
        config.optimizer.learning_rate = 1e-4
        config.optimizer.schedule = "constant"
        config.optimizer.groups.image = ConfigDict({"learning_rate": 5e-5})
    return config
