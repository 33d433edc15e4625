"""Says which labels of finished runs look wrong, why, and what they should be.

    python launch/audit.py --workdir=runs/mine
    python launch/audit.py --workdir=runs/seed0,runs/seed1 --output=audit

Writes into the folder of the run, or into --output: `audit.html`, a page to look through the
suspects and to decide on them; `audit.csv`, all rows, the most suspect first; `audit.json`, the
estimated noise. Of several runs on the same data the beliefs are averaged.
"""

import os

import command_line
from absl import flags

WORKDIR = flags.DEFINE_multi_string(
    "workdir", None, "Folder of a finished run; several with commas between, or the flag again."
)
OUTPUT = flags.DEFINE_string("output", None, "Folder of the files; default the (first) workdir.")


def main() -> None:
    """Audits the runs and prints what was found."""
    from jaxcmr.errors import UsageError
    from jaxcmr.report.audit.write import audit
    from jaxcmr.storage.paths import expanded

    if OUTPUT.value == "":  # of a shell's variable that is not set
        raise UsageError("--output is empty; name a folder, or leave the flag out")
    workdirs = [expanded(name) for name in _folders(WORKDIR.value or [])]
    if not workdirs:
        raise UsageError("no run is named; add --workdir=FOLDER, the folder of a finished run")
    print(audit(workdirs, expanded(OUTPUT.value) if OUTPUT.value else workdirs[0]))


def _folders(values: list[str]) -> list[str]:
    """Returns the folders of all flags; a name with a comma may be that of one folder."""
    parts = [[value] if os.path.isdir(value) else value.split(",") for value in values]
    return [name for names in parts for name in names if name]


if __name__ == "__main__":
    command_line.run(main, computes=False)
