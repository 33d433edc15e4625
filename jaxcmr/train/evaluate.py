"""Predictions over a data set, and the retrieval scores made from them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import permutations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from ml_collections import ConfigDict

from jaxcmr.losses.stable import unit_rows
from jaxcmr.methods.base import Method, Outputs
from jaxcmr.retrieval import metrics
from jaxcmr.train import sharding, stream
from jaxcmr.train.state import TrainState, members_of
from jaxcmr.types import Batch, Dataset

Predict = Callable[[TrainState, stream.Feed], Outputs]

JOINED_ROWS = 4096  # at a time on the device, by `ensemble_embeddings`


def build_predict(method: Method, mesh: jax.sharding.Mesh) -> Predict:
    """Returns `predict(state, source) -> Outputs` over a whole set.

    Every leaf of the result is `[E, N, ...]` (`centers` is left out), a numpy array, whole in every
    process; on the devices, which share every batch, it lies spread over all of them.
    """

    @partial(jax.jit, static_argnames="take", out_shardings=sharding.of_predictions(mesh))
    def part(state: TrainState, data: Batch, rows: jax.Array, take) -> Outputs:
        def block(rows: jax.Array) -> Outputs:
            batch = take(data, rows)
            member = lambda variables: method.apply(variables, batch.inputs, key=None, train=False)
            outputs, _ = jax.vmap(member)({"params": state.params, **state.model_state})
            return outputs.replace(centers=None)

        return lax.map(block, rows)

    def predict(state: TrainState, source: stream.Feed) -> Outputs:
        def of(data: Batch, rows: jax.Array, count: int) -> Outputs:
            def join(leaf: np.ndarray) -> np.ndarray:  # [blocks, E, B, ...] -> [E, N, ...]
                leaf = np.moveaxis(leaf, 0, 1)
                return leaf.reshape(leaf.shape[0], -1, *leaf.shape[3:])[:, :count]

            return jax.tree.map(join, sharding.on_host(part(state, data, rows, source.take)))

        found = [of(*piece) for piece in source.parts()]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *found)

    return predict


def predict_all(config: ConfigDict, method: Method, state: TrainState, dataset: Dataset) -> Outputs:
    """Returns what all members make of a data set, `[E, N, ...]`."""
    predict = build_predict(method, sharding.build(config))
    return predict(state, stream.build(config, dataset))


def ensemble_embeddings(outputs: Outputs) -> dict[str, np.ndarray]:
    """Joins the members' unit embeddings `[E, N, d]` into unit rows `[N, E d]`, on the host.

    Their cosine similarity is the mean of the members' cosine similarities.
    """

    def join(rows: np.ndarray) -> np.ndarray:
        firsts = range(0, rows.shape[1], JOINED_ROWS)
        return np.concatenate([_joined(rows[:, first : first + JOINED_ROWS]) for first in firsts])

    return {name: join(rows) for name, rows in outputs.embeddings.items()}


@jax.jit
def _joined(embeddings: jax.Array) -> jax.Array:
    members, rows, size = embeddings.shape
    units = unit_rows(embeddings) / jnp.sqrt(members)
    return jnp.moveaxis(units, 0, 1).reshape(rows, members * size)


def build_validation(
    method: Method, validation: Dataset, config: ConfigDict
) -> Callable[[TrainState], dict[str, float]]:
    """Returns `state -> {"val_mAP": mean over directions, "val_mAP image->points": ...}`.

    Relevance is by the labels as given: noisy ones, for nothing else would be known in earnest.
    Such a mAP has a bias: the partner of a query shares its label, right or wrong, and to rank it
    first counts as much as to know the class. `val_mAP_others` leaves the partner out of the
    gallery; `val_precision` is the precision at the mean size of a class, where one item counts
    little. Symmetric noise only scales and shifts what is expected of that one. Where classes are
    found nearly whole it is the sharper, too: the order inside a class tells nothing about it, but
    says which of its wrong labels all queries meet first, and a noisy mAP depends on that.
    """
    source = stream.build(config, validation)
    class_size = max(1, round(len(validation) / len(validation.class_names)))
    precision = f"precision@{class_size}"
    labels = {name: validation.labels_of(name) for name in validation.modalities}
    mesh = sharding.build(config)
    predict = build_predict(method, mesh)

    def score(state: TrainState) -> dict[str, float]:
        embeddings = ensemble_embeddings(predict(state, source))
        scores = _directions(embeddings, labels, validation.present, (class_size,), mesh)
        found = {
            f"val_mAP {direction}": own.mean_average_precision
            for direction, (own, _) in scores.items()
        }
        apart = _directions(embeddings, labels, validation.present, (), mesh, keep_self=False)
        means = {
            "val_mAP": list(found.values()),
            "val_mAP_others": [own.mean_average_precision for own, _ in apart.values()],
            "val_precision": [own.summary()[precision] for own, _ in scores.values()],
        }
        return {name: float(np.mean(values)) for name, values in means.items()} | found

    return score


def build_test(
    method: Method, test: Dataset, config: ConfigDict
) -> Callable[[TrainState], tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Returns `state -> (scores, embeddings)` of the test set, by the true labels if known.

    Scores: direction -> the means of `RetrievalScores.summary`, `per_class` (class name -> mAP),
    and `members`, the mAP of each member alone. Embeddings: modality -> `[N, E d]` unit rows.
    """
    source = stream.build(config, test)
    mesh = sharding.build(config)
    predict = build_predict(method, mesh)
    labels = dict.fromkeys(test.modalities, reference_labels(test))

    def score(state: TrainState):
        outputs = predict(state, source)
        embeddings = ensemble_embeddings(outputs)
        found = {}
        ensemble = _directions(embeddings, labels, test.present, config.evaluate.at, mesh)
        for direction, (scores, query_labels) in ensemble.items():
            per_class = scores.per_class(query_labels, len(test.class_names))
            found[direction] = {
                **scores.summary(),
                "per_class": {
                    name: None if np.isnan(value) else float(value)
                    for name, value in zip(test.class_names, per_class)
                },
                "members": [],
            }
        for member in range(members_of(state)):
            alone = {name: rows[member] for name, rows in outputs.embeddings.items()}
            by_direction = _directions(alone, labels, test.present, (), mesh)
            for direction, (scores, _) in by_direction.items():
                found[direction]["members"].append(scores.mean_average_precision)
        return found, embeddings

    return score


def levels(test: Dataset) -> dict[str, float]:
    """Returns `chance`, the mAP that a random ranking of the test set is expected to have."""
    labels = reference_labels(test)
    return {"chance": metrics.chance_level(labels, labels)}


def reference_labels(dataset: Dataset) -> np.ndarray:
    """Returns the true labels where they are known, else the labels as given."""
    return dataset.labels if dataset.true_labels is None else dataset.true_labels


def _directions(
    embeddings: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    present: Mapping[str, np.ndarray],
    at: Sequence[int],
    mesh: jax.sharding.Mesh,
    keep_self: bool = True,
) -> dict[str, tuple[metrics.RetrievalScores, np.ndarray]]:
    """Measures every ordered pair of modalities; missing items neither ask nor answer.

    `keep_self=False` leaves each query's own row out of its gallery.

    Returns direction -> the scores of the queries and the queries' labels.
    """
    scores = {}
    for source, target in permutations(embeddings, 2):
        asks = present.get(source, slice(None))
        found = metrics.retrieval_scores(
            embeddings[source],
            embeddings[target],
            labels[source],
            labels[target],
            at=at,
            keep_self=keep_self,
            gallery_mask=present.get(target),
            mesh=mesh,
        )
        scores[f"{source}->{target}"] = found.rows(asks), labels[source][asks]
    return scores
