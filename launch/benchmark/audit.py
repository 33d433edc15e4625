"""Scores audits by the true labels, beside cleanlab and logistic regression on the same data.

    python launch/benchmark/audit.py --audited=runs/mmcd --baseline=runs/ce
    python launch/benchmark/audit.py --audited=runs/a,runs/b --baseline=runs/a_ce,runs/b_ce

Each run of `--audited` has trained on data whose true labels are known. The run of `--baseline` in
the same place is cross-entropy with `audit.folds=5` on the same data and networks: cleanlab gets
its cross-validated probabilities, before calibration. Where all items are vectors, cleanlab gets
those of a logistic regression on the inputs, too (five folds). Rows are matched by their ids.

The folder `--output` gets `audit.md` and `audit.json`: a summary, in which the best number of all
of cleanlab's ways stands below ours in each column, then every way on every data set; and
`reliability.png`, how often the likeliest class is the true one, by its probability.
Without cleanlab or scikit-learn their rows are left out: pip install cleanlab.
"""

import sys
from pathlib import Path

# A script finds the modules of its own folder; command_line.py lies in the folder above.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import command_line
from absl import flags

FLAGS = flags.FLAGS
flags.DEFINE_list("audited", [], "Folders of runs whose audits are scored.")
flags.DEFINE_list("baseline", [], "Folders of cross-entropy with audit.folds=5, in this order.")
flags.DEFINE_list("names", [], "What the data sets are called; default: the folders of --audited.")
flags.DEFINE_string("output", "runs/audit_benchmark", "Folder of the tables and the picture.")
flags.DEFINE_bool("logistic_regression", True, "Fit one where items are vectors, too.")


def main() -> None:
    """Scores one run after the other, then writes the tables and the picture."""
    import audit_compared
    import audit_scores
    from audit_methods import MISSING
    from audit_reliability import draw

    from jaxcmr.storage import files
    from jaxcmr.storage.paths import expanded

    runs = {
        name: audit_compared.read(expanded(folder), expanded(baseline) if baseline else None)
        for name, folder, baseline in _named()
    }
    for package in MISSING:
        print(f"{package} is not installed, so that its rows are left out: pip install {package}")
    output, tables, pictures = expanded(FLAGS.output), {}, {}
    for name, compared in runs.items():
        others = audit_compared.predictions(compared, FLAGS.logistic_regression)
        tables[name] = {
            way: audit_scores.measures(answer, compared.given, compared.true)
            for way, answer in audit_compared.answers(compared, others).items()
        }
        pictures[name] = audit_compared.reliabilities(compared, others)
        print(audit_scores.markdown(tables[name], name), flush=True)
    pages = {"summary": audit_scores.summary(tables), **tables}
    text = "\n".join(audit_scores.markdown(rows, title) for title, rows in pages.items())
    files.write_text(output / "audit.md", text)
    content = {title: audit_scores.without_nan(rows) for title, rows in pages.items()}
    files.write_json(output / "audit.json", content)
    draw(pictures, output / "reliability.png")
    print(f"{audit_scores.markdown(pages['summary'], 'summary')}\n{output / 'audit.md'}")


def _named() -> list[tuple[str, str, str]]:
    """Returns the name, the run and the baseline ("" for none) of each data set.

    Raises:
        UsageError: the lists of the flags do not fit together.
    """
    from jaxcmr.errors import UsageError

    audited = FLAGS.audited
    baselines = FLAGS.baseline or [""] * len(audited)
    names = FLAGS.names or [Path(folder).name for folder in audited]
    if not audited:
        raise UsageError("no run is named; give folders of finished runs with --audited")
    for flag, given in (("--baseline", baselines), ("--names", names)):
        if len(given) != len(audited):
            raise UsageError(
                f"{flag} has {len(given)} entries and --audited {len(audited)}; give one each"
            )
    if len({*names, "summary"}) <= len(names):
        raise UsageError(
            f"the names are {', '.join(names)}; give different ones, and not summary, with --names"
        )
    return list(zip(names, audited, baselines))


if __name__ == "__main__":
    command_line.run(main)
