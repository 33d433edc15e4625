"""From the predictions of a trained ensemble to the table of what it believes of the given labels.

The predictions for all rows are looked at piece by piece, so that sets larger than memory pass.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from jaxcmr.beliefs import label_errors
from jaxcmr.beliefs.label_votes import (
    Votes,
    agreement,
    mean_predictions,
    votes,
    votes_of_neighbors,
)
from jaxcmr.beliefs.linear_judge import out_of_fold_logits, scaled
from jaxcmr.beliefs.pooling import pooled
from jaxcmr.data.heldout import folded
from jaxcmr.numerics import unit_rows
from jaxcmr.retrieval.search import top_k
from jaxcmr.train import devices
from jaxcmr.train.state import TrainState
from jaxcmr.train.trainer import Trainer
from jaxcmr.types import UNKNOWN, Dataset, Outputs, axis_order
from jaxcmr.workdir import labels
from jaxcmr.workdir.labels import LabelTable

NEIGHBORS = 10  # of each row in the table
VOTING_NEIGHBORS = 20  # that vote where a method has no classes
# Rows that are compared with each other. Of more, evenly spread ones may be found, and only the
# most suspect ones look for neighbors.
COMPARED = 20_000


class Space(NamedTuple):
    """Rows in the common space.

    Attributes:
        rows: `[M]` their numbers, ascending.
        embeddings: `[M, E d]` (`joint_embeddings`).
        queries: `[M]` bool, those that look for neighbors.
        gallery: `[M]` bool, those that may be found.
    """

    rows: np.ndarray
    embeddings: np.ndarray
    queries: np.ndarray
    gallery: np.ndarray


class Rows(NamedTuple):
    """The rows of all sets, N in number.

    Attributes:
        ids, split: `[N]` str.
        labels: `[N, C]` int32 as given: one column, or one a modality.
        true: `[N]` int32, `UNKNOWN` in a set that does not know it; None if none does.
        present: `[V, N]` bool, which items are there.
        group: `[N]` int; linked rows share one.
    """

    ids: np.ndarray
    split: np.ndarray
    labels: np.ndarray
    true: np.ndarray | None
    present: np.ndarray
    group: np.ndarray


def believe(
    trainer: Trainer,
    state: TrainState,
    pieces: Iterable[Outputs],
    sets: Mapping[str, Dataset],
    classes: int,
    taught_before: bool,
) -> LabelTable:
    """Makes the table of a run.

    Where each modality has labels of its own, a row of the table is one item, `ID:MODALITY`.

    Args:
        trainer: of the last stage.
        state: whose living members are asked.
        pieces: their outputs of all rows of the sets, in this order.
        sets: "train" and, where they are judged too, "validation" and "test", in this order -> the
            data set with its labels as given.
        classes: K; where labels are absent, the classes are clusters.
        taught_before: whether an earlier stage or run was taught these labels, so that no
            prediction is out-of-fold.
    """
    rows, names = _rows(sets), axis_order(sets["train"].modalities)
    hidden = np.ones((len(state.alive), len(rows.ids)), bool)  # from all, but for training rows
    alive = devices.local(state.alive)
    hidden[:, : len(sets["train"])] = trainer.hidden(alive) & (not taught_before)
    hidden = hidden[alive]
    cast, space = look(pieces, rows.present, hidden, rows.labels[:, 0])
    remembered = trainer.remembered(state)
    neighbors = nearest(space, len(rows.ids), VOTING_NEIGHBORS, trainer.mesh)
    columns, config, train = rows.labels.shape[1], trainer.config, sets["train"]
    class_names = train.class_names
    if config.labels == "absent":  # classes are clusters, which no label names
        class_names = tuple(f"cluster {k + 1}" for k in range(classes))
        rows = rows._replace(labels=np.full_like(rows.labels[:, :1], -1), true=None)
    about = {
        "method": config.method.name,
        "labels": config.labels,
        "folds": config.audit.folds,
        "members": len(hidden),
        "seed": config.seed,
        "data": dict(train.provenance),
    }
    vectors, made = _vectors(sets), []
    for column, given in enumerate(rows.labels.T):
        of_column = cast
        if cast is None:
            near = votes_of_neighbors(neighbors, given, classes).logits[:, 0]
            of_column = _votes_of(dict.fromkeys(names, near), names, rows.present)
        of_members = _with_memory(of_column.logits, remembered)
        linear = _linear(vectors, given, rows.group, classes)
        out_of_fold = hidden.any(0)
        if 2 * out_of_fold[given >= 0].sum() >= (given >= 0).sum():
            judges = [*np.moveaxis(of_members, 1, 0), *linear.values()]
        elif linear:  # members that were taught most labels have no say
            judges, out_of_fold = list(linear.values()), np.ones(len(given), bool)
            of_column = _votes_of(linear, names, rows.present)
        else:
            judges = list(np.moveaxis(of_members, 1, 0))
        logits = pooled(judges, np.where(out_of_fold, given, -1))
        judged = label_errors.judge_logits(logits, given, out_of_fold)
        ids = rows.ids if columns == 1 else np.char.add(rows.ids, f":{names[column]}")
        near = neighbors[:, :NEIGHBORS]
        made.append(
            LabelTable(
                ids=ids,
                split=rows.split,
                class_names=tuple(class_names),
                modalities=names,
                given=given,
                true=rows.true,
                predictions=judged.predictions,
                out_of_fold=out_of_fold,
                transition=judged.transition,
                probabilities=judged.probabilities,
                agreement=agreement(of_column.classes, judged.probabilities.argmax(1)),
                none_of_these=label_errors.none_of_these(judged, given),
                member_classes=of_column.member_classes,
                modality_classes=of_column.modality_classes,
                neighbors=np.where(near >= 0, near + column * len(ids), -1),
                about={**about, "temperature": judged.temperature},
                raw_predictions=mean_predictions(of_column),
            )
        )
    return labels.stacked(made)


def _with_memory(logits: np.ndarray, remembered: np.ndarray | None) -> np.ndarray:
    """Puts what the method remembers of training rows, if anything, in the place of `[N, V, K]`.

    Then there is one judge, `[N, 1, K]`; other rows have the mean of theirs, centered as well.
    """
    if remembered is None:
        return logits
    others = logits[len(remembered) :].mean(1)
    others = others - others.mean(0) if len(others) else others
    return np.concatenate([remembered, others])[:, None]


def _rows(sets: Mapping[str, Dataset]) -> Rows:
    """Joins what is known of the rows of all sets."""
    names = axis_order(sets["train"].modalities)
    joined = lambda get: np.concatenate([np.asarray(get(part)) for part in sets.values()])
    there = lambda part, name: part.present.get(name, np.ones(len(part), bool))
    shared = all(part.labels.ndim == 1 for part in sets.values())
    columns = names[:1] if shared else names
    sizes = [len(part) for part in sets.values()]
    known = any(part.true_labels is not None for part in sets.values())
    unknown = lambda part: np.full(len(part), UNKNOWN)
    truth = lambda part: unknown(part) if part.true_labels is None else part.true_labels
    return Rows(
        joined(lambda part: part.ids).astype(np.str_),
        np.repeat(list(sets), sizes),
        np.stack([joined(lambda part, n=n: part.labels_of(n)) for n in columns], 1).astype(
            np.int32
        ),
        joined(truth).astype(np.int32) if known else None,
        np.stack([joined(lambda part, n=n: there(part, n)) for n in names]),
        np.cumsum([0, *sizes])[:-1].repeat(sizes) + joined(_groups),
    )


def _groups(part: Dataset) -> np.ndarray:
    """Returns the first row that each row is linked to, perhaps itself, `[N]`."""
    group = folded(part.links, len(part))
    return np.arange(len(part)) if group is None else group


def _vectors(sets: Mapping[str, Dataset]) -> dict[str, np.ndarray]:
    """Returns the modalities whose items are vectors, `[N, D]` each, and as "" all side by side.

    Sets that stay on the disk have none.
    """
    found = {}
    for name in axis_order(sets["train"].modalities):
        parts = [part.inputs[name] for part in sets.values()]
        if all(type(items) is np.ndarray and items.ndim == 2 for items in parts):  # no memory map
            found[name] = scaled(np.concatenate(parts))
    joint = {"": np.concatenate(list(found.values()), 1)} if len(found) > 1 else {}
    return found | joint


def _linear(
    vectors: Mapping[str, np.ndarray], given: np.ndarray, group: np.ndarray, classes: int
) -> dict[str, np.ndarray]:
    """Returns the logits `[N, K]` of linear classifiers that have not seen the label of a row."""
    if not (given >= 0).any():
        return {}
    found = {name: out_of_fold_logits(x, given, group, classes) for name, x in vectors.items()}
    return {name: logits for name, logits in found.items() if logits is not None}


def _votes_of(judges: Mapping[str, np.ndarray], names: Sequence[str], present: np.ndarray) -> Votes:
    """Returns the votes of other judges by modality, as of one member; others have no vote."""
    nothing = np.zeros_like(next(iter(judges.values())))
    logits = np.stack([judges.get(name, nothing) for name in names])
    there = present & np.array([[name in judges] for name in names])
    return votes(logits[None], there, np.ones((1, present.shape[1]), bool))


def look(
    pieces: Iterable[Outputs], present: np.ndarray, hidden: np.ndarray, given: np.ndarray
) -> tuple[Votes | None, Space]:
    """Passes over the outputs once and keeps what the table needs.

    Args:
        pieces: the outputs of all rows, in their order.
        present: `[V, N]` bool.
        hidden: `[E, N]` bool, the members that were not taught the label of each row.
        given: `[N]`.

    Returns:
        The votes on all rows, None where there are no classes; and the rows to compare.
    """
    total, first, cast, kept = len(given), 0, [], []
    every = -(-total // COMPARED)
    for outputs in pieces:
        part = slice(first, first + outputs.embeddings.shape[2])
        first = part.stop
        numbers = np.arange(part.start, part.stop)
        gallery = numbers % every == 0
        queries = np.ones(len(numbers), bool)
        if outputs.logits is not None:
            cast.append(votes(outputs.logits, present[:, part], hidden[:, part]))
            if every > 1:
                queries = _doubted(cast[-1].logits, given[part], COMPARED / total)
        keep = gallery | queries
        embeddings = joint_embeddings(outputs.embeddings[:, :, keep])
        kept.append(Space(numbers[keep], embeddings, queries[keep], gallery[keep]))
    stacked = lambda found: jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)
    return stacked(cast) if cast else None, stacked(kept)


def _doubted(logits: np.ndarray, given: np.ndarray, share: float) -> np.ndarray:
    """Marks the share of rows whose given label is least likely by the logits `[n, V, K]`."""
    logits = logits.sum(1)
    of_given = np.take_along_axis(logits, np.maximum(given, 0)[:, None], 1)[:, 0]
    margin = np.where(given >= 0, of_given - logits.max(1), 0.0)
    marked = np.zeros(len(given), bool)
    marked[np.argsort(margin, kind="stable")[: int(np.ceil(share * len(given)))]] = True
    return marked


def joint_embeddings(embeddings: np.ndarray) -> np.ndarray:
    """Joins embeddings `[E, V, n, d]` into one row an item, `[n, E d]`, over its modalities.

    The similarity of two rows is the mean of the members' similarities.
    """
    sums = np.asarray(unit_rows(embeddings)).sum(1)  # embeddings of missing items are zeros
    units = np.moveaxis(np.asarray(unit_rows(sums)), 0, 1)
    return units.reshape(len(units), -1)


def nearest(space: Space, total: int, count: int, mesh: jax.sharding.Mesh) -> np.ndarray:
    """Finds the nearest rows of the gallery, other than itself, for each query.

    Args:
        space: the rows to compare.
        total: N.
        count: how many.
        mesh: the devices.

    Returns:
        `[N, count]` int32 row numbers, nearest first; -1 where there are fewer, or no search was.
    """
    found = np.full((total, count), -1, np.int32)
    queries, gallery = space.rows[space.queries], space.rows[space.gallery]
    most = min(count + 1, len(gallery))
    if most < 2 or not len(queries):
        return found
    rows = (space.embeddings[space.queries], space.embeddings[space.gallery])
    index = gallery[top_k(*rows, most, mesh=mesh).index]
    own = index == queries[:, None]
    own[~own.any(1), -1] = True  # not in the gallery, or behind copies of itself: the last goes
    found[queries, : most - 1] = index[~own].reshape(len(queries), most - 1)
    return found
