"""Makes wrong labels for experiments, and records them."""

from jaxcmr.noise.injection import (
    KINDS,
    RONO_MODELNET10_MAP,
    class_map_from_names,
    from_file,
    inject,
)
from jaxcmr.noise.open_set import OpenSet, inject_open_set
from jaxcmr.noise.record import NoiseRecord
from jaxcmr.noise.transition import estimate_transition, inject_transition

__all__ = [
    "KINDS",
    "RONO_MODELNET10_MAP",
    "NoiseRecord",
    "OpenSet",
    "class_map_from_names",
    "estimate_transition",
    "from_file",
    "inject",
    "inject_open_set",
    "inject_transition",
]
