"""One tower a modality: choice of views, augmentation, encoder."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from jaxcmr.encoders import AUGMENTATIONS, ENCODERS, IMAGE_AUGMENTATIONS, Encoder, multi_view
from jaxcmr.encoders.efficientnet_lite import efficientnet_lite0_weights
from jaxcmr.encoders.image import as_images
from jaxcmr.encoders.items import check_embeddings
from jaxcmr.encoders.weights.files import read_weights
from jaxcmr.encoders.weights.load import pretrained
from jaxcmr.encoders.weights.names import NAMES
from jaxcmr.errors import UsageError
from jaxcmr.types import Items, Outputs, axis_order

# The names used in a file of published weights, unless the config chooses others.
PUBLISHED_NAMES = {
    "resnet18": "resnet",
    "resnet34": "resnet",
    "resnet50": "resnet",
    "efficientnet_lite0": "efficientnet_lite",
    "dgcnn": "dgcnn",
    "pointnet": "pointnet",
}

# The options of an encoder for the dtype of its arrays, and the precision of its float32 products.
# "tensorfloat32" rounds their factors to 11 bits on a GPU; a TPU multiplies in three passes of
# bfloat16; a CPU does not round.
COMPUTED = {
    "float32": ({}, "float32"),
    "tensorfloat32": ({}, "tensorfloat32"),
    "bfloat16": ({"dtype": jnp.bfloat16}, "float32"),
}

# What the backward pass of a tower computes again: nothing, all but its matrix products, all.
RECOMPUTED = {"none": None, "products": jax.checkpoint_policies.dots_saveable, "towers": None}


def bare(config: ConfigDict) -> Encoder:
    """Builds the towers of `config.data.modalities` as one encoder, without any classifier.

    Its two functions are called as `Method.init` and `Method.apply`; there are no logits. The
    embeddings of a modality that `apply` is given no items of are zeros.

    Parameters and batch statistics are grouped by modality.
    """
    size, train = config.encoders.embedding_size, config.train
    computed = (train.compute_dtype, train.remat)
    parts = {n: tower(config.encoders[n], size, *computed) for n in config.data.modalities}

    def init(key: jax.Array, inputs: Mapping[str, Items], num_classes: int):
        keys = dict(zip(parts, jax.random.split(key, len(parts) + 1)))  # the last: a classifier's
        return _by_collection({name: parts[name].init(keys[name], inputs[name]) for name in parts})

    def apply(variables, inputs: Mapping[str, Items], hp, *, key: jax.Array | None, train: bool):
        state = {name: parts for name, parts in variables.items() if name != "params"}
        embeddings, states = {}, {}
        rows = jax.tree.leaves(inputs)[0].shape[0]  # may be symbolic
        for number, (name, part) in enumerate(parts.items()):
            if name not in inputs:
                embeddings[name], states[name] = jnp.zeros((rows, size)), _of(state, name)
                continue
            part_key = None if key is None else jax.random.fold_in(key, number)
            embeddings[name], states[name] = part.apply(
                _of(variables, name), inputs[name], train=train, key=part_key
            )
        check_embeddings(embeddings, size)
        stacked = jnp.stack([embeddings[name] for name in axis_order(parts)])
        return Outputs(stacked), _by_collection(states)

    return Encoder(init, apply)


def with_group(variables, group: str, params: Any) -> dict[str, Any]:
    """Returns variables with one more group of parameters."""
    return {**variables, "params": {**variables["params"], group: params}}


def tower(
    config: ConfigDict, embedding_size: int, compute_dtype: str = "float32", remat: str = "none"
) -> Encoder:
    """Builds the encoder of one modality from its config (`jaxcmr.config.encoder`).

    Args:
        config: of the encoder.
        embedding_size: d.
        compute_dtype: a key of `COMPUTED`, of its products; parameters, statistics and embeddings
            are float32, and so are classifiers, losses and votes.
        remat: a key of `RECOMPUTED`: what training keeps of the tower for the backward pass.
    """
    if config.name not in ENCODERS:
        raise UsageError(f"there is no encoder {config.name!r}; choose from {', '.join(ENCODERS)}")
    options = config.options.get(config.name, {})
    dtype, precision = COMPUTED[compute_dtype]
    encoder = ENCODERS[config.name](embedding_size=embedding_size, **dtype, **options)
    if config.pretrained:
        encoder = _pretrained(encoder, config)
    encoder = _at_precision(encoder, precision)
    encoder = _few_views(_augmented(encoder, config.augment.to_dict()), config.views)
    return encoder if remat == "none" else _recomputed(encoder, RECOMPUTED[remat])


def _at_precision(encoder: Encoder, precision: str) -> Encoder:
    """Applies the encoder at a precision of float32 products, in the names of JAX."""

    def apply(variables, items: Items, *, train: bool, key: jax.Array | None = None):
        with jax.default_matmul_precision(precision):
            return encoder.apply(variables, items, train=train, key=key)

    return Encoder(encoder.init, apply)


def _recomputed(encoder: Encoder, policy: Callable[..., Any] | None) -> Encoder:
    """Computes the tower a second time in the backward pass instead of keeping what it computed."""

    @partial(jax.checkpoint, policy=policy)
    def forward(variables, items: Items, key: jax.Array | None):
        return encoder.apply(variables, items, train=True, key=key)

    def apply(variables, items: Items, *, train: bool, key: jax.Array | None = None):
        if train:
            return forward(variables, items, key)
        return encoder.apply(variables, items, train=False, key=key)

    return Encoder(encoder.init, apply)


def _pretrained(encoder: Encoder, config: ConfigDict) -> Encoder:
    """Starts the encoder from published weights; reads them now, so that mistakes appear early."""
    names = config.pretrained_names or PUBLISHED_NAMES.get(config.name, "")
    if names not in NAMES:
        raise UsageError(
            f"no names of published weights are known for the encoder {config.name!r}; "
            f"choose config.encoders.<modality>.pretrained_names from {', '.join(NAMES)}"
        )
    package = config.pretrained == "package" and config.name == "efficientnet_lite0"
    weights = read_weights(efficientnet_lite0_weights() if package else config.pretrained)

    def init(key: jax.Array, inputs: Items):
        return pretrained(encoder.init(key, inputs), weights, NAMES[names])

    return Encoder(init, encoder.apply)


def _augmented(encoder: Encoder, strengths: Mapping[str, float]) -> Encoder:
    """Augments what the encoder sees in training, in the order in which the config names them."""
    if not strengths:
        return encoder
    unknown = set(strengths) - set(AUGMENTATIONS)
    if unknown:
        raise UsageError(
            f"there is no augmentation {unknown.pop()!r}; choose from {', '.join(AUGMENTATIONS)}"
        )

    def apply(variables, items: Items, *, train: bool, key: jax.Array | None = None):
        if train:
            keys = jax.random.split(key, len(strengths) + 1)
            if any(name in IMAGE_AUGMENTATIONS for name in strengths):
                items = as_images(items, jnp.float32)
            for draw, (name, strength) in zip(keys[1:], strengths.items()):
                items = AUGMENTATIONS[name](draw, items, strength)
            key = keys[0]
        return encoder.apply(variables, items, train=train, key=key)

    return Encoder(encoder.init, apply)


def _few_views(encoder: Encoder, count: int) -> Encoder:
    """Gives the encoder `count` random views of an item in training, and all views otherwise."""
    if count == 0:
        return encoder
    encoder = multi_view(encoder)

    def draw(images: jax.Array, key: jax.Array) -> jax.Array:
        batch, views = images.shape[:2]
        keys = jax.random.split(key, batch)
        chosen = jax.vmap(lambda k: jax.random.permutation(k, views)[:count])(keys)
        return jnp.take_along_axis(images, chosen[:, :, None, None, None], axis=1)

    def init(key: jax.Array, images: jax.Array):
        views = images.shape[1]
        if count > views:
            raise UsageError(
                f"the encoder is to see {count} views, but there are {views} of each item; "
                "raise config.data.views or lower config.encoders.<modality>.views"
            )
        return encoder.init(key, images[:, :count])

    def apply(variables, images: jax.Array, *, train: bool, key: jax.Array | None = None):
        if train:
            view_key, key = jax.random.split(key)
            images = draw(images, view_key)
        return encoder.apply(variables, images, train=train, key=key)

    return Encoder(init, apply)


def _by_collection(variables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Turns `{part: {collection: leaves}}` into `{collection: {part: leaves}}`."""
    collections = sorted({name for part in variables.values() for name in part})
    return {
        name: {part: leaves[name] for part, leaves in variables.items() if name in leaves}
        for name in collections
    }


def _of(variables: Mapping[str, Mapping[str, Any]], part: str) -> dict[str, Any]:
    """Picks one part's variables out of all collections."""
    return {name: parts[part] for name, parts in variables.items() if part in parts}
