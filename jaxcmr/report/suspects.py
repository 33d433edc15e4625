"""The most suspect labels as a few lines of text."""

from jaxcmr.beliefs import label_errors
from jaxcmr.display import columns, padded, shown
from jaxcmr.workdir.labels import LabelTable

MOST = 10


def suspects_text(table: LabelTable, most: int = MOST) -> str:
    """Says how many labels look wrong, and names the most suspect ones, worst first.

    A run that used no labels has none to judge: "" is returned.
    """
    labelled = int(table.labelled.sum())
    if not labelled:
        return ""
    rate, low, high = label_errors.noise_rate(table.probabilities, table.given)
    lines = [
        f"{table.looks_wrong.sum()} of {labelled} labels look wrong; estimated share of wrong "
        f"labels {100 * rate:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
    ]
    if not table.out_of_fold[table.labelled].any():
        lines.append(
            "in-sample: the model was taught these labels, and may confirm wrong ones; set "
            "config.audit.folds to 5 to judge by members that were not"
        )
    if unlabelled := len(table) - labelled:
        lines.append(f"{unlabelled} rows have no label; one is suggested for each")
    rows = [row for row in table.order[:most] if table.looks_wrong[row]]
    return "\n".join([*lines, *([""] if rows else []), *_listed(table, rows)])


def _listed(table: LabelTable, rows: list[int]) -> list[str]:
    """Returns a line a row: its id, its label, how likely that is, and what is suggested."""
    if not rows:
        return []
    cells = [("most suspect", "given", "right", "suggested", "")] + [
        (
            shown(str(table.ids[row])),
            shown(table.class_names[table.given[row]], 24),
            f"{100 * table.probability_given[row]:.1f} %",
            shown(table.class_names[table.suggested[row]], 24),
            f"{100 * table.probability_suggested[row]:.1f} %",
        )
        for row in rows
    ]
    widths = [max(columns(line[place]) for line in cells) for place in range(5)]
    return ["  ".join(map(padded, line, widths)).rstrip() for line in cells]
