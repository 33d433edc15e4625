"""What was measured on a device so far: `device.json`, and `device.md` beside it."""

import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import threading
from pathlib import Path

from jaxcmr.errors import UsageError
from jaxcmr.storage.files import write_json, write_text

# Packages without which training and evaluation on arrays work.
OPTIONAL = ("torch", "h5py", "matplotlib", "sklearn", "tensorflow_datasets", "embreex", "PIL")
WAITING = "not measured yet"
SMALL = (
    "**Small sizes: they show that all runs, and nothing of the speed that training has.** "
    "Networks, batches and items are smaller than those of the configs."
)
LEGEND = (
    "E is the number of members. Times are medians, from the least to the most; those of a "
    "convolution are of its output and both gradients, and `chosen` is the form that training "
    "takes: lax is a loop over members, grouped one grouped convolution, (batched) matmul "
    "products of columns. `times one`: a step's time by that of one member; below E is a "
    "gain. Operations are those of the products of a traced step, two a term, loops as often "
    "as they run; shares are of the product of the same precision under ceilings, and in "
    "bfloat16 some products, as of distances, are float32. `share lost`: of an epoch, to all "
    "but its steps. `busy`: the sum of all operations, also of those that run at once; of "
    "this the costliest kinds have a percentage. PyTorch rounds as the row says, tries "
    "cuDNN's algorithms first, and runs one step a call. MiB of program: arguments, results, "
    "temporaries of the compiled steps; MiB at peak: the most that the device had in use so "
    "far, where it rose. mAP is of random embeddings; recall the share of the exact ten that is "
    "found. Rows with a date are of an earlier run in this folder."
)
SAME = ("device", "platform", "jax", "jaxlib", "sizes")  # of all rows of a page
NOTE = "note"  # the column of sentences, always the last one


class Report:
    """The rows of all tables, some of them still without numbers; every change is written at once.

    Args:
        folder: where the two files go.
        about: what the numbers depend on, by name (`about_device`).
        names: (table, row) of all that is to be measured, in the order in which it is shown.
    """

    def __init__(self, folder: Path, about: dict, names):
        self._folder, self._about = folder, about
        self._rows = {name: {NOTE: WAITING} for name in names} | self._earlier()
        self._lock = threading.Lock()
        self._write()

    def _earlier(self) -> dict:
        """Returns the rows that an earlier run has measured, with its date.

        Raises:
            UsageError: they are of another device, of other versions or sizes, or damaged.
        """
        file = self._folder / "device.json"
        if not file.is_file():
            return {}
        try:
            before = json.loads(file.read_text())
        except ValueError:
            raise UsageError(f"{file} is damaged; remove it, or choose another --output") from None
        if changed := [name for name in SAME if before.get(name) != self._about.get(name)]:
            name = changed[0]
            raise UsageError(
                f"{file} is of {name} {before.get(name)}, not {self._about[name]}; choose another "
                "--output"
            )
        rows = {(row["table"], row["name"]): row["values"] for row in before["rows"]}
        measured = {name: values for name, values in rows.items() if set(values) != {NOTE}}
        return {name: {"date": before["date"]} | values for name, values in measured.items()}

    def waits(self, table: str, row: str) -> bool:
        """Tells whether no run has measured a row yet."""
        return set(self._rows[table, row]) == {NOTE}

    def add(self, table: str, row: str, values: dict) -> None:
        """Fills a row in with numbers, sentences, or a note."""
        with self._lock:
            self._rows[table, row] = values
            self._write()

    def close(self, sentence: str) -> list[str]:
        """Notes the sentence in all rows that wait; returns their names."""
        with self._lock:
            left = [name for name, values in self._rows.items() if values == {NOTE: WAITING}]
            self._rows |= {name: {NOTE: sentence} for name in left}
            self._write()
        return [f"{table}: {row}" for table, row in left]

    def _write(self) -> None:
        rows = [
            {"table": table, "name": row, "values": values}
            for (table, row), values in self._rows.items()
        ]
        write_json(self._folder / "device.json", self._about | {"rows": rows})
        write_text(self._folder / "device.md", markdown(self._about, self._rows))


def markdown(about: dict, rows: dict) -> str:
    """Returns the page: what the numbers depend on, then a table for each name of a table."""
    lines = [f"# {about['device']}", ""]
    lines += [" · ".join(f"{k} {v}" for k, v in about.items() if k != "device"), ""]
    lines += [SMALL, ""] if about.get("sizes") == "small" else []
    for table in dict.fromkeys(table for table, _ in rows):
        of_table = {row: values for (name, row), values in rows.items() if name == table}
        lines += [*_table(table, of_table), ""]
    return "\n".join([*lines, LEGEND, ""])


def _table(name: str, rows: dict) -> list[str]:
    """Returns the lines of a table; rows without a number are named below it, by their notes."""
    empty = {row: values[NOTE] for row, values in rows.items() if set(values) == {NOTE}}
    filled = {row: values for row, values in rows.items() if row not in empty}
    columns = [c for c in dict.fromkeys(c for row in filled.values() for c in row) if c != NOTE]
    columns += [NOTE] if any(row.get(NOTE) for row in filled.values()) else []
    lines = [f"| {name} | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row, values in filled.items():
        cells = [shown(column, values.get(column, "")) for column in columns]
        lines.append(f"| {row} | {' | '.join(cells)} |")
    lines = lines if filled else [f"**{name}**"]
    for note in dict.fromkeys(empty.values()):
        names = "; ".join(row for row, reason in empty.items() if reason == note)
        lines += ["", f"{note}: {names}"]
    return lines


def shown(column: str, value) -> str:
    """Returns a cell: three digits of a number, a share (its column says so) in percent."""
    if isinstance(value, str):
        return value.replace("|", "/")
    if "share" in column:
        return f"{100 * value:.3g} %"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def line(table: str, row: str, values: dict) -> str:
    """Returns the line that is printed when a row is measured."""
    cells = [f"{column} {shown(column, value)}" for column, value in values.items() if value != ""]
    return f"{table}: {row}: {', '.join(cells)}"


def about_device(sizes: str) -> dict:
    """Returns what the numbers depend on."""
    import jax
    import jaxlib

    first, count = jax.devices()[0], jax.device_count()
    cpu = first.platform == "cpu"
    found = {
        "device": _processor() if cpu else first.device_kind,
        "platform": first.platform + (f" (one of {count} devices)" if count > 1 else ""),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "Python": platform.python_version(),
        "CPU cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else "?",
        "sizes": sizes,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    if driver := _driver() if first.platform == "gpu" else "":
        found["driver"] = driver
    if _has("torch"):
        found["torch"] = importlib.metadata.version("torch")
    if missing := [name for name in OPTIONAL if not _has(name)]:
        found["without the packages"] = ", ".join(missing)
    return found


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _processor() -> str:
    """Returns the name of the processor."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _driver() -> str:
    """Returns the driver's version and the limit of power, if NVIDIA's tool is there."""
    tool = shutil.which("nvidia-smi")
    if not tool:
        return ""
    query = [tool, "--query-gpu=driver_version,power.limit", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else ""
