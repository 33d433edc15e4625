"""Says in words why a class is suggested for a row.

    4 of 5 members and its image say chair, its text says sofa; 9 of its 10 nearest items are
    labelled chair

Rows of which the same is true share a sentence that is written once: a million rows take seconds.
"""

from collections.abc import Callable, Sequence

import numpy as np

from jaxcmr.display import shown
from jaxcmr.workdir.labels import LabelTable

STRANGE = 0.5  # from this score on a row may well belong to none of the classes
IN_SAMPLE = " (in-sample: the model was taught this label)"


def reasons(table: LabelTable) -> list[str]:
    """Returns a sentence for each row of a table: who says what, and what lies next to it."""
    taught = table.labelled & ~table.out_of_fold
    parts = (
        _where(~table.labelled, "has no label; "),
        _votes(table),
        _nearest(table),
        _where(table.none_of_these >= STRANGE, "; it may belong to none of the classes"),
        _where(taught, IN_SAMPLE),
    )
    return sum(parts[1:], start=parts[0]).tolist()


def _where(rows: np.ndarray, text: str) -> np.ndarray:
    return np.array(["", text], object)[rows.astype(np.int8)]


def _votes(table: LabelTable) -> np.ndarray:
    """Says which members and modalities predict the suggested class, `[N]`."""
    names = [shown(name) for name in table.class_names]
    modalities = [shown(name) for name in table.modalities]
    voting = table.member_classes >= 0
    members = (table.member_classes == table.suggested[:, None]) & voting
    columns = (
        table.suggested,
        table.suggested == table.given,
        members.sum(1),
        voting.sum(1),
        *table.modality_classes.T,
    )

    def sentence(suggested, as_labelled, members, voting, *classes):
        said = {name: names[k] for name, k in zip(modalities, classes) if k >= 0}
        gone = [name for name, k in zip(modalities, classes) if k < 0]
        votes = _who_says_what(names[suggested], members, voting, said)
        missing = f" (it has no {_listed(gone, 'or')})" if gone and said else ""
        return votes + (", as labelled" if as_labelled else "") + missing

    return _written(columns, sentence)


def _who_says_what(name: str, members: int, voting: int, said: dict[str, str]) -> str:
    """Returns "4 of 5 members and its image say chair, its text says sofa".

    Args:
        name: the suggested class.
        members: how many members predict it.
        voting: how many members there are.
        said: modality -> the class that it predicts.
    """
    several = len(said) > 1  # a single modality says what the members say
    who = [_count(members, voting, "member")] if members and voting > 1 else []
    agree = [modality for modality, other in said.items() if several and other == name]
    if agree and len(agree) == len(said):
        who.append(_count(len(agree), len(said), "modality"))
    elif agree:
        who.append(f"its {_listed(agree)}")
    if voting == 1 and members and not several:
        who.append("the model")
    if not who:
        return f"{name} is likeliest by all probabilities together" + _others(said, name)
    one = len(who) == 1 and (len(agree) == 1 if agree else members == 1)
    against = f", none of {voting} members does" if voting > 1 and not members else ""
    return (
        f"{' and '.join(who)} {'says' if one else 'say'} {name}"
        + against
        + (_others(said, name) if several else "")
    )


def _others(said: dict[str, str], name: str) -> str:
    """Returns ", its text says sofa" for what modalities say of other classes."""
    others: dict[str, list[str]] = {}
    for modality, other in said.items():
        if other != name:
            others.setdefault(other, []).append(modality)
    return "".join(
        f", its {_listed(who)} {'say' if len(who) > 1 else 'says'} {other}"
        for other, who in others.items()
    )


def _nearest(table: LabelTable) -> np.ndarray:
    """Says how the nearest items are labelled, `[N]`."""
    names = [shown(name) for name in table.class_names]
    found = table.neighbors >= 0
    theirs = np.where(found, table.given[table.neighbors], -1)
    count = lambda labels: (theirs == labels[:, None]).sum(1)
    like = np.where(table.labelled & (table.given != table.suggested), count(table.given), 0)
    columns = (
        table.suggested,
        np.where(like > 0, table.given, 0),
        count(table.suggested),
        like,
        (theirs >= 0).sum(1),
        found.sum(1),
    )

    def sentence(suggested, given, same, like, labelled, found):
        if not found:
            return ""
        if not labelled:
            return f"; none of its {found} nearest items has a label"
        which = "nearest items with a label" if labelled < found else "nearest items"
        if labelled == 1:
            said = names[suggested] if same else names[given] if like else "otherwise"
            return f"; its {which.replace('items', 'item')} is labelled {said}"
        of = {0: "none of its", labelled: "all its"}.get(same, f"{same} of its")
        more = f", {like} {names[given]}" if like else ""
        verb = "is" if same < 2 else "are"
        return f"; {of} {labelled} {which} {verb} labelled {names[suggested]}{more}"

    return _written(columns, sentence)


def _written(columns: Sequence[np.ndarray], sentence: Callable[..., str]) -> np.ndarray:
    """Returns `sentence(*values of the row)` of every row, `[N]`; equal rows share one."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        low = int(column.min(initial=0))
        code = code * (int(column.max(initial=0)) - low + 1) + (column.astype(np.int64) - low)
        code = np.unique(code, return_inverse=True)[1]
    first = np.unique(code, return_index=True)[1]
    values = zip(*(column[first].tolist() for column in columns))
    return np.array([sentence(*each) for each in values], object)[code]


def _count(some: int, of: int, what: str) -> str:
    """Returns "4 of 5 members", "both modalities", "all 3 modalities"."""
    several = "modalities" if what == "modality" else f"{what}s"
    if some < of:
        return f"{some} of {of} {several}"
    return f"both {several}" if of == 2 else f"all {of} {several}"


def _listed(names: list[str], last: str = "and") -> str:
    """Returns "a", "a and b", "a, b and c"."""
    return f" {last} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
