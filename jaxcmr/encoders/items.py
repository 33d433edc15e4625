"""Checks that the encoders take the items of their modalities and embed in the common size."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr.config.fields import ENCODERS
from jaxcmr.errors import UsageError
from jaxcmr.types import Items

SHAPES = {
    "images": "pictures [N, H, W, C], or views of them [N, V, H, W, C]",
    "points": "clouds [N, P, 3]",
    "faces": "meshes",
    "vectors": "vectors [N, D]",
}


def check_items(config: ConfigDict, inputs: Mapping[str, Items]) -> None:
    """Finds an encoder that does not take the items of its modality.

    Args:
        config: the section `encoders`.
        inputs: modality -> a few items.

    Raises:
        UsageError: for the first such encoder.
    """
    for modality, items in inputs.items():
        section, kind = config[modality], kind_of(items)
        takes = ENCODERS[section.name][0]
        if kind != takes:
            found = SHAPES.get(kind, "something else")
            found += "" if kind == "faces" else f", here {_shape(items)}"
            others = [name for name, (wanted, _) in ENCODERS.items() if wanted == kind]
            raise UsageError(
                f"config.encoders.{modality}.name is {section.name!r}, which takes "
                f"{SHAPES[takes]}, but the items of {modality!r} are {found}; choose from "
                f"{', '.join(others) or 'none'}"
            )
        if kind == "images":
            _check_pictures(modality, section, items)


def _check_pictures(modality: str, section: ConfigDict, items: jax.Array) -> None:
    if (items.ndim == 5) != (section.views > 0):
        advice = "how many views a step sees" if items.ndim == 5 else "0"
        raise UsageError(
            f"config.encoders.{modality}.views is {section.views}, but the items are of the shape "
            f"{_shape(items)}; set it to {advice}"
        )
    side = min(items.shape[-3:-1] if items.ndim > 3 else items.shape[1:])
    padding = section.augment.get("crop_images", 0)
    if padding >= side:
        raise UsageError(
            f"config.encoders.{modality}.augment.crop_images is {padding}, but the pictures have "
            f"{side} pixels; lower it"
        )


def _shape(items: jax.Array) -> str:
    return f"[N, {', '.join(map(str, items.shape[1:]))}]"


def kind_of(items: Items) -> str:
    """Returns what items `[N, ...]` are, a key of `SHAPES`, or "" if they are none of these."""
    if isinstance(items, Mapping):
        return "faces"
    if items.ndim == 3:
        cloud = items.shape[-1] == 3 and jnp.issubdtype(items.dtype, jnp.floating)
        return "points" if cloud else "images"
    return {2: "vectors", 4: "images", 5: "images"}.get(items.ndim, "")


def check_embeddings(sizes: Mapping[str, jax.ShapeDtypeStruct], wanted: int) -> None:
    """Finds an encoder whose embeddings are not of the common size, as without a last layer.

    Args:
        sizes: modality -> embeddings `[B, d]`.
        wanted: `config.encoders.embedding_size`.

    Raises:
        UsageError: for the first such encoder.
    """
    for modality, embeddings in sizes.items():
        if embeddings.shape[-1] != wanted:
            raise UsageError(
                f"the encoder of {modality!r} gives {embeddings.shape[-1]} numbers an item, but "
                f"config.encoders.embedding_size is {wanted}; set it to {embeddings.shape[-1]}, or "
                "give the encoder a last layer (its option head)"
            )
