"""The small table at the end of a run."""

from typing import Any

from jaxcmr.display import by_reason, columns, padded, shown, shown_direction


def result_table(result: dict[str, Any]) -> str:
    """Formats the scores of `result.json`, in percent, one line a direction.

    A direction that is not measured has "-" and, below, the reason. The first line names
    stand-in data.
    """
    scores, source = result["scores"], result["data"]
    stand_in = "  ** stand-in data **" if source.get("source") == "stand-in" else ""
    names = {name: shown_direction(name) for name in scores["best"]}
    width = max(columns(name) for name in names.values()) + 2
    at = _rank(scores["best"])
    measures = ["mAP", *(f"{name}@{at}" for name in ("mAP", "precision", "recall") if at)]
    lines = [
        f"{result['method']} on {shown(str(source.get('name')))}{stand_in}, "
        f"{labels_line(result)}, "
        f"{result['members']} member(s), epoch {result['best_epoch']} of {result['epochs']}",
        "",
        " " * width + "".join(f"{name:>14}" for name in measures) + "     last untrained chance",
    ]
    for direction, found in scores["best"].items():
        cells = [_percent(found.get(name), 14) for name in measures]
        cells.append(_percent(scores["last"][direction]["mAP"], 9))
        cells.append(_percent(scores["untrained"][direction]["mAP"], 10))
        cells.append(_percent(scores["chance_by_direction"][direction], 7))
        lines.append(padded(names[direction], width) + "".join(cells))
    if result["members"] > 1 and (best := _best_member(scores["best"])):
        lines += ["", f"best member alone, mAP: {best}"]
    notes = [f"{line} in the test set" for line in by_reason(scores["not_measured"])]
    if result["scored_by"] == "given labels":
        notes.append("scores are by the given test labels, which may be wrong")
    return "\n".join([*lines, *[""][: len(notes)], *notes])


def labels_line(result: dict[str, Any]) -> str:
    """Returns in a few words which labels the run learns from, as far as that is known."""
    if result["labels"] == "absent":
        return "no labels"
    noise, wrong = result["noise"], result["wrong_labels"]
    if wrong["truth"] is None:
        return "labels as given"
    made = noise["kind"] == "file" or noise["rate"] > 0
    counts = [wrong[name] for name in ("train", "validation") if wrong[name] is not None]
    share = sum(c["wrong"] for c in counts) / max(sum(c["labels"] for c in counts), 1)
    source = noise["kind"] if made else "as given"
    if made and abs(share - noise["actual_rate"]) > 0.01 and wrong["truth"] == "true labels":
        source = f"as given, and {source} noise"
    return f"{100 * share:.0f} % wrong labels ({source})"


def _percent(value: float | None, width: int) -> str:
    return f"{'-':>{width}}" if value is None else f"{100 * value:{width}.2f}"


def _rank(scores: dict[str, dict[str, Any]]) -> int:
    """Returns the smallest k of the measures at k; 0 where there are none."""
    names = [name.partition("@")[2] for found in scores.values() for name in found]
    return min((int(k) for k in names if k), default=0)


def _best_member(scores: dict[str, dict[str, Any]]) -> str:
    """Names the member with the highest mean over directions, and its mAP in each."""
    alone = [found["members"] for found in scores.values() if None not in found["members"]]
    if not alone:
        return ""
    means = [sum(values) / len(alone) for values in zip(*alone)]
    best = means.index(max(means))
    cells = " / ".join(f"{100 * values[best]:.2f}" for values in alone)
    return f"{cells} (number {best})"
