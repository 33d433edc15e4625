"""Several runs on the same rows, averaged: one table of what they believe together."""

from collections.abc import Sequence

import numpy as np

from jaxcmr.beliefs import label_errors
from jaxcmr.display import quoted
from jaxcmr.errors import UsageError
from jaxcmr.storage.spreadsheet import blocks_of
from jaxcmr.types import UNKNOWN
from jaxcmr.workdir.labels import LabelTable

TINY = 1e-30  # in place of a probability of 0


def combine(tables: Sequence[LabelTable], names: Sequence[str]) -> LabelTable:
    """Combines the tables of several runs.

    The class probabilities of a row are the mean over the runs that have it; where some of them
    are out-of-fold, over those alone. All rows are then judged anew, by the noise that such rows
    show. A row has the votes of all its runs, and the nearest items that most of them name, among
    equals the nearer ones.

    Args:
        tables: one a run; rows are known by their ids, and may lie in any order.
        names: the runs', for mistakes.

    Raises:
        UsageError: the runs have other classes, given or true labels, or no row in common.
    """
    if len(tables) == 1:
        return tables[0]
    _check_classes(tables, names)
    ids, places = _places(tables, names)
    rows = [_rows_of(place, len(ids)) for place in places]
    given = _labels([table.given for table in tables], tables, names, ids, rows, "given")
    true = _labels([table.true for table in tables], tables, names, ids, rows, "true")
    out_of_fold = np.array([_of(t.out_of_fold, r, False) for t, r in zip(tables, rows)])
    judging = np.array([r >= 0 for r in rows]) & (out_of_fold | ~out_of_fold.any(0))
    mean = _mean([table.predictions for table in tables], rows, judging)
    judged = label_errors.judge_logits(np.log(np.maximum(mean, TINY)), given, out_of_fold.any(0))
    raw = [t.raw_predictions for t in tables if t.raw_predictions is not None]
    modalities = tuple(sorted({name for table in tables for name in table.modalities}))
    split = _of(tables[0].split, rows[0], "")
    for table, row in zip(tables[1:], rows[1:]):
        split = np.where(split == "", _of(table.split, row, ""), split)
    return LabelTable(
        ids=ids,
        split=split,
        class_names=tables[0].class_names,
        modalities=modalities,
        given=given,
        true=None if (true == UNKNOWN).all() else true,
        predictions=judged.predictions,
        out_of_fold=out_of_fold.any(0),
        transition=judged.transition,
        probabilities=judged.probabilities,
        agreement=_agreement(tables, rows, judged.probabilities.argmax(1)),
        none_of_these=label_errors.none_of_these(judged, given),
        member_classes=np.hstack([_of(t.member_classes, r, -1) for t, r in zip(tables, rows)]),
        modality_classes=_modality_classes(tables, rows, modalities, judged.probabilities),
        neighbors=_neighbors(tables, rows, places),
        about=_about(tables, names),
        raw_predictions=_mean(raw, rows, judging) if len(raw) == len(tables) else None,
    )


def _check_classes(tables: Sequence[LabelTable], names: Sequence[str]) -> None:
    first = tables[0].class_names
    for table, name in zip(tables, names):
        if table.class_names != first:
            odd = sorted(set(table.class_names) ^ set(first))
            which = f"{quoted(odd[0])} is a class of one alone" if odd else "in another order"
            raise UsageError(
                f"the runs in {names[0]} and {name} have other classes ({which}); combine runs on "
                "the same data"
            )


def _places(
    tables: Sequence[LabelTable], names: Sequence[str]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Returns the ids of all runs, those of the first run first, and where each run's rows are."""
    if all(np.array_equal(table.ids, tables[0].ids) for table in tables):
        return tables[0].ids, [np.arange(len(tables[0]))] * len(tables)
    every = np.concatenate([table.ids for table in tables])
    _, first, code = np.unique(every, return_index=True, return_inverse=True)
    place = np.empty(len(first), np.int64)
    order = np.argsort(first)
    place[order] = np.arange(len(first))
    places = np.split(place[code], np.cumsum([len(table) for table in tables])[:-1])
    seen = places[0]
    for table, found, name in zip(tables, places, names):
        if len(np.unique(found)) < len(found):
            raise UsageError(
                f"the run in {name} has rows of the same id, so that they cannot be told from each "
                "other in another run; give each row its own id, or audit this run alone"
            )
        if len(found) and not np.isin(found, seen).any():
            raise UsageError(
                f"the runs in {names[0]} and {name} have no row in common, one with the id "
                f"{quoted(str(table.ids[0]))}; combine runs on the same data"
            )
        seen = np.union1d(seen, found)
    return every[first[order]], places


def _rows_of(place: np.ndarray, size: int) -> np.ndarray:
    """Returns the row of a run that stands for each combined row, -1 for none."""
    rows = np.full(size, -1)
    rows[place] = np.arange(len(place))
    return rows


def _of(values: np.ndarray, rows: np.ndarray, nothing) -> np.ndarray:
    """Returns a run's values in the combined order, `nothing` where the run lacks the row."""
    there = (rows >= 0).reshape(-1, *[1] * (values.ndim - 1))
    if not len(values):
        return np.full((len(rows), *values.shape[1:]), nothing)
    return np.where(there, values[rows], nothing)


def _labels(values, tables, names, ids, rows, which: str) -> np.ndarray:
    """Returns labels that are the same in all runs, `UNKNOWN` where no run has any."""
    found, source = np.full(len(ids), UNKNOWN, np.int32), np.zeros(len(ids), int)
    for run, (labels, row) in enumerate(zip(values, rows)):
        if labels is None:
            continue
        theirs = _of(labels, row, UNKNOWN)
        differ = np.flatnonzero((theirs != found) & (theirs != UNKNOWN) & (found != UNKNOWN))
        if len(differ):
            at, table = differ[0], tables[run]
            named = [quoted(table.name_of(k, "none")) for k in (found[at], theirs[at])]
            raise UsageError(
                f"the runs in {names[source[at]]} and {names[run]} have other {which} labels in "
                f"{len(differ)} rows ({quoted(str(ids[at]))}: {named[0]} and {named[1]}); combine "
                "runs on the same data with the same noise"
            )
        source = np.where(found == UNKNOWN, run, source)
        found = np.where(found == UNKNOWN, theirs, found)
    return found


def _mean(values: Sequence[np.ndarray], rows, counted: np.ndarray) -> np.ndarray:
    """Returns the mean over the runs that are counted, `[R, N]` bool, of values `[n, ...]`."""
    total, weight = 0.0, counted.sum(0)
    for value, row, counts in zip(values, rows, counted):
        total = total + np.where(
            counts.reshape(-1, *[1] * (value.ndim - 1)), _of(value, row, 0.0), 0.0
        )
    return (total / weight.reshape(-1, *[1] * (total.ndim - 1))).astype(np.float32)


def _agreement(tables, rows, suggested: np.ndarray) -> np.ndarray:
    """Returns the share of all votes for the suggested class.

    Votes are known by their share for the class that a run itself suggests. For another one the
    share of the run's members stands for them.
    """
    total, votes = 0.0, 0
    for table, row in zip(tables, rows):
        members, theirs = _of(table.member_classes, row, -1), _of(table.suggested, row, -1)
        voting = (members >= 0).sum(1)
        agreement = _of(table.agreement, row, 0.0)
        share = (members == suggested[:, None]).sum(1) / np.maximum(voting, 1)
        share = np.where(theirs == suggested, agreement, np.minimum(share, 1 - agreement))
        count = voting * (_of(table.modality_classes, row, -1) >= 0).sum(1)
        total, votes = total + count * share, votes + count
    return (total / np.maximum(votes, 1)).astype(np.float32)


def _modality_classes(tables, rows, modalities, probabilities: np.ndarray) -> np.ndarray:
    """Returns what each modality predicts in most runs, of equally many the likelier class."""
    found = np.full((len(probabilities), len(modalities)), -1, np.int32)
    for at, name in enumerate(modalities):
        said = np.column_stack([
            _of(table.modality_classes[:, table.modalities.index(name)], row, -1)
            for table, row in zip(tables, rows)
            if name in table.modalities
        ])  # fmt: skip
        runs = (said[:, :, None] == said[:, None]).sum(2)
        likely = np.take_along_axis(probabilities, np.maximum(said, 0), 1)
        best = np.where(said >= 0, runs + likely / 2, -1).argmax(1)
        found[:, at] = np.take_along_axis(said, best[:, None], 1)[:, 0]
    return found


def _neighbors(tables, rows, places) -> np.ndarray:
    """Returns the nearest rows that most runs name, among equals the nearer ones, `[N, k]`."""
    most = max(table.neighbors.shape[1] for table in tables)
    found = np.full((len(rows[0]), most), -1, np.int32)
    for block in blocks_of(np.arange(len(found))):
        lists, ranks = [], []
        for table, row, place in zip(tables, rows, places):
            theirs = _of(table.neighbors, row[block], -1)
            lists.append(np.where(theirs >= 0, place[theirs], -1))
            ranks.append(np.arange(theirs.shape[1]))
        listed, rank = np.hstack(lists), np.concatenate(ranks)
        same = listed[:, :, None] == listed[:, None]
        again = np.tril(same, -1).any(2)  # a row that stands before in the list
        worth = (same * (most * len(tables) + most - rank)).sum(2)
        order = np.argsort(np.where((listed >= 0) & ~again, -worth, 1), 1, kind="stable")
        listed = np.where(again, -1, listed)
        found[block] = np.take_along_axis(listed, order[:, :most], 1)
    return found


def _about(tables: Sequence[LabelTable], names: Sequence[str]) -> dict:
    """Returns what all runs have in common, and of each what made it."""
    abouts = [dict(table.about) for table in tables]
    common = {k: v for k, v in abouts[0].items() if all(a.get(k) == v for a in abouts)}
    runs = [{"workdir": name} | about for name, about in zip(names, abouts)]
    return common | {"members": sum(a.get("members", 1) for a in abouts), "runs": runs}
