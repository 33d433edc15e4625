"""MMCD (reconstruction) on ModelNet10: rendered views and point clouds, 40 % of the labels wrong.

    python launch/main.py --config=configs/mmcd_modelnet.py

As on 3D MNIST (configs/mmcd_mnist3d.py): a stage without labels, then five members vote; the last
epoch is reported. A variant puts another method on the same data and networks, one member and no
first stage: `:ce`, `:pairs`, `:mrl`, `:rono`, `:clean` (RONO on the true labels: the ceiling).
`:three` adds meshes as a third modality; `:quick` and `:three_quick` are smoke runs on the
stand-in. RONO's map of wrong classes is

    --config.noise.kind=asymmetric --config.noise.class_map=rono
"""

from ml_collections import ConfigDict

from configs.mmcd_mnist3d import baselines, begin_with_pairs, wrong_labels
from configs.rono_modelnet import RONO
from jaxcmr import presets
from jaxcmr.config import check_variant, default, encoder, method


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "", "quick", "three", "three_quick", or a baseline."""
    others = baselines(**RONO)
    check_variant(variant, "quick", "three", "three_quick", *others)
    config = default()
    presets.furniture(config)
    wrong_labels(config, variant)
    config.train.epochs = 20
    config.evaluate.every_epochs = 5
    if variant in others:
        config.method = others[variant]
        return config
    config.method = method("mmcd", warmup_epochs=6)
    begin_with_pairs(config, epochs=12)
    if variant.startswith("three"):
        config.data.modalities = ("image", "points", "mesh")
        config.encoders.mesh = encoder("meshnet", augment={"jitter_faces": 0.01})
    if variant.endswith("quick"):
        config.data.train_size, config.data.test_size = 240, 60
        config.data.points, config.data.views, config.data.faces = 128, 2, 64
        presets.shorten(config, epochs=2, batch_size=40)
        config.method.warmup_epochs = 1
    return config
