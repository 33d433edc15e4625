"""The methods, one a file: how losses, label beliefs and encoders combine.

A config chooses one by its name in `METHODS`.
"""

from ml_collections import ConfigDict

from jaxcmr.methods import ce, matching, mc, mmcd, mrl, romo, rono
from jaxcmr.methods.base import Method, Outputs, Progress
from jaxcmr.types import UsageError

METHODS = {
    "ce": ce.build,
    "matching": matching.build,
    "mc": mc.build,
    "mmcd": mmcd.build,
    "mrl": mrl.build,
    "romo": romo.build,
    "rono": rono.build,
}

LABEL_FREE = ("mc",)  # methods without classes

__all__ = ["METHODS", "Method", "Outputs", "Progress", "build"]


def build(config: ConfigDict, num_classes: int) -> Method:
    """Builds the method `config.method.name`; raises `UsageError` if there is none."""
    name = config.method.name
    if name not in METHODS:
        raise UsageError(f"there is no method {name!r}; choose from {', '.join(METHODS)}")
    return METHODS[name](config, num_classes)
