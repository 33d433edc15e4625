"""The types that travel between the parts of the library."""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import flax.struct
import jax
import numpy as np

from jaxcmr.storage import lazy

__all__ = ["UNKNOWN", "Batch", "Dataset", "Items", "Outputs", "Splits", "axis_order"]

# One modality's items: an array [N, ...], or a dict of arrays that share their first axis
# (a mesh is centers, corners, normals, neighbors and mask). An array may be a `lazy.LazyRows`.
Items = Any


UNKNOWN = -2  # a true label that nobody knows


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Paired items on the host: row i of every modality shows the same thing.

    Attributes:
        inputs: modality name -> items `[N, ...]` (numpy; a dict of arrays for a mesh).
        labels: `[N]` int32, as given, possibly wrong, -1 where there is none; or `[N, V]`, a column
            a modality, where each has labels of its own.
        true_labels: `[N]` int32, -1 for an item of none of the classes, `UNKNOWN` where nobody
            knows it; or None if all are unknown. Used only by reports and the final evaluation; no
            training step uses them.
        ids: `[N]` stable strings, one an item.
        class_names: `K` names; a label k is `class_names[k]`.
        provenance: where the data came from: `source` ("files", "download", "stand-in"), `name`,
            `path`, `sha256`, ... JSON-serialisable.
        present: modality name -> `[N]` bool, False where the item of this modality is missing;
            a modality that is complete may be left out.
        links: what rows have in common (a file, a text, a `group`): its name -> `[N]` whole
            numbers, the same for rows that share it, -1 for none; the most binding first.
    """

    inputs: Mapping[str, Items]
    labels: np.ndarray
    true_labels: np.ndarray | None
    ids: np.ndarray
    class_names: tuple[str, ...]
    provenance: Mapping[str, Any]
    present: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    links: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modality names, in the order in which results name them."""
        return tuple(self.inputs)

    def rows(self, index: np.ndarray) -> "Dataset":
        """Returns the data set made of the rows `index`, in that order."""
        take = lambda array: lazy.select(array, index)
        return dataclasses.replace(
            self,
            inputs=jax.tree.map(take, dict(self.inputs)),
            labels=self.labels[index],
            true_labels=None if self.true_labels is None else self.true_labels[index],
            ids=self.ids[index],
            present={name: mask[index] for name, mask in self.present.items()},
            links={name: column[index] for name, column in self.links.items()},
        )

    def only(self, modalities: Collection[str]) -> "Dataset":
        """Returns the same rows with only these modalities; labels must be shared, `[N]`."""
        chosen = lambda fields: {k: value for k, value in fields.items() if k in modalities}
        return dataclasses.replace(self, inputs=chosen(self.inputs), present=chosen(self.present))

    def labels_of(self, modality: str) -> np.ndarray:
        """Returns the labels `[N]` as given to one modality."""
        if self.labels.ndim == 1:
            return self.labels
        return self.labels[:, self.modalities.index(modality)]

    def with_labels(self, labels: np.ndarray) -> "Dataset":
        """Returns the same items with other labels as given."""
        return dataclasses.replace(self, labels=labels)


@dataclasses.dataclass(frozen=True)
class Splits:
    """What a source delivers: the training set and the test set, over the same classes.

    `validation` is None unless the source has an official one; otherwise a part of the training
    set is held out, after the noise, so that it carries the same noise. `preparation`
    (`data.preparation.Preparation`) makes such rows of raw items; `data.load` always sets it.
    """

    train: Dataset
    test: Dataset
    validation: Dataset | None = None
    preparation: Any = None


def axis_order(names: Collection[str]) -> tuple[str, ...]:
    """Returns the modalities in the order in which arrays `[V, ...]` hold them: alphabetical."""
    return tuple(sorted(names))


@flax.struct.dataclass
class Batch:
    """One batch of paired items on the device; the modalities V are in `axis_order`.

    Attributes:
        inputs: modality name -> items `[B, ...]`.
        labels: `[V, B]` int32, as given to each modality; -1 where there is none.
        present: `[V, B]` bool, False where the item of this modality is missing.
        index: `[B]` int32, the row in the training set.
        mask: `[B]` bool, False for rows that only fill the batch up.
        group: `[B]` int32, the first row of the training set that this row is linked to, perhaps
            itself (`Dataset.links`); None where no rows are linked.
    """

    inputs: Mapping[str, Items]
    labels: jax.Array
    present: jax.Array
    index: jax.Array
    mask: jax.Array
    group: jax.Array | None = None

    def map_rows(self, change: Callable[[Any, int], Any]) -> "Batch":
        """Applies `change(array, axis)` to each array; `axis` is the one that counts rows."""
        first, second = (lambda array: change(array, 0)), (lambda array: change(array, 1))
        return Batch(
            inputs=jax.tree.map(first, dict(self.inputs)),
            labels=second(self.labels),
            present=second(self.present),
            index=first(self.index),
            mask=first(self.mask),
            group=None if self.group is None else first(self.group),
        )


@flax.struct.dataclass
class Outputs:
    """What one member computes from one batch; stacked over members, all have a leading E.

    Attributes:
        embeddings: `[V, B, d]`, not normalised; `[V, C B, d]` with C copies of each item.
        logits: `[V, B, K]`, or None if there is no classifier.
        centers: learned class centers, `[K, d]` or `[V, K, d]`; None if there are none.
    """

    embeddings: jax.Array
    logits: jax.Array | None = None
    centers: jax.Array | None = None
