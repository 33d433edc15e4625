"""The small table at the end of a run."""

from typing import Any


def result_table(result: dict[str, Any]) -> str:
    """Formats the scores of `result.json`, in percent, one line a direction.

    A result on stand-in data says so in its first line.
    """
    scores = result["scores"]
    at = min((int(name.split("@")[1]) for name in _first(scores["best"]) if "@" in name), default=0)
    measures = ["mAP", *(f"{name}@{at}" for name in ("mAP", "precision", "recall") if at)]
    width = max(len(direction) for direction in scores["best"]) + 2
    noise, source = result["noise"], result["data"]
    stand_in = "  ** stand-in data **" if source.get("source") == "stand-in" else ""
    labels = f"{100 * noise['actual_rate']:.0f} % wrong labels ({noise['kind']})"
    if result["labels"] == "absent":
        labels = "no labels"
    lines = [
        f"{result['method']} on {source.get('name')}{stand_in}, "
        f"{labels}, "
        f"{result['members']} member(s), epoch {result['best_epoch']} of {result['epochs']}",
        "",
        " " * width + "".join(f"{name:>14}" for name in measures) + "     last untrained chance",
    ]
    for direction, found in scores["best"].items():
        cells = "".join(f"{100 * found[name]:14.2f}" for name in measures)
        others = (
            f"{100 * scores['last'][direction]['mAP']:9.2f}"
            f"{100 * scores['untrained'][direction]['mAP']:10.2f}"
            f"{100 * scores['chance']:7.2f}"
        )
        lines.append(f"{direction:<{width}}" + cells + others)
    if result["members"] > 1:
        lines += ["", f"best member alone, mAP: {_best_member(scores['best'])}"]
    return "\n".join(lines)


def _best_member(scores: dict[str, dict[str, Any]]) -> str:
    """Names the member with the highest mean over directions, and its mAP in each."""
    alone = [found["members"] for found in scores.values()]
    means = [sum(values) / len(alone) for values in zip(*alone)]
    best = means.index(max(means))
    cells = " / ".join(f"{100 * values[best]:.2f}" for values in alone)
    return f"{cells} (number {best})"


def _first(scores: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return next(iter(scores.values()))
