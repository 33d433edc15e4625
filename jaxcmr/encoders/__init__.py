"""Backbones, one a file, behind one pure `init`/`apply` pair.

A modality's encoder is chosen in a config by its name in `ENCODERS`; its options are the attributes
of the module that the builder wraps, which are described there.
"""

from collections.abc import Callable

from jaxcmr.encoders.augment import AUGMENTATIONS, IMAGE_AUGMENTATIONS
from jaxcmr.encoders.base import Backbone, Encoder, builder, from_module
from jaxcmr.encoders.compact_cnn import compact_cnn
from jaxcmr.encoders.dgcnn import dgcnn
from jaxcmr.encoders.efficientnet_lite import efficientnet_lite0
from jaxcmr.encoders.head import head
from jaxcmr.encoders.meshnet import meshnet
from jaxcmr.encoders.mlp import fc, feature_mlp
from jaxcmr.encoders.mnist_cnn import mnist_cnn
from jaxcmr.encoders.pointnet import pointnet
from jaxcmr.encoders.resnet import resnet18, resnet34, resnet50
from jaxcmr.encoders.triplane_cnn import triplane_cnn
from jaxcmr.encoders.views import multi_view

ENCODERS: dict[str, Callable[..., Encoder]] = {
    "mnist_cnn": mnist_cnn,
    "compact_cnn": compact_cnn,
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "efficientnet_lite0": efficientnet_lite0,
    "pointnet": pointnet,
    "triplane_cnn": triplane_cnn,
    "dgcnn": dgcnn,
    "meshnet": meshnet,
    "feature_mlp": feature_mlp,
    "fc": fc,
}

__all__ = [
    "AUGMENTATIONS",
    "ENCODERS",
    "IMAGE_AUGMENTATIONS",
    "Backbone",
    "Encoder",
    "builder",
    "from_module",
    "head",
    "multi_view",
    *ENCODERS,
]
