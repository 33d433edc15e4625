"""Predictions over a data set, and the retrieval scores made from them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import logging
from jax import lax
from ml_collections import ConfigDict

from jaxcmr.display import by_reason
from jaxcmr.errors import UsageError
from jaxcmr.numerics import unit_rows
from jaxcmr.retrieval.directions import Direction, directions
from jaxcmr.train import devices
from jaxcmr.train.feed import Resident, Streamed
from jaxcmr.train.forward import Forward
from jaxcmr.train.state import TrainState
from jaxcmr.types import Dataset, Outputs, axis_order

Feed = Resident | Streamed
Pieces = Callable[[TrainState, Any, Feed], Iterator[Outputs]]

JOINED_ROWS = 4096  # at a time on the device, by `ensemble_embeddings`


def build_predict(forward: Forward, mesh: jax.sharding.Mesh) -> Pieces:
    """Returns `predict(state, hp, feed)`, which yields the outputs of a whole set piece by piece.

    Every leaf is `[E, V, n, ...]` (`centers` is left out), a numpy array, whole in every process;
    on the devices, which share every batch, it lies spread over all of them. A set that lies on the
    devices is one piece. Embeddings of missing items are zeros, similar to nothing; all outputs of
    dead members are 0.
    """

    @partial(jax.jit, static_argnames="take", out_shardings=devices.of_predictions(mesh))
    def part(state: TrainState, hp: Any, data: Any, rows: jax.Array, take) -> Outputs:
        def block(rows: jax.Array) -> Outputs:
            batch = take(data, rows)
            outputs, _ = forward(state.variables, batch.inputs, hp, None, train=False)
            living = lambda leaf: jnp.where(state.alive[:, None, None, None], leaf, 0.0)
            there = batch.present[None, :, :, None]
            outputs = outputs.replace(
                embeddings=jnp.where(there, outputs.embeddings, 0.0), centers=None
            )
            return jax.tree.map(living, outputs)

        with jax.default_matmul_precision("float32"):  # as in the training step
            return lax.map(block, rows)

    def predict(state: TrainState, hp: Any, source: Feed) -> Iterator[Outputs]:
        def of(data: Any, rows: jax.Array, count: int) -> Outputs:
            def join(leaf: np.ndarray) -> np.ndarray:  # [blocks, E, V, B, ...] -> [E, V, N, ...]
                leaf = np.moveaxis(leaf, 0, 2)
                return leaf.reshape(*leaf.shape[:2], -1, *leaf.shape[4:])[:, :, :count]

            return jax.tree.map(join, devices.on_host(part(state, hp, data, rows, source.take)))

        return (of(*piece) for piece in source.parts())

    return predict


def joined(pieces: Iterable[Outputs]) -> Outputs:
    """Returns the outputs of a whole set, `[E, V, N, ...]`."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=2), *pieces)


def of_living(outputs: Outputs, alive: jax.Array) -> Outputs:
    """Returns the outputs of only the living members."""
    members = np.flatnonzero(devices.local(alive))
    return jax.tree.map(lambda leaf: leaf[members], outputs)


def ensemble_embeddings(outputs: Outputs, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Joins the members' unit embeddings `[E, V, N, d]` into unit rows `[N, E d]`, on the host.

    Their cosine similarity is the mean of the members' cosine similarities.

    Args:
        outputs: of the living members, over a whole set.
        names: the modalities of the axis V.
    """

    def join(rows: np.ndarray) -> np.ndarray:
        firsts = range(0, rows.shape[1], JOINED_ROWS)
        return np.concatenate([_joined(rows[:, first : first + JOINED_ROWS]) for first in firsts])

    return {name: join(outputs.embeddings[:, place]) for place, name in enumerate(names)}


@jax.jit
def _joined(embeddings: jax.Array) -> jax.Array:
    members, rows, size = embeddings.shape
    units = unit_rows(embeddings) / jnp.sqrt(members)
    return jnp.moveaxis(units, 0, 1).reshape(rows, members * size)


def recorded(
    pieces: Iterable[Outputs],
    dataset: Dataset,
    name: str,
    record: Callable[[Mapping[str, np.ndarray]], None],
) -> Iterator[Outputs]:
    """Yields the outputs of a set, and records the ensemble's embeddings of them on the way.

    Args:
        pieces: of the living members, in the order of the rows.
        dataset: the set.
        name: of the set, for messages.
        record: takes modality -> `[n, E d]` unit rows, of at most `JOINED_ROWS` at a time.

    Raises:
        UsageError: the embedding of an item that exists is not finite.
    """
    names, first = axis_order(dataset.modalities), 0
    for outputs in pieces:
        count = outputs.embeddings.shape[2]
        check_finite(outputs, dataset, name, first)
        for start in range(0, count, JOINED_ROWS):
            rows = outputs.embeddings[:, :, start : start + JOINED_ROWS]
            record(ensemble_embeddings(Outputs(rows), names))
        first += count
        yield outputs


def build_validation(
    validation: Dataset, config: ConfigDict, mesh: jax.sharding.Mesh
) -> Callable[[Outputs], dict[str, float | None]] | None:
    """Returns `outputs -> {"val_mAP": mean over directions, "val_mAP image->points": ...}`.

    Relevance is by the given labels, noise included: true labels are for the final evaluation. Such
    a mAP is biased: the partner of a query shares its label, right or wrong, so ranking it first
    counts as much as knowing the class. `val_mAP_others` leaves the partner out of the gallery.
    `val_precision` is the precision at the mean size of a class, where one item counts little;
    symmetric noise only scales and shifts its expected value. It is also the sharper score where
    classes are found nearly whole: it does not depend on the order inside a class, whereas a noisy
    mAP depends on which wrong labels of the class come first.

    A direction in which nothing can be measured is None and is left out of the means; a mean over
    no direction is None. If no direction can be measured, returns None and logs a warning.
    """
    labels = {name: validation.labels_of(name) for name in config.data.modalities}
    every = directions(validation, labels)
    for line in by_reason({one.name: one.why_not() for one in every if one.why_not()}):
        logging.warning("validation %s", line)
    measured = [one for one in every if not one.why_not()]
    if not measured:
        logging.warning("the validation set measures nothing: the last epoch counts as the best")
        return None
    apart = [one for one in directions(validation, labels, keep_self=False) if not one.why_not()]
    names = axis_order(validation.modalities)

    def score(outputs: Outputs) -> dict[str, float | None]:
        check_finite(outputs, validation, "validation")
        embeddings = ensemble_embeddings(outputs, names)
        found, precisions = {one.name: None for one in every}, []
        for one in measured:
            size = max(1, round(one.gallery.sum() / len(validation.class_names)))
            scores = one.measure(embeddings, (size,), mesh)
            found[one.name] = scores.mean_average_precision
            precisions.append(scores.summary()[f"precision@{size}"])
        others = [one.measure(embeddings, (), mesh).mean_average_precision for one in apart]
        return {
            "val_mAP": mean(found.values()),
            "val_mAP_others": mean(others),
            "val_precision": mean(precisions),
            **{f"val_mAP {name}": value for name, value in found.items()},
        }

    return score


def build_test(
    test: Dataset, config: ConfigDict, mesh: jax.sharding.Mesh
) -> Callable[[Outputs], tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """Returns `outputs -> (scores, embeddings)` of the test set, by the true labels if known.

    Scores: direction -> the means of `RetrievalScores.summary`, the numbers of `queries` and of
    items in the `gallery`, `per_class` (class name -> mAP), and `members`, the mAP of each member
    alone; None for every score of a direction in which nothing can be measured. Embeddings:
    modality -> `[N, E d]` unit rows.
    """
    every, names = test_directions(config, test), axis_order(test.modalities)

    def score(outputs: Outputs):
        check_finite(outputs, test, "test")
        embeddings = ensemble_embeddings(outputs, names)
        members = [dict(zip(names, rows)) for rows in outputs.embeddings]
        found = {
            one.name: _scores(one, embeddings, members, test.class_names, config.evaluate.at, mesh)
            for one in every
            if not one.why_not()
        }
        scores = next(iter(found.values()), {"mAP": None, "members": [None] * len(members)})
        nothing = _emptied(scores)
        sizes = {
            one.name: {"queries": int(one.queries.sum()), "gallery": int(one.gallery.sum())}
            for one in every
        }
        return {name: found.get(name, nothing) | size for name, size in sizes.items()}, embeddings

    return score


def _scores(
    direction: Direction,
    embeddings: Mapping[str, np.ndarray],
    members: Sequence[Mapping[str, np.ndarray]],
    class_names: Sequence[str],
    at: Sequence[int],
    mesh: jax.sharding.Mesh,
) -> dict[str, Any]:
    """Returns the scores of one direction, see `build_test`."""
    scores = direction.measure(embeddings, at, mesh)
    labels = direction.query_labels[direction.queries]
    per_class = scores.per_class(labels, len(class_names))
    return {
        **scores.summary(),
        "per_class": {
            name: None if np.isnan(value) else float(value)
            for name, value in zip(class_names, per_class)
        },
        "members": [direction.measure(rows, (), mesh).mean_average_precision for rows in members],
    }


def _emptied(value: Any) -> Any:
    """Returns the same names and lengths with None for every number."""
    if isinstance(value, dict):
        return {name: _emptied(part) for name, part in value.items()}
    return [None] * len(value) if isinstance(value, list) else None


def levels(config: ConfigDict, test: Dataset) -> dict[str, Any]:
    """Returns what the scores of a test set compare with, and the directions without a score.

    Returns:
        `chance_by_direction`, the mAP that a random ranking of the same gallery is expected to have
        for the same queries, None where nothing can be measured; `chance`, its mean over the
        others; `not_measured`, direction -> the reason.
    """
    every = test_directions(config, test)
    reasons = {one.name: one.why_not() for one in every}
    chances = {one.name: None if reasons[one.name] else one.chance() for one in every}
    return {
        "chance": mean(chances.values()),
        "chance_by_direction": chances,
        "not_measured": {name: reason for name, reason in reasons.items() if reason},
    }


def test_directions(config: ConfigDict, test: Dataset) -> list[Direction]:
    """Returns the directions of a test set, by the true labels if known."""
    return directions(test, dict.fromkeys(config.data.modalities, reference_labels(test)))


def reference_labels(dataset: Dataset) -> np.ndarray:
    """Returns the true labels where they are known, else the labels as given."""
    return dataset.labels if dataset.true_labels is None else dataset.true_labels


def mean(values: Iterable[float | None]) -> float | None:
    """Averages the numbers among `values`; None where there is none."""
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None


def check_finite(outputs: Outputs, dataset: Dataset, name: str, first: int = 0) -> None:
    """Raises `UsageError` if the embedding of an item, from row `first` on, is not finite."""
    for place, modality in enumerate(axis_order(dataset.modalities)):
        bad = ~np.isfinite(outputs.embeddings[:, place]).all(-1)  # [E, N]
        if bad.any():
            member, row = (int(place) for place in np.argwhere(bad)[0])
            raise UsageError(
                f"the embedding that member {member} gives to {modality!r} of the {name} item "
                f"{str(dataset.ids[first + row])!r} is not finite ({int(bad[member].sum())} of "
                f"{bad.shape[1]} items); lower config.optimizer.learning_rate, or check the values "
                "of this item"
            )
