"""RoMo on Wikipedia: pictures and texts as features, without a single label.

    python launch/main.py --config=configs/romo_wikipedia.py --config.data.root=DATA

`DATA` holds one of the files that jaxcmr/data/README.md names; there is no stand-in.
The three stages of configs/romo_mnist3d.py; `:described` has the last stage of the paper, which on
these data takes all rows for one class (the log says so, without a label). On 2173 pairs, test mAP
image -> text / text -> image: 32.9 / 29.8; as described 28.5 / 24.5 (means of three seeds).
"""

from ml_collections import ConfigDict

from jaxcmr import presets
from jaxcmr.config import default, encoder, stage
from jaxcmr.errors import UsageError


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config of a variant: "" or "described"."""
    if variant not in ("", "described"):
        raise UsageError(f"this config has no variant {variant!r}; use described or none")
    config = default()
    config.labels = "absent"
    config.data.name = "wikipedia"
    config.data.modalities = ("image", "text")
    config.data.standardize = ("image", "text")
    config.encoders.embedding_size = 256
    for modality in config.data.modalities:
        config.encoders[modality] = encoder("fc", hidden=(1024, 1024), dropout=0.5)
    config.stages = ("contrast", "match")
    config.stage.contrast = stage(presets.MC | {"temperature": 0.3}, epochs=20)
    config.stage.match = stage(presets.ROMO_CLUSTERS, epochs=4, batch_size=250, labels_left="mean")
    config.method = ConfigDict(presets.ROMO if variant else presets.ROMO_CENTERS)
    config.continues = not variant
    config.train.epochs = 20
    config.train.batch_size = 128
    config.optimizer.learning_rate = 1e-4
    return config
