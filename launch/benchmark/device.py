"""Measures everything that matters on the device at hand, in at most seven minutes.

    python launch/benchmark/device.py                        # all of it, the most important first
    python launch/benchmark/device.py --only=rono --only=mmcd
    python launch/benchmark/device.py --sizes=small --minutes=2 --output=runs/small

Rates of products and copies; steps of RONO, MMCD and RoMo with the share of these rates that they
reach; epochs, retrieval, forms of a convolution; the costliest operations; PyTorch beside it where
it is installed. One device is used, the first one.

Each result is printed, and written at once, to `device.json` and as tables to `device.md` in the
folder `--output`: a run that is cut off leaves what it has. What fails, or what there was no time
for, is a row that says so. The same command again measures first what is left; rows of the run
before stay, with their date, until they are measured anew.
"""

import os
import sys
import threading
import time
from pathlib import Path

# The commands' modules, and the package, which need not be installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))
sys.path.insert(2, str(Path(__file__).resolve().parents[2]))

import command_line
import interrupts
from absl import flags

BEGAN = time.monotonic()
FLAGS = flags.FLAGS
flags.DEFINE_float("minutes", 7.0, "Time for all, start and compilation included.")
MOST_MINUTES = 1440
flags.DEFINE_string("output", "runs/device", "Folder of device.json and device.md.")
flags.DEFINE_enum(
    "sizes", "auto", ["auto", "small", "full"], "auto: small on a CPU, full on other devices."
)
flags.DEFINE_multi_string("only", [], "Tables to fill; all if not given.")


def main() -> None:
    """Measures one case after the other until all are done or the time is over."""
    import device_cases
    import jax
    from device_report import Report, about_device

    from jaxcmr.errors import UsageError
    from jaxcmr.storage import locks
    from jaxcmr.storage.paths import expanded

    if not FLAGS.output:
        raise UsageError("--output is empty; name a folder, or leave the flag out")
    if not 0.1 <= FLAGS.minutes <= MOST_MINUTES:
        raise UsageError(f"--minutes is {FLAGS.minutes}, but must be from 0.1 to {MOST_MINUTES}")
    cpu = jax.default_backend() == "cpu"
    small = FLAGS.sizes == "small" or (FLAGS.sizes == "auto" and cpu)
    sizes = device_cases.SMALL if small else device_cases.FULL
    cases = device_cases.cases(sizes, jax.default_backend())
    tables = list(dict.fromkeys(case.table for case in cases))
    if unknown := sorted(set(FLAGS.only) - set(tables)):
        raise UsageError(f"there is no table {unknown[0]!r}; choose from {', '.join(tables)}")
    cases = [case for case in cases if not FLAGS.only or case.table in FLAGS.only]
    folder = expanded(FLAGS.output)
    about = about_device("small" if small else "full")
    if cpu:
        print("JAX sees no GPU or TPU; see launch/ACCELERATORS.md", flush=True)
    refusal = lambda owner: f"{folder} is in use by {owner}; choose another --output"
    with locks.alone(folder / "device.lock", refusal):
        report = Report(folder, about, [(case.table, case.name) for case in cases])
        print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
        watch = _end_in_time(report)
        measure(cases, report)
        watch.cancel()
    print(f"{folder / 'device.md'}, after {time.monotonic() - BEGAN:.0f} s", flush=True)


def measure(cases, report) -> None:
    """Measures cases, those that wait first, and reports each; one that fails is a row, too."""
    from device_report import NOTE, line

    known = lambda case: not report.waits(case.table, case.name)
    for case in sorted(cases, key=lambda case: (known(case), case.rank)):
        try:
            values = case.measure()
        except Exception as error:
            values = {NOTE: f"failed: {_sentence(error)}"}
        report.add(case.table, case.name, values)
        seconds = time.monotonic() - BEGAN
        print(f"{seconds:4.0f} s  {line(case.table, case.name, values)}", flush=True)


def _end_in_time(report) -> threading.Timer:
    """Ends the process when the time is over, in the middle of a compilation, too."""

    def end() -> None:
        left = report.close("left out: no time")
        print(f"after {FLAGS.minutes:g} minutes; left out: {', '.join(left)}", flush=True)
        interrupts.end_children()
        os._exit(0)

    watch = threading.Timer(max(BEGAN + 60 * FLAGS.minutes - time.monotonic(), 0.0), end)
    watch.daemon = True
    watch.start()
    return watch


def _sentence(error: Exception) -> str:
    """Returns the first line of an error."""
    message = str(error).strip().partition("\n")[0] or type(error).__name__
    if "RESOURCE_EXHAUSTED" in message or "out of memory" in message.lower():
        message = f"out of memory ({message})"
    return message[:200]


if __name__ == "__main__":
    # PyTorch needs memory on the same device.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    command_line.run(main)
