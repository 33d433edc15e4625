"""The towers of a trained run, ready for new items."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr.data.formats.textfiles import read_text
from jaxcmr.data.preparation import Preparation
from jaxcmr.display import listed
from jaxcmr.errors import UsageError
from jaxcmr.index import Index
from jaxcmr.methods import Method
from jaxcmr.numerics import unit_rows
from jaxcmr.storage.paths import expanded
from jaxcmr.types import Items, Outputs, axis_order

# Batches are filled up to one of these sizes: a tower is compiled once for each.
BUCKETS = (1, 4, 16, 64, 256)
READ_AT_ONCE = 4096  # raw items whose rows are in memory together

Tower = Callable[[Any, Items], tuple[jax.Array, jax.Array | None]]


class Model:
    """A trained run: embeds and classifies items of any of its modalities. Made by `load`.

    Attributes:
        workdir: folder of the run.
        checkpoint: "best" or "last", the epoch of the weights.
        config: of its last stage.
        preparation: how a raw item becomes a row.
        fingerprint: 16 hex digits that change with all that an embedding depends on.
        modalities: their names.
        class_names: `K` names, `cluster 1` and so on where the run has had no labels; none where
            its method has no classes either.
        members: how many members embed together, E.
        size: of an embedding, E d: the members' unit embeddings lie one after the other, so that a
            cosine similarity is the mean of the members' cosine similarities.
    """

    def __init__(
        self,
        *,
        workdir: Path,
        config: ConfigDict,
        method: Method,
        numbers: Mapping[str, jax.Array],
        variables: Any,
        preparation: Preparation,
        fingerprint: str,
        checkpoint: str = "best",
    ):
        self.checkpoint = checkpoint
        self.workdir, self.config, self.preparation = workdir, config, preparation
        self.fingerprint = fingerprint
        self.modalities: tuple[str, ...] = tuple(preparation.recipes)
        self.members = len(jax.tree.leaves(variables)[0])
        self.size = self.members * config.encoders.embedding_size
        self._variables = jax.tree.map(jnp.asarray, variables)
        self._apply = partial(_apply, method, dict(numbers), axis_order(self.modalities))
        self._towers = {name: jax.jit(partial(self._apply, name)) for name in self.modalities}
        self.class_names = tuple(preparation.class_names)
        if config.labels == "absent":  # the network's classes are clusters, which no label names
            self.class_names = tuple(f"cluster {k + 1}" for k in range(self._classes()))

    def __repr__(self) -> str:
        names = ", ".join(self.modalities)
        return f"<model of {names} in {self.workdir}: members {self.members}, size {self.size}>"

    def embed(self, /, **items: Iterable[Any]) -> np.ndarray:
        """Embed items of one modality: `model.embed(image=["one.png", "two.png"])`.

        An item takes exactly the way of a training item.

        Args:
            **items: one modality and N items: paths, PIL images or arrays; for a text, a string is
                the text itself and a `Path` its file.

        Returns:
            `[N, size]` float32 unit rows; zeros for a text that has no known word (logged).

        Raises:
            UsageError: the modality is not one of the run's, or an item cannot be read.
        """
        modality, raw = self._only(items)
        return self._by_parts(modality, raw, self.embed_rows)

    def classify(self, /, **items: Iterable[Any]) -> np.ndarray:
        """Predict class probabilities of items of one modality, the mean over members.

        They are those of the network, not calibrated: `launch/audit.py` judges labels by calibrated
        ones. Of a text without any known word all classes are equally likely.

        Args:
            **items: as for `embed`.

        Returns:
            `[N, K]` float32, columns as `class_names`.

        Raises:
            UsageError: as `embed`; or the method of the run has no classes.
        """
        modality, raw = self._only(items)
        found = self._by_parts(modality, raw, self.classify_rows)
        found[~found.any(1)] = 1 / found.shape[1]
        return found

    def embed_rows(self, modality: str, rows: Items) -> np.ndarray:
        """Embed prepared rows `[N, ...]` of one modality; returns `[N, size]` unit rows."""
        return self._computed(modality, rows)[0]

    def classify_rows(self, modality: str, rows: Items) -> np.ndarray:
        """Predict class probabilities `[N, K]` of prepared rows `[N, ...]` of one modality."""
        probabilities = self._computed(modality, rows)[1]
        if probabilities is None:
            raise UsageError(
                f"the method {self.config.method.name!r} of {self.workdir} has no classes; "
                "classify by a run of another method"
            )
        return probabilities

    def index(
        self,
        items: Sequence[Any],
        modality: str,
        ids: Sequence[str] | None = None,
        metadata: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | None = None,
        sources: Sequence[Any] | None = None,
    ) -> Index:
        """Embed items of one modality into an index that can be searched, saved and added to.

        Args:
            items: N raw items, as for `embed`.
            modality: theirs.
            ids, metadata, sources: as for `Index.add`; without sources, those of items that are
                paths or texts are these paths, written whole, and texts.

        Raises:
            UsageError: as `embed` and `Index.add`.

        Example:
            >>> index = model.index(["one.png", "two.png"], "image", ids=["one", "two"])
            >>> index.search(model.embed(text=["a red mug"]), k=1).ids
            [['two']]
        """
        embeddings = self.embed(**{modality: items})
        if sources is None:
            kind = self.preparation.recipes[modality].kind
            sources = [_source(one, kind) for one in items]
        index = Index(self.size, self.fingerprint)
        index.add(embeddings, modality=modality, ids=ids, metadata=metadata, sources=sources)
        return index

    def tower(self, modality: str) -> tuple[Tower, Any]:
        """Return a tower as `(function, variables)`, for a program of one's own.

        `function(variables, rows) -> (embeddings [B, size], probabilities [B, K] or None)` is pure
        and takes a batch of any size B.
        """
        self._check(modality)
        return partial(self._apply, modality), self._variables

    def _classes(self) -> int:
        """Returns how many classes the network has, without computing anything."""
        name = self.modalities[0]
        recipe = self.preparation.recipes[name]
        one = lambda shape, dtype: jax.ShapeDtypeStruct((1, *shape), dtype)
        rows = jax.tree.map(one, recipe.shape, recipe.dtype, is_leaf=lambda x: type(x) is tuple)
        probabilities = jax.eval_shape(partial(self._apply, name), self._variables, rows)[1]
        return 0 if probabilities is None else probabilities.shape[1]

    def _only(self, items: Mapping[str, Sequence[Any]]) -> tuple[str, Sequence[Any]]:
        if len(items) != 1:
            raise UsageError(
                f"items of {len(items)} modalities are given; give those of one, as in "
                f"embed({self.modalities[0]}=[...])"
            )
        [(modality, raw)] = items.items()
        self._check(modality)
        one = isinstance(raw, str | bytes | os.PathLike | Mapping | Set)
        if one or not hasattr(raw, "__len__") or getattr(raw, "ndim", 1) == 0:
            raise UsageError(f"{modality} is one {type(raw).__name__}; give a list of items")
        return modality, raw if isinstance(raw, list | tuple | np.ndarray) else list(raw)

    def _check(self, modality: str) -> None:
        if modality not in self.modalities:
            raise UsageError(
                f"the run in {self.workdir} has no modality {modality!r}, only "
                f"{', '.join(self.modalities)}"
            )

    def _by_parts(self, modality: str, raw: Sequence[Any], compute: Callable) -> np.ndarray:
        """Prepares and computes some thousand items at a time; rows of unknown ones are zeros."""
        firsts = range(0, max(len(raw), 1), READ_AT_ONCE)
        return np.concatenate([self._part(modality, raw, first, compute) for first in firsts])

    def _part(self, modality: str, raw: Sequence[Any], first: int, compute: Callable) -> np.ndarray:
        part = raw[first : first + READ_AT_ONCE]
        rows, known = self.preparation.rows(modality, part)
        if not known.all():
            unknown = [str(first + place) for place in np.flatnonzero(~known)]
            logging.warning(
                "%d of %d items of %r have no word that the training texts have (items %s): "
                "nothing is known of them",
                len(unknown), len(raw), modality, listed(unknown),
            )  # fmt: skip
        found = compute(modality, rows)
        found[~known] = 0.0
        return found

    def _computed(self, modality: str, rows: Items) -> tuple[np.ndarray, np.ndarray | None]:
        """Computes embeddings and probabilities of prepared rows, batch by batch."""
        self._check(modality)
        count = len(jax.tree.leaves(rows)[0])
        if not count:
            raise UsageError(f"no item of {modality!r} is given; give at least one")
        tower = partial(self._towers[modality], self._variables)
        outputs = [_of_batch(tower, rows, first) for first in range(0, count, BUCKETS[-1])]
        found = jax.tree.map(lambda *leaves: np.concatenate(leaves), *outputs)
        bad = ~np.isfinite(found[0]).all(1)
        if bad.any():
            raise UsageError(
                f"the embeddings of {int(bad.sum())} of {count} items of {modality!r} are not "
                f"finite (the first: {int(bad.argmax())}); check the values of this item, or train "
                "with a lower config.optimizer.learning_rate"
            )
        return found


def _source(raw: Any, kind: str) -> str | None:
    """Returns where a raw item is found: its words, the whole path of its file, or nowhere."""
    if kind == "text":
        return raw if isinstance(raw, str) else read_text(expanded(raw))
    if isinstance(raw, str | os.PathLike):
        return str(expanded(raw).absolute())  # an index is read in other folders, too
    return None


def _of_batch(tower: Callable[[Items], Any], rows: Items, first: int) -> Any:
    """Computes the rows from `first` on, as many as one batch takes, filled up with zeros."""
    part = jax.tree.map(lambda leaf: np.asarray(leaf[first : first + BUCKETS[-1]]), rows)
    count = len(jax.tree.leaves(part)[0])
    more = next(bucket for bucket in BUCKETS if bucket >= count) - count
    fill = lambda leaf: np.pad(leaf, [(0, more)] + [(0, 0)] * (leaf.ndim - 1))
    found = jax.device_get(tower(jax.tree.map(fill, part)))
    return jax.tree.map(lambda leaf: leaf[:count], found)


def _apply(
    method: Method, numbers: Mapping[str, jax.Array], modalities: tuple[str, ...], modality: str,
    variables: Any, rows: Items,
) -> tuple[jax.Array, jax.Array | None]:  # fmt: skip
    """Computes unit embeddings `[B, E d]` and class probabilities `[B, K]` of one modality.

    The towers of the others have no items, and compute nothing.
    """
    place = modalities.index(modality)

    def member(variables: Any) -> Outputs:
        outputs, _ = method.apply(variables, {modality: rows}, numbers, key=None, train=False)
        return outputs.replace(centers=None)

    with jax.default_matmul_precision("float32"):  # as in training
        outputs = jax.vmap(member)(variables)
    units = unit_rows(outputs.embeddings[:, place]) / jnp.sqrt(jnp.float32(len(outputs.embeddings)))
    # Some programs of users let JAX compute with 64 bits.
    embeddings = jnp.moveaxis(units, 0, 1).reshape(units.shape[1], -1).astype(jnp.float32)
    if outputs.logits is None:
        return embeddings, None
    return embeddings, jax.nn.softmax(outputs.logits[:, place]).mean(0).astype(jnp.float32)
