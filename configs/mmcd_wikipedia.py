"""MMCD (reconstruction) on Wikipedia: pictures and texts as features, 40 % of the labels wrong.

    python launch/main.py --config=configs/mmcd_wikipedia.py --config.data.root=DATA

`DATA` holds one of the files that jaxcmr/data/README.md names; there is no stand-in. An argument
puts another method on the same data and networks: `:ce`, `:mc`, `:mrl`, `:rono`, one member each.
"""

from ml_collections import ConfigDict

from jaxcmr import presets
from jaxcmr.config import default, encoder
from jaxcmr.errors import UsageError

METHODS = {
    "": presets.MMCD,
    "ce": {"name": "ce"},
    "mc": presets.MC | {"temperature": 1.0},
    "mrl": presets.MRL,
    "rono": presets.RONO_MNIST3D,
}


def get_config(method: str = "") -> ConfigDict:
    """Returns the config of a method: "" (MMCD), "ce", "mc", "mrl" or "rono"."""
    if method not in METHODS:
        raise UsageError(f"this config has no variant {method!r}; use ce, mc, mrl, rono or none")
    config = default()
    config.data.name = "wikipedia"
    config.data.modalities = ("image", "text")
    config.data.standardize = config.data.modalities
    config.noise.rate = 0.4
    config.encoders.embedding_size = 256
    for modality in config.data.modalities:
        options = {"hidden": (1024, 1024), "normalize": method not in ("", "rono", "ce")}
        config.encoders[modality] = encoder("fc", **options)
    config.ensemble.members = 3 if method == "" else 1
    config.method = ConfigDict(METHODS[method])
    config.train.epochs = 50
    config.train.batch_size = 100
    config.optimizer.learning_rate = 1e-4
    return config
