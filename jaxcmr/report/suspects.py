"""The most suspect labels as a few lines of text."""

from collections.abc import Sequence

from jaxcmr.beliefs import label_errors
from jaxcmr.display import columns, padded, shown
from jaxcmr.workdir.labels import LabelTable

MOST = 10


def suspects_text(table: LabelTable, why: Sequence[str] | None = None, most: int = MOST) -> str:
    """Says how many labels look wrong, and names the most suspect ones, worst first.

    A run that used no labels has none to judge: "" is returned.

    Args:
        table: N rows.
        why: the reason of each row, which is shown beside it.
        most: how many are named.
    """
    labelled = int(table.labelled.sum())
    if not labelled:
        return ""
    rate, low, high = label_errors.noise_rate(table.probabilities, table.given)
    lines = [
        f"{table.looks_wrong.sum()} of {labelled} labels look wrong; estimated share of wrong "
        f"labels {100 * rate:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    ]
    if note := cautions(table):
        lines.append(note)
    if unlabelled := len(table) - labelled:
        have = "row has" if unlabelled == 1 else "rows have"
        lines.append(f"{unlabelled} {have} no label; one is suggested for each")
    rows = table.order[table.looks_wrong[table.order]][:most].tolist()
    return "\n".join([*lines, *([""] if rows else []), *_listed(table, rows, why)])


def cautions(table: LabelTable) -> str:
    """Says why the numbers of a table must be read with care; "" if nothing speaks against them."""
    return "; ".join(filter(None, (in_sample(table), self_confirmed(table))))


def self_confirmed(table: LabelTable) -> str:
    """Says that labels were corrected before, as in the second round of an audit; "" if none was.

    Labels that were changed to what a model suggests agree with the next model. The estimated noise
    transition matrix then holds hardly any noise, and wrong labels that were left look right.
    """
    done = table.about.get("data", {}).get("corrections", {}).get("relabelled", 0)
    if not done:
        return ""
    return (
        f"{done} labels are corrected already: if they were chosen as an audit suggested, more of "
        "the others are wrong than is estimated; look through the most suspect again, also where "
        "they look right"
    )


def in_sample(table: LabelTable) -> str:
    """Says that labels are judged by members that were taught them; "" if none is."""
    labelled = int(table.labelled.sum())
    taught = int((table.labelled & ~table.out_of_fold).sum())
    if not taught:
        return ""
    return (
        f"in-sample: the model was taught {taught} of {labelled} labels, and may confirm wrong "
        "ones; set config.audit.folds to 5 to judge by members that were not"
    )


def _listed(table: LabelTable, rows: list[int], why: Sequence[str] | None) -> list[str]:
    """Returns a line a row: its id, its label, how likely that is, what is suggested, and why."""
    if not rows:
        return []
    cells = [("most suspect", "given", "right", "suggested", "", "" if why is None else "why")] + [
        (
            shown(str(table.ids[row])),
            shown(table.class_names[table.given[row]], 24),
            f"{100 * table.probability_given[row]:.1f} %",
            shown(table.class_names[table.suggested[row]], 24),
            f"{100 * table.probability_suggested[row]:.1f} %",
            "" if why is None else why[row],
        )
        for row in rows
    ]
    widths = [max(columns(line[place]) for line in cells) for place in range(6)]
    return ["  ".join(map(padded, line, widths)).rstrip() for line in cells]
