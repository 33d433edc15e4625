"""The types that travel between the floors of the library."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import flax.struct
import jax
import numpy as np

from jaxcmr.errors import UsageError
from jaxcmr.storage import lazy

__all__ = ["Batch", "Dataset", "Items", "Outputs", "Splits", "UsageError"]

# One modality's items: an array [N, ...], or a dict of arrays that share their first axis
# (a mesh is centers, corners, normals, neighbors and mask). An array may be a `lazy.LazyRows`.
Items = Any


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Paired items on the host: row i of every modality shows the same thing.

    Attributes:
        inputs: modality name -> items `[N, ...]` (numpy; a dict of arrays for a mesh).
        labels: `[N]` int32, as given, possibly wrong, -1 where there is none; or `[N, V]`, a column
            a modality, where each has labels of its own.
        true_labels: `[N]` int32, or None if nobody knows them. Used by reports and by the final
            evaluation alone; no training step ever sees them.
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
        """Returns the same rows with these modalities alone; labels must be shared, `[N]`."""
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
    set is held out, after the noise, so that it carries the same noise.
    """

    train: Dataset
    test: Dataset
    validation: Dataset | None = None


@flax.struct.dataclass
class Batch:
    """One batch of paired items on the device.

    Attributes:
        inputs: modality name -> items `[B, ...]`.
        labels: modality name -> `[B]` int32, as given; -1 where there is none.
        index: `[B]` int32, the row in the training set.
        mask: `[B]` bool, False for rows that only fill the batch up.
        present: modality name -> `[B]` bool, for every modality.
        group: `[B]` int32, the first row of the training set that this row is linked to, perhaps
            itself (`Dataset.links`); None where no rows are linked.
    """

    inputs: Mapping[str, Items]
    labels: Mapping[str, jax.Array]
    index: jax.Array
    mask: jax.Array
    present: Mapping[str, jax.Array]
    group: jax.Array | None = None


@flax.struct.dataclass
class Outputs:
    """What one member computes from one batch.

    Attributes:
        embeddings: modality name -> `[B, d]`, not normalised.
        logits: modality name -> `[B, K]`.
        centers: learned class centers, `[K, d]`, or modality -> `[K, d]`; None if there are none.
    """

    embeddings: Mapping[str, jax.Array]
    logits: Mapping[str, jax.Array]
    centers: Any = None
