"""MMCD (reconstruction) on ModelNet10: rendered views and point clouds, 40 % of the labels wrong.

    python launch/main.py --config=configs/mmcd_modelnet.py

As on 3D MNIST (configs/mmcd_mnist3d.py): a stage without labels, then five members vote; the last
epoch is reported. An argument puts another method on the same data and networks, one member and no
first stage: `:ce`, `:mc`, `:mrl`, `:rono`, `:clean` (RONO on the true labels: the ceiling).
`:three` adds meshes as a third modality; `:quick` and `:three_quick` are smoke runs on the
stand-in. RONO's map of wrong classes is

    --config.noise.kind=asymmetric --config.noise.class_map=rono
"""

from ml_collections import ConfigDict

from jaxcmr import presets
from jaxcmr.config import default, encoder, stage
from jaxcmr.errors import UsageError

VOTE = presets.MMCD | {"warmup_epochs": 6}
BASELINES = {
    "ce": {"name": "ce"},
    "mc": presets.MC,
    "mrl": presets.MRL,
    "rono": presets.RONO_MODELNET | {"warmup_epochs": 12},
    "clean": presets.RONO_MODELNET | {"warmup_epochs": 12},
}
OURS = ("", "quick", "three", "three_quick")


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "", "quick", "three", "three_quick", or a baseline."""
    if variant not in OURS and variant not in BASELINES:
        known = ", ".join((*OURS[1:], *BASELINES))
        raise UsageError(f"this config has no variant {variant!r}; use {known} or none")
    config = default()
    presets.furniture(config)
    config.data.validation = 0.0
    config.noise.rate = 0.0 if variant == "clean" else 0.4
    config.method = ConfigDict(BASELINES.get(variant, VOTE))
    config.train.epochs = 20
    config.train.batch_size = 64
    config.evaluate.every_epochs = 5
    if variant in OURS:
        config.ensemble.members = 5  # by noisy validation rows, see configs/README.md
        config.stages, config.continues = ("contrast",), True
        config.stage.contrast = stage(presets.MC | {"copies": 2}, epochs=12, batch_size=128)
    if variant.startswith("three"):
        config.data.modalities = ("image", "points", "mesh")
        config.encoders.mesh = encoder("meshnet", augment={"jitter_faces": 0.01})
    if variant.endswith("quick"):
        config.data.train_size, config.data.test_size = 240, 60
        config.data.points, config.data.views, config.data.faces = 128, 2, 64
        for own in (config, config.stage.contrast):
            own.train.epochs, own.train.batch_size = 2, 40
        config.method.warmup_epochs = 1
    return config
