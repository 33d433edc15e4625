"""Sources of paired data: `load(config)` delivers the splits of any of them.

Adding a source: one file with a function `(config) -> Splits`, one line in `SOURCES`.
"""

from collections.abc import Callable

from ml_collections import ConfigDict

from jaxcmr.data.check import check
from jaxcmr.data.modelnet import load_modelnet10
from jaxcmr.errors import UsageError
from jaxcmr.types import Splits

SOURCES: dict[str, Callable[[ConfigDict], Splits]] = {
    "modelnet10": load_modelnet10,
}


def load(config: ConfigDict) -> Splits:
    """Loads the data set that `config` (the part `data` of a config) names, and checks it.

    Raises:
        UsageError: unknown name, no data, or data that cannot be used, in one sentence.
    """
    if config.name not in SOURCES:
        raise UsageError(
            f"config.data.name is {config.name!r}, but it must be one of {', '.join(SOURCES)}"
        )
    splits = SOURCES[config.name](config)
    check(splits, tuple(config.modalities))
    return splits


__all__ = ["SOURCES", "check", "load"]
