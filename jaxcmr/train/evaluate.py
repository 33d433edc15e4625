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


def build_predict(method: Method, mesh: jax.sharding.Mesh) -> Predict:
    """Returns `predict(state, source) -> Outputs` over a whole set.

    Every leaf of the result is `[E, N, ...]` (`centers` is left out), whole in every process; the
    set passes through the members batch by batch, each shared by the devices. A streamed set's
    results are kept on the host.
    """

    @partial(jax.jit, static_argnames="take", out_shardings=sharding.replicated(mesh))
    def part(state: TrainState, data: Batch, rows: jax.Array, take) -> Outputs:
        def block(rows: jax.Array) -> Outputs:
            batch = take(data, rows)
            member = lambda variables: method.apply(variables, batch.inputs, key=None, train=False)
            outputs, _ = jax.vmap(member)({"params": state.params, **state.model_state})
            return outputs.replace(centers=None)

        def join(leaf: jax.Array) -> jax.Array:  # [blocks, E, B, ...] -> [E, N, ...]
            leaf = jnp.moveaxis(leaf, 0, 1)
            return leaf.reshape(leaf.shape[0], -1, *leaf.shape[3:])

        return jax.tree.map(join, lax.map(block, rows))

    def predict(state: TrainState, source: stream.Feed) -> Outputs:
        def of(data: Batch, rows: jax.Array, count: int) -> Outputs:
            outputs = sharding.local(part(state, data, rows, source.take))
            kept = np.asarray if source.streamed else jnp.asarray
            return jax.tree.map(lambda leaf: kept(leaf)[:, :count], outputs)

        found = [of(*piece) for piece in source.parts()]
        if not source.streamed:
            return found[0]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *found)

    return predict


def predict_all(config: ConfigDict, method: Method, state: TrainState, dataset: Dataset) -> Outputs:
    """Returns what all members make of a data set, `[E, N, ...]`."""
    predict = build_predict(method, sharding.build(config))
    return predict(state, stream.build(config, dataset))


def ensemble_embeddings(outputs: Outputs) -> dict[str, jax.Array]:
    """Joins the members' unit embeddings `[E, N, d]` into unit rows `[N, E d]`.

    Their cosine similarity is the mean of the members' cosine similarities.
    """

    def join(embeddings: jax.Array) -> jax.Array:
        members, rows, size = embeddings.shape
        units = unit_rows(embeddings) / jnp.sqrt(members)
        return jnp.moveaxis(units, 0, 1).reshape(rows, members * size)

    return {name: join(embeddings) for name, embeddings in outputs.embeddings.items()}


def build_validation(
    method: Method, validation: Dataset, config: ConfigDict
) -> Callable[[TrainState], dict[str, float]]:
    """Returns `state -> {"val_mAP": mean over directions, "val_mAP image->points": ...}`.

    Relevance is by the labels as given: noisy ones, for nothing else would be known in earnest.
    """
    source = stream.build(config, validation)
    labels = {name: validation.labels_of(name) for name in validation.modalities}
    predict = build_predict(method, sharding.build(config))

    def score(state: TrainState) -> dict[str, float]:
        embeddings = ensemble_embeddings(predict(state, source))
        scores = _directions(embeddings, labels, validation.present, at=())
        found = {
            f"val_mAP {direction}": own.mean_average_precision
            for direction, (own, _) in scores.items()
        }
        return {"val_mAP": float(np.mean(list(found.values()))), **found}

    return score


def build_test(
    method: Method, test: Dataset, config: ConfigDict
) -> Callable[[TrainState], tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Returns `state -> (scores, embeddings)` of the test set, by the true labels if known.

    Scores: direction -> the means of `RetrievalScores.summary`, `per_class` (class name -> mAP),
    and `members`, the mAP of each member alone. Embeddings: modality -> `[N, E d]` unit rows.
    """
    source = stream.build(config, test)
    predict = build_predict(method, sharding.build(config))
    labels = dict.fromkeys(test.modalities, reference_labels(test))

    def score(state: TrainState):
        outputs = predict(state, source)
        embeddings = ensemble_embeddings(outputs)
        found = {}
        ensemble = _directions(embeddings, labels, test.present, config.evaluate.at)
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
            for direction, (scores, _) in _directions(alone, labels, test.present, ()).items():
                found[direction]["members"].append(scores.mean_average_precision)
        return found, {name: np.asarray(rows) for name, rows in embeddings.items()}

    return score


def chance(test: Dataset) -> float:
    """Returns the mAP that a random ranking of the test set is expected to have."""
    labels = reference_labels(test)
    return metrics.chance_level(labels, labels)


def reference_labels(dataset: Dataset) -> np.ndarray:
    """Returns the true labels where they are known, else the labels as given."""
    return dataset.labels if dataset.true_labels is None else dataset.true_labels


def _directions(
    embeddings: Mapping[str, jax.Array],
    labels: Mapping[str, np.ndarray],
    present: Mapping[str, np.ndarray],
    at: Sequence[int],
) -> dict[str, tuple[metrics.RetrievalScores, np.ndarray]]:
    """Measures every ordered pair of modalities; missing items neither ask nor answer.

    Each process ranks the whole gallery for its share of the queries.

    Returns direction -> the scores of the queries and the queries' labels.
    """
    scores = {}
    for source, target in permutations(embeddings, 2):

        def rank(asks: np.ndarray, source=source, target=target) -> dict[str, Any]:
            found = metrics.retrieval_scores(
                embeddings[source][asks],
                embeddings[target],
                labels[source][asks],
                labels[target],
                at=at,
                gallery_mask=present.get(target),
            )
            return vars(found)

        every = np.arange(len(labels[source]))
        asks = np.flatnonzero(present[source]) if source in present else every
        found = metrics.RetrievalScores(**sharding.over_processes(asks, rank))
        scores[f"{source}->{target}"] = found, labels[source][asks]
    return scores
