"""Draws the rows that are held out, keeps linked rows together, and warns of rows in two splits."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

from jaxcmr.data.own.labelbase import clean, without_label
from jaxcmr.data.splits import parts, present_rows
from jaxcmr.display import listed
from jaxcmr.errors import UsageError
from jaxcmr.packages import Later
from jaxcmr.storage.lazy import LazyRows
from jaxcmr.types import Dataset, Splits

sparse, csgraph = Later("scipy.sparse"), Later("scipy.sparse.csgraph")

HELD_OUT = 0.2  # share of each class that becomes the test set where no split is given
GROUP = "group"  # the link that a person gives: it is never cut
LARGEST_FOLD = 0.1  # share of the rows that may lie in one fold for being linked

# What rows have in common: its name -> `[N]` whole numbers; rows with the same number >= 0 share
# it. The most binding comes first.
Links = Mapping[str, np.ndarray]


def held_out(labels: np.ndarray, seed: int, links: Links | None = None) -> np.ndarray:
    """Names a split, "train" or "test", for every row: of each class, a fifth is "test".

    Rows that are linked, directly or by others, are in one split. Where so much is linked that less
    than half of a class's fifth can be held out, the class's rows are drawn as if the last link did
    not exist, then the last but one, and so on; the link "group" holds always. A class of two rows
    or more has a test row. Rows without a label are "train", unless they are linked to a test row.

    Args:
        labels: `[N]` or `[N, 1]` of any type, or one-hot `[N, K]`.
        seed: of the draw.
        links: what rows have in common.

    Raises:
        UsageError: no row can be held out.
    """
    names, classes = _classes(labels)
    named = np.full(len(classes), "train", "U10")
    if not len(classes):
        return named
    levels = cut(links or {}, len(classes))
    kept = _one_a_class(classes, levels[0], seed)
    rng = np.random.default_rng(seed)
    for label in range(len(names)):
        rows = rng.permutation(np.flatnonzero(classes == label))
        wanted = max(round(HELD_OUT * len(rows)), 1) if len(rows) > 1 else 0
        free = named[rows] == "train"
        named[draw(rows[free], wanted - int((~free).sum()), levels, kept)] = "test"
    if not (named == "test").any():
        alone = len(names) == (classes >= 0).sum()
        why = "every class has one row" if alone else f"all rows of a class have the same {GROUP!r}"
        why = why if len(names) else "no row has a label"
        raise UsageError(
            f"{why}, so none can be held out for the test set; give more rows, or name the split "
            "of every row (train, test) in a column or an array 'split'"
        )
    return named


def report(labels: np.ndarray, named: np.ndarray, name: str, links: Links | None = None) -> None:
    """Logs what `held_out` chose: how many rows, what ties them, which classes have no test row."""
    test = named == "test"
    logging.info(
        "%s: no split is given: %d of %d rows become the test set", name, test.sum(), len(test)
    )
    if links:
        largest = np.bincount(groups(links, len(test))).max()
        shares = ", ".join(f"{link} {_count_shared(column)}" for link, column in links.items())
        logging.info(
            "%s: rows that share something with another row (%s) are kept in one split where that "
            "is possible; the largest group has %d rows", name, shares, largest,
        )  # fmt: skip
    names, classes = _classes(labels)
    tested = np.bincount(classes[test & (classes >= 0)], minlength=len(names)) > 0
    if not tested.all():
        without = [repr(str(label)) for label in names[~tested]]
        logging.warning(
            "%s: %d of %d classes have no test row, for they have one row or rows that belong "
            "together: %s", name, len(without), len(names), listed(without),
        )  # fmt: skip


def cut(links: Links, rows: int) -> list[np.ndarray | None]:
    """Returns the groups `[N]` by all links, by all but the last, ...; None: each row for itself.

    The link "group" is never cut.
    """
    names, levels = list(links), []
    for count in range(len(names), 0, -1):
        levels.append(groups({name: links[name] for name in names[:count]}, rows))
        if names[count - 1] == GROUP:
            return levels
    return [*levels, None]


def draw(
    order: np.ndarray, wanted: int, levels: list[np.ndarray | None], kept: np.ndarray
) -> np.ndarray:
    """Takes about `wanted` rows off a shuffled order, none without those that are linked to it.

    Whole groups are taken, in the order's order, as long as they fit. If less than half of what is
    wanted comes together, the smallest other group is added, unless that makes more than half of
    the order; if it does, the next level's groups are tried. Without links these are the first
    `wanted` rows.

    Args:
        order: `[n]` row numbers, shuffled.
        levels: the groups of all N rows, of `cut`.
        kept: numbers of rows that are not taken, and nothing with them.

    Returns:
        Row numbers, with those outside `order` that belong to them.
    """
    chosen = order[:0]
    for groups in levels if wanted > 0 else []:
        if groups is None:
            return order[~np.isin(order, kept)][:wanted]
        free = order[~np.isin(groups[order], groups[kept])]
        found, first, sizes = np.unique(groups[free], return_index=True, return_counts=True)
        taken, total = [], 0
        for place in np.argsort(first):
            if total + sizes[place] <= wanted:
                taken.append(place)
                total += sizes[place]
        left = np.setdiff1d(np.arange(len(found)), taken)
        if 2 * total < wanted and len(left):
            small = left[np.argmin(sizes[left])]
            if 2 * (total + sizes[small]) <= len(order):
                taken.append(small)
                total += sizes[small]
        chosen = np.flatnonzero(np.isin(groups, found[taken])) if taken else chosen
        if 2 * total >= wanted:
            return chosen
    return chosen


def folded(links: Links, rows: int) -> np.ndarray | None:
    """Returns for each row the first row that it is linked to, `[N]` int32, or None without links.

    Links are given up from the last on, as in `held_out`, until no group holds more than a tenth
    of the rows.
    """
    for level in cut(links, rows):
        if level is not None:
            _, first, number = np.unique(level, return_index=True, return_inverse=True)
            if np.bincount(number).max(initial=0) <= LARGEST_FOLD * rows:
                return first[number].astype(np.int32)
    return None


def groups(links: Links, rows: int) -> np.ndarray:
    """Numbers the groups of rows that are linked, directly or by others: `[N]`, from 0."""
    starts, values, offset = [], [], rows
    for column in links.values():
        linked = np.flatnonzero(column >= 0)
        starts.append(linked)
        values.append(column[linked] + offset)
        offset += int(column.max(initial=-1)) + 1
    start, value = np.concatenate(starts), np.concatenate(values)
    graph = sparse.coo_matrix((np.ones(len(start), bool), (start, value)), shape=(offset, offset))
    return csgraph.connected_components(graph, directed=False)[1][:rows]


def warn_of_shared(links: Links, named: np.ndarray, name: str) -> None:
    """Logs in one line how many rows of other splits share something with a training row."""
    shared = []
    for split in ("test", "validation"):
        rows = named == split
        counts = {
            link: int((np.isin(column, column[named == "train"]) & (column >= 0))[rows].sum())
            for link, column in links.items()
        }
        parts = [f"{link} {count}" for link, count in counts.items() if count]
        if parts:
            shared.append(f"{', '.join(parts)} of {rows.sum()} {split} rows")
    if shared:
        logging.warning(
            "%s: the same thing is in training rows, so that scores flatter: %s", name,
            "; ".join(shared),
        )  # fmt: skip


def _count_shared(column: np.ndarray) -> int:
    """Counts the rows that have a number that another row has, too."""
    counts = np.unique(column[column >= 0], return_counts=True)[1]
    return int(counts[counts > 1].sum())


def _classes(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the classes, sorted, and the number of each row's class, -1 without a label."""
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] > 1:
        labels = labels.argmax(1)
    labels = labels.ravel()
    labels = clean(labels) if labels.dtype.kind in "USO" else labels
    labelled, classes = ~without_label(labels), np.full(len(labels), -1)
    names, classes[labelled] = np.unique(labels[labelled], return_inverse=True)
    return names, classes


def _one_a_class(classes: np.ndarray, groups: np.ndarray | None, seed: int) -> np.ndarray:
    """Chooses a row of every class that stays in training, out of as few groups as possible."""
    if groups is None:
        return np.arange(0)
    turn = np.random.default_rng([seed, 1]).permutation(len(groups))
    order = np.lexsort((turn[groups], classes))
    found, first = np.unique(classes[order], return_index=True)
    return order[first[found >= 0]]


def warn_of_copies(splits: Splits, name: str) -> None:
    """Logs in one line how many items of the other splits are those of training rows, too.

    Items that stay on the disk are not compared; blank ones (one number everywhere) do not count.
    """
    found = parts(splits)
    named = np.repeat(list(found), [len(part) for part in found.values()])
    links = {}
    for modality in splits.train.modalities:
        if not any(isinstance(part.inputs[modality], LazyRows) for part in found.values()):
            links[modality] = numbered(
                [digest for part in found.values() for digest in _digests(part, modality)]
            )
    warn_of_shared(links, named, name)


def _digests(part: Dataset, modality: str) -> list[bytes]:
    """Returns a digest an item; b"" for one that is missing, or blank."""
    found = []
    for item, there in zip(np.asarray(part.inputs[modality]), present_rows(part, modality)):
        blank = not there or (item == item.flat[0]).all()
        content = b"" if blank else np.ascontiguousarray(item).tobytes()
        found.append(content and hashlib.blake2b(content, digest_size=16).digest())
    return found


def numbered(keys: Sequence[str | bytes]) -> np.ndarray:
    """Numbers keys, the same for the same key: `[N]`, -1 for an empty one."""
    numbers: dict[str | bytes, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) if key else -1 for key in keys], int)
