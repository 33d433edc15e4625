"""Trains and evaluates one config.

    python launch/main.py --config=configs/rono_modelnet.py
    python launch/main.py --config=configs/rono_modelnet.py:quick --config.noise.rate=0.6

The same command again goes on where it was stopped. On several hosts it is the same command on
each of them: see launch/README.md.
"""

import command_line
from absl import flags

CONFIG = command_line.define_config()
command_line.define_processes()
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; default runs/<config name>.")


def main() -> None:
    """Runs the config in its folder and draws what came out."""
    from jaxcmr import distributed
    from jaxcmr.errors import UsageError
    from jaxcmr.report import write_report
    from jaxcmr.storage.paths import expanded
    from jaxcmr.train.run import train_and_evaluate

    if WORKDIR.value == "":  # of a shell's variable that is not set
        raise UsageError("--workdir is empty; name a folder, or leave the flag out")
    workdir = expanded(WORKDIR.value or f"runs/{CONFIG.name}")
    outcome = train_and_evaluate(CONFIG.value, workdir)
    if distributed.first():
        print(write_report(outcome, workdir))


if __name__ == "__main__":
    command_line.run(main, trains=True)
