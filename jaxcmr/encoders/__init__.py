"""Backbones, one a file, behind one pure `init`/`apply` pair.

A modality's encoder is chosen in a config by its name in `ENCODERS`; its options are the keyword
arguments of the builder.
"""

from collections.abc import Callable

from jaxcmr.encoders.base import Encoder, from_module
from jaxcmr.encoders.head import head
from jaxcmr.encoders.mlp import fc, feature_mlp
from jaxcmr.encoders.pointnet import pointnet

ENCODERS: dict[str, Callable[..., Encoder]] = {
    "pointnet": pointnet,
    "feature_mlp": feature_mlp,
    "fc": fc,
}

__all__ = ["ENCODERS", "Encoder", "fc", "feature_mlp", "from_module", "head", "pointnet"]
