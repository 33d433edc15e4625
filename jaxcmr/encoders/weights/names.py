"""The names of published weights, network by network."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

LEAVES = {
    ("params", "kernel"): "weight",
    ("params", "scale"): "weight",
    ("params", "bias"): "bias",
    ("batch_stats", "mean"): "running_mean",
    ("batch_stats", "var"): "running_var",
}
# Our modules' names, joined by dots, against theirs: patterns, tried in order; none keeps a name.
RESNET = (
    (r"^(layer\d)_(\d+)\.", r"\1.\2."),
    (r"downsample_conv$", "downsample.0"),
    (r"downsample_bn$", "downsample.1"),
)
DGCNN = (
    (r"^conv(\d)\.bn$", r"conv\1.1"),
    (r"^bn(\d)$", r"conv\1.1"),
    (r"^conv(\d)$", r"conv\1.0"),
)
EFFICIENTNET_LITE = (
    (r"^(stem|head)_conv$", r"_conv_\1"),
    (r"^stem_bn$", "_bn0"),
    (r"^head_bn$", "_bn1"),
    (r"^block(\d+)\.", r"_blocks.\1."),
    (r"\.(expand|project|depthwise)_conv$", r"._\1_conv"),
    (r"\.expand_bn$", "._bn0"),
    (r"\.depthwise_bn$", "._bn1"),
    (r"\.project_bn$", "._bn2"),
)


class NameMap(NamedTuple):
    """How the weights of a published network are called there.

    Attributes:
        patterns: rules `(pattern, replacement)`, applied one after the other to the path of our
            module, joined by dots.
        kept: our modules that keep their initial weights.
        ignored: beginnings of names in the file that nothing here takes (a classifier).
        stem: name in the file of the kernel that reads the image; its colours are summed for an
            encoder of grey images.
        folded: biases in the file that ours lacks, because a batch norm follows and cancels any
            constant: name of the bias -> name of that norm's running mean, from which it is
            subtracted. The network computes the same.
    """

    patterns: tuple[tuple[str, str], ...] = ()
    kept: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    stem: str | None = None
    folded: Mapping[str, str] = MappingProxyType({})

    def source(self, path: tuple[str, ...]) -> str | None:
        """Returns the name in the file of a weight; None if it keeps its initial value.

        Args:
            path: of the weight in `variables`, such as `("params", "conv1", "kernel")`.
        """
        collection, *modules, leaf = path
        if modules[0] in self.kept:
            return None
        name = ".".join(modules)
        for pattern, replacement in self.patterns:
            name = re.sub(pattern, replacement, name)
        return f"{name}.{LEAVES[collection, leaf]}"


# What a config may name. An encoder's embedding layer is not part of ImageNet's or ModelNet's
# classifiers: it keeps its initial weights, unless the network was published with its own.
NAMES = {
    # torchvision and timm: resnet18, resnet34, resnet50.
    "resnet": NameMap(RESNET, kept=("fc", "bn_fc"), ignored=("fc.",), stem="conv1.weight"),
    # RoMo's and RONO's networks, whose last layers are fc and bn_fc.
    "resnet_embedding": NameMap(
        RESNET, stem="conv1.weight", folded={"fc.bias": "bn_fc.running_mean"}
    ),
    # The authors' ModelNet40 classifiers, with pooled=1024: up to the pooling.
    "dgcnn": NameMap(DGCNN, kept=("linear1", "bn_linear1"), ignored=("bn", "linear")),
    # RoMo's network, whose last layers are linear1 and bn1.
    "dgcnn_embedding": NameMap((*DGCNN, (r"^bn_linear1$", "bn1")), ignored=("bn",)),
    # The same authors' PointNet classifier, pointnet(widths=(64, 64, 64, 128, 1024)): up to the
    # pooling.
    "pointnet": NameMap(kept=("linear1",), ignored=("linear", "bn6")),
    # RoMo's network, which ends in linear1.
    "pointnet_embedding": NameMap(),
    # EfficientNet-Lite as ported from TensorFlow's checkpoints.
    "efficientnet_lite": NameMap(
        EFFICIENTNET_LITE, kept=("fc", "bn_fc"), ignored=("_fc.",), stem="_conv_stem.weight"
    ),
}
