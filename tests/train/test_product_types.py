"""What accelerators multiply: bfloat16 in the towers where it is chosen, float32 elsewhere."""

import re
from collections import Counter, defaultdict
from pathlib import Path

import lowering
import pytest

from jaxcmr.encoders.base import Backbone
from jaxcmr.train import stages

# What is float32 in a tower for any `train.compute_dtype`, by the function that multiplies.
FLOAT32 = {
    "nearest": "squared distances of points: small differences of large numbers make the graph",
    "linear_moments": "the moments of batch norm",
    "FaceKernel": "squared distances of unit normals",
}
# ResNet18 and DGCNN; a small CNN and PointNet; three towers, MeshNet among them; fully connected.
CONFIGS = [
    pytest.param("rono_modelnet:paper", {"nearest"}, marks=pytest.mark.slow),
    pytest.param("mmcd_modelnet:three_quick", {"FaceKernel"}, marks=pytest.mark.slow),
    ("rono_mnist3d", {"linear_moments"}),
    ("mmcd_wikipedia", set()),
]


@pytest.mark.parametrize("name, kept", CONFIGS)
def test_towers_multiply_bfloat16_and_the_rest_float32(name, kept):
    found, plain = products(name, "bfloat16"), products(name, "float32")
    assert set(found) == {"towers", "outside", *kept}
    for where, counts in found.items():
        dtype = "bf16" if where == "towers" else "f32"
        assert counts == {f"{kind} {dtype} x {dtype}": n for kind, n in kinds(plain[where]).items()}


def products(name: str, compute_dtype: str) -> dict[str, Counter]:
    """Counts the products of a config's last step by kind and types, "dot f32 x f32".

    Returns:
        Counts of those in "towers", "outside", and of each function of `FLOAT32`.
    """
    config = lowering.load(name)
    config.train.compute_dtype = compute_dtype
    stage = stages.plan(config, Path("nowhere"))[-1]
    with lowering.accelerator("tpu"):
        step = dict(lowering.programs(stage))["step"]
    found = defaultdict(Counter)
    for op, calls in lowering.executed(step, "tpu"):
        kind = lowering.COUNTED.get(op.name)
        if kind in ("conv", "dot"):
            types = " x ".join(str(operand.type.element_type) for operand in op.operands)
            found[_where(op, calls)][f"{kind} {types}"] += 1
    return dict(found)


def kinds(counts: Counter) -> Counter:
    """Sums counts of "dot f32 x f32" by kind."""
    total = Counter()
    for product, count in counts.items():
        total[product.split(" ")[0]] += count
    return total


def _where(op, calls) -> str:
    """Returns where an operation comes from, by the names of modules and functions in the text."""
    names = set(re.findall(r"\w+", " ".join(str(one.location) for one in (*calls, op))))
    inside = "towers" if names & backbones() else "outside"
    return next((function for function in FLOAT32 if function in names), inside)


def backbones() -> set[str]:
    """The names of all classes of towers."""
    found, todo = set(), [Backbone]
    for one in todo:
        found.add(one.__name__)
        todo += one.__subclasses__()
    return found
