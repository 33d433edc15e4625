"""What stands in `model.json`: all that a program needs to use the towers, and how to load them."""

from typing import Any

import jax

import jaxcmr
from jaxcmr.data.items import texts
from jaxcmr.data.preparation import Recipe
from jaxcmr.data.preparation.store import to_json
from jaxcmr.exporting.artifact import PLATFORMS, Artifact
from jaxcmr.exporting.words import steps
from jaxcmr.model import Model

FORMAT, VERSION = "jaxcmr towers", 1
LOAD = (
    "import jax, json, pathlib",
    "from jax import export  # needs the packages jax and flatbuffers alone",
    "folder = pathlib.Path('.')",
    "model = json.loads((folder / 'model.json').read_text())",
    "tower = model['towers'][MODALITY]",
    "program = export.deserialize(bytearray((folder / tower['file']).read_bytes()))",
    "call = jax.jit(program.call)  # compiled once for each size of a batch: keep to a few sizes",
    "outputs = call(rows)  # an array [batch, ...], of several inputs a dict of them by name",
    "outputs['embeddings'], outputs.get('probabilities')",
)
OUTPUTS = {
    "embeddings": "rows of length 1: a product of two is their cosine similarity; embeddings of "
    "all towers are comparable, those of another fingerprint are not",
    "probabilities": "of class_names, in their order; those of the network, not calibrated",
}
COMPUTED = {
    "convolutions": "stablehlo.convolution, one for each member, on every platform: not the forms "
    "in which training is fast on one of them",
    "batch": "any size from 1 on, in one piece; neighbor graphs of clouds are found cloud by cloud",
}


def describe(
    model: Model, checkpoint: str, member: int | None, towers: dict[str, tuple[str, Artifact]]
) -> dict[str, Any]:
    """Returns the description of towers as plain JSON.

    Args:
        model: whose they are.
        checkpoint: "best" or "last".
        member: the one that was taken; None: all.
        towers: modality -> name of the file, and what it holds.
    """
    recipes = to_json(model.preparation.only(towers))["recipes"]
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_by": {"jaxcmr": jaxcmr.__version__, "jax": jax.__version__},
        "fingerprint": model.fingerprint,
        "checkpoint": checkpoint,
        "method": model.config.method.name,
        "member": member,
        "members": model.members,
        "embedding_size": model.size,
        "class_names": list(model.class_names),
        "load": list(LOAD),
        "computed": {"dtype": model.config.train.compute_dtype, **COMPUTED},
        "towers": {
            name: {
                **_file(file, artifact),
                "preparation": _preparation(model.preparation.recipes[name], recipes[name]),
            }
            for name, (file, artifact) in towers.items()
        },
    }


def _file(name: str, artifact: Artifact) -> dict[str, Any]:
    return {
        "file": name,
        "bytes": len(artifact.data),
        "sha256": artifact.sha256,
        "parameter_bytes": artifact.parameter_bytes,
        "platforms": list(PLATFORMS),
        "inputs": artifact.inputs,
        "outputs": [one | {"meaning": OUTPUTS[one["name"]]} for one in artifact.outputs],
        "largest_difference_from_the_model": artifact.difference,
    }


def _preparation(recipe: Recipe, plain: dict[str, Any]) -> dict[str, Any]:
    """Returns how a raw item becomes a row: in words, and with all numbers."""
    found = {"kind": recipe.kind, "takes": recipe.takes(), "steps": steps(recipe), "recipe": plain}
    if recipe.kind == "text":
        found["token_pattern"] = texts.pattern().pattern
    return found
