"""RONO on your own data: a manifest of files, or arrays, whose labels may be wrong.

    python launch/main.py --config=configs/rono_custom.py --config.data.path=items.csv

`items.csv` has a header, a row an object, and the columns `label` and at least two of `image`,
`points`, `mesh`, `text`; formats, and those of arrays, are in jaxcmr/data/README.md. Modalities,
encoders, batch size and validation rows are chosen from what the data have; `config.json` of the
results records the choices. To choose yourself, set `data.modalities`, `train.batch_size`,
`data.validation`, or copy this file and give `encoders.<modality> = encoder(...)`.

No label is changed. Epochs of few rows are short: raise `train.epochs` and `method.warmup_epochs`
until there are some hundred steps.
"""

from ml_collections import ConfigDict

from configs.rono_modelnet import RONO
from jaxcmr import presets
from jaxcmr.config import default, method
from jaxcmr.errors import UsageError


def get_config(variant: str = "") -> ConfigDict:
    """Returns the config; it has no variants."""
    if variant:
        raise UsageError(
            f"this config has no variant {variant!r}; name your data with --config.data.path"
        )
    config = default()
    presets.own(config)
    config.train.epochs = 40

    config.method = method("rono", **RONO)
    config.optimizer.name = "adam"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.weight_decay = 1e-5
    config.optimizer.groups.centers = ConfigDict({"weight_decay": 0.0})
    return config
