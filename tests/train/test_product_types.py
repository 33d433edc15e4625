"""What accelerators multiply: bfloat16 in the towers where it is chosen, float32 elsewhere."""

import itertools
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
# Types and precision of what a tower multiplies.
TOWERS = {
    "float32": {"f32 x f32 HIGHEST"},
    "tensorfloat32": {"f32 x f32 HIGH"},
    "bfloat16": {"bf16 x bf16 HIGHEST"},  # products of such numbers are exact, sums float32
}


@pytest.mark.parametrize("compute_dtype", TOWERS)
@pytest.mark.parametrize("name, kept", CONFIGS)
def test_towers_multiply_as_chosen_and_the_rest_float32(name, kept, compute_dtype):
    found = products(name, compute_dtype)
    assert set(found) == {"towers", "outside", *kept}
    assert set(found.pop("towers")) == TOWERS[compute_dtype]
    for counts in found.values():
        assert set(counts) == {"f32 x f32 HIGHEST"}


def products(name: str, compute_dtype: str) -> dict[str, Counter]:
    """Counts the products of a config's last step and its evaluation by types and precision.

    Returns:
        Counts of those in "towers", "outside", and of each function of `FLOAT32`.
    """
    config = lowering.load(name)
    config.train.compute_dtype = compute_dtype
    stage = stages.plan(config, Path("nowhere"))[-1]
    with lowering.accelerator("tpu"):
        traced = dict(lowering.programs(stage))
    run = (lowering.executed(traced[program], "tpu") for program in ("step", "predict"))
    found = defaultdict(Counter)
    for op, calls in itertools.chain(*run):
        if lowering.COUNTED.get(op.name) in ("conv", "dot"):
            types = " x ".join(str(operand.type.element_type) for operand in op.operands)
            (precision,) = set(re.findall(r"[A-Z]+", str(op.attributes["precision_config"])))
            found[_where(op, calls)][f"{types} {precision}"] += 1
    return dict(found)


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
