"""One tower as a program of its own: StableHLO for several platforms, its parameters inside."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxcmr import packages
from jaxcmr.data.preparation import Recipe
from jaxcmr.encoders.platform import for_any
from jaxcmr.errors import UsageError
from jaxcmr.model import Model
from jaxcmr.types import Items

PLATFORMS = ("cpu", "cuda", "tpu")
MAX_BYTES = 2**31 - 2**20  # of a program: offsets in its file have 32 bits
CHECKED_ROWS = 3
# What a number of an embedding may differ by from the model's, which may round in another order.
TOLERANCE = {"float32": 1e-5, "tensorfloat32": 2e-3, "bfloat16": 2e-2}


class Artifact(NamedTuple):
    """A tower that `jax.export.deserialize` reads.

    Attributes:
        data: what its file holds.
        inputs: of the program, `{name, shape, dtype}` each; the first axis is called "batch".
        outputs: likewise.
        parameter_bytes: of the constants inside it.
        difference: the largest from the embeddings of the model, over rows of noise.
    """

    data: bytes
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    parameter_bytes: int
    difference: float

    @property
    def sha256(self) -> str:
        """Checksum of the file."""
        return hashlib.sha256(self.data).hexdigest()


def make(model: Model, modality: str) -> Artifact:
    """Makes the program of one tower: rows `[batch, ...]` to embeddings and class probabilities.

    It is called with the prepared rows, an array or (of meshes) a dict of arrays, and returns a
    dict: `embeddings [batch, d]` unit rows, and `probabilities [batch, K]` where the method has
    classes. The batch has any size.

    Raises:
        UsageError: the package flatbuffers is missing, the tower has more than 2 GiB of
            parameters, or the program does not compute what the model does.
    """
    packages.load("flatbuffers")
    function, variables = model.tower(modality)

    def tower(rows: Items) -> dict[str, jax.Array]:
        embeddings, probabilities = function(variables, rows)
        named = {"embeddings": embeddings, "probabilities": probabilities}
        return {name: array for name, array in named.items() if array is not None}

    recipe = model.preparation.recipes[modality]
    shapes = _shapes(recipe, jax.export.symbolic_shape("batch")[0])
    with for_any(), _without_places():
        constants = jax.make_jaxpr(tower)(shapes).consts
        parameter_bytes = sum(np.asarray(array).nbytes for array in constants)
        if parameter_bytes > MAX_BYTES:
            raise UsageError(
                f"the tower of {modality!r} has {parameter_bytes >> 20} MB of parameters, but a "
                f"file of one holds at most {MAX_BYTES >> 20}; export a single member with --member"
            )
        exported = jax.export.export(jax.jit(tower), platforms=PLATFORMS)(shapes)
    data = bytes(exported.serialize())
    return Artifact(
        data,
        inputs=_described(modality, shapes),
        outputs=_described("", jax.eval_shape(tower, shapes)),
        parameter_bytes=parameter_bytes,
        difference=_difference(model, modality, recipe, data),
    )


@contextmanager
def _without_places() -> Iterator[None]:
    """Keeps the names of files of this machine out of programs."""
    name = "jax_traceback_in_locations_limit"
    before = getattr(jax.config, name)
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)


def _shapes(recipe: Recipe, batch: Any) -> Any:
    """Returns what rows of a recipe look like, `[batch, ...]`."""
    one = lambda shape, dtype: jax.ShapeDtypeStruct((batch, *shape), dtype)
    if isinstance(recipe.shape, Mapping):
        return {name: one(shape, recipe.dtype[name]) for name, shape in recipe.shape.items()}
    return one(recipe.shape, recipe.dtype)


def _described(name: str, shapes: Any) -> list[dict[str, Any]]:
    """Returns name, shape and dtype of each array; those of a dict have names of their own."""
    named = shapes if isinstance(shapes, Mapping) else {name: shapes}
    return [
        {"name": name, "shape": ["batch", *array.shape[1:]], "dtype": array.dtype.name}
        for name, array in named.items()
    ]


def _difference(model: Model, modality: str, recipe: Recipe, data: bytes) -> float:
    """Returns how far embeddings of rows of noise are from the model's, on the device at hand."""
    rng = np.random.default_rng(0)
    rows = jax.tree.map(lambda leaf: _noise(rng, leaf), _shapes(recipe, CHECKED_ROWS))
    found = jax.export.deserialize(bytearray(data)).call(rows)["embeddings"]
    wanted = model.embed_rows(modality, rows)
    difference = float(np.abs(np.asarray(found) - wanted).max())
    tolerance = TOLERANCE[model.config.train.compute_dtype]
    if not difference <= tolerance:
        raise UsageError(
            f"the program of the tower of {modality!r} gives embeddings that differ by "
            f"{difference:.2g} from those of the model, more than {tolerance:.2g}; nothing is "
            "written: report this with the config of the run"
        )
    return difference


def _noise(rng: np.random.Generator, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    """Returns values that an array of this type may have; indices are those of the first face."""
    if leaf.dtype == np.uint8:
        return rng.integers(0, 256, leaf.shape, np.uint8)
    if leaf.dtype.kind == "f":
        return rng.uniform(0, 1, leaf.shape).astype(leaf.dtype)
    return np.full(leaf.shape, leaf.dtype == bool, leaf.dtype)
