"""Reads changed files in a process of its own, and counts what comes of it.

    python tests/fuzz/fuzzing.py 600 off ply     # ten minutes each; no name: every format

A reader may return values, or raise a `UsageError` of one sentence. Everything else is a fault:
another exception, a crash, more than ten seconds of computing, memory beyond twice the file and a
quarter of a gigabyte, a file opened elsewhere.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BELOW = [str(ROOT), str(HERE), str(ROOT / "tests" / "encoders"), str(ROOT / "tests" / "train")]
SECONDS, ROOM, ADDRESSES = 10, 1 << 28, 1 << 30
SYSTEM = ("/proc", "/dev", "/sys", "/etc/localtime", sys.prefix, sys.base_prefix, str(ROOT))


class Hung(BaseException):
    """A file took too long."""


def fuzz(name: str, seconds: float, seed: int, folder: Path, most: int = sys.maxsize) -> dict:
    """Tries a format for some seconds; returns counts, and the faults: name -> how often.

    Args:
        name: of `formats.FORMATS`.
        seconds: how long.
        seed: of the mutations; the same seed tries the same files in the same order.
        folder: for the files; those with faults stay in `faults/`.
        most: how many files at most, so that a fast machine tries none that others do not.
    """
    total, end, faults = Counter(), time.monotonic() + seconds, Counter()
    while (left := end - time.monotonic()) > 0:
        work = folder / str(seed)
        command = [sys.executable, __file__, str(left), name, f"--child={work}", f"--seed={seed}",
                   f"--most={most}"]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(BELOW), "JAX_PLATFORMS": "cpu"}
        child = subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        try:
            text = child.communicate(timeout=left + 300)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            child.kill()
            text = child.communicate()[1].decode(errors="replace") + "hung"
        report = work / "report.json"
        if not report.is_file():
            raise RuntimeError(f"no file of {name} was tried: {text[-2000:]}")
        found = json.loads(report.read_text())
        total.update(found["counts"])
        faults.update(found["faults"])
        if child.returncode == 0:
            break
        faults[f"the process died ({child.returncode}): {text[-500:]}"] += 1
        _keep(work / "now", folder / "faults" / f"crash-{seed}")
        seed += 1
    return {**total, "faults": dict(faults)}


def _child(name: str, seconds: float, seed: int, folder: Path, most: int) -> None:
    """Tries files until the time is over; what it counts is on the disk whatever happens."""
    import formats
    from absl import logging

    from jaxcmr.errors import UsageError  # noqa: F401  (imported before memory is bounded)

    logging.set_verbosity(logging.FATAL)
    warnings.simplefilter("error", RuntimeWarning)
    kind, rng = formats.FORMATS[name], Random(seed)
    whole = folder / "whole"
    for file, content in kind.make().items():
        (whole / file).parent.mkdir(parents=True, exist_ok=True)
        (whole / file).write_bytes(content)
    files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
    guard = _Guard(folder / "now")
    for file in files * 2:  # valid as they are; the first time they import what they need
        _copy(whole, folder / "now")
        outcome, text = _try(kind, folder / "now" / file, guard)
        if outcome != "accepted" and not text.startswith("opened"):
            raise RuntimeError(f"the valid file {file} is not read: {outcome}, {text}")
    guard.bound_memory()
    counts, faults, start, written = Counter(tried=0), Counter(), time.monotonic(), 0.0
    while counts["tried"] < most and time.monotonic() - start < seconds:
        _copy(whole, folder / "now")
        path = folder / "now" / rng.choice(files)
        _change(path, rng)
        outcome, text = _try(kind, path, guard)
        counts["tried"] += 1
        counts[outcome] += 1
        if outcome == "fault":
            faults[text] += 1
            _keep(folder / "now", folder.parent / "faults" / f"{seed}-{counts['tried']}", text)
        if time.monotonic() - written > 1 or counts["tried"] == 1:
            written = time.monotonic()
            text = json.dumps({"counts": counts, "faults": faults})
            (folder / "report.part").write_text(text)
            (folder / "report.part").replace(folder / "report.json")
    (folder / "report.json").write_text(json.dumps({"counts": counts, "faults": faults}))


def _change(path: Path, rng: Random) -> None:
    from mutations import mutate

    path.write_bytes(mutate(path.read_bytes(), rng))


def _copy(whole: Path, now: Path) -> None:
    shutil.rmtree(now, ignore_errors=True)
    shutil.copytree(whole, now)


def _keep(now: Path, place: Path, text: str = "") -> None:
    if len(list(place.parent.glob("*"))) < 200:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(now, place)
        (place / "why.txt").write_text(text)


def _try(kind, path: Path, guard: "_Guard") -> tuple[str, str]:
    """Reads one file; returns "accepted", "refused" or "fault", and the text of the error."""
    from jaxcmr.errors import UsageError

    size = path.stat().st_size
    try:
        with guard:
            value = kind.read(path)
            outcome, text = "accepted", ""
            if kind.finite and not _finite(value):
                outcome, text = "fault", "values that are not finite"
    except UsageError as error:
        outcome, text = "refused", str(error)
        if not text.isprintable() or len(text) > 400 or "llocate" in text or "Memory" in text:
            outcome, text = "fault", f"no sentence: {text[:600].replace(guard.folder, '')!r}"
    except (Exception, Hung) as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "jaxcmr" in f.filename]
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
        outcome, text = "fault", f"{type(error).__name__} at {place}: {str(error)[:200]}"
    if guard.opened:
        outcome, text = "fault", f"opened {guard.opened[0]}"
    elif guard.memory > ROOM + 2 * size:
        outcome, text = "fault", f"took {guard.memory >> 20} MB for {size} bytes"
    return outcome, text


def _finite(value) -> bool:
    import numpy as np

    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return all(_finite(part) for part in value)
    array = np.asarray(value)
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


class _Guard:
    """Watches a block: what it opens outside of a folder, its memory, its time."""

    def __init__(self, folder: Path):
        self.folder, self.active, self.opened, self.memory = str(folder), False, [], 0
        sys.addaudithook(self._hear)
        signal.signal(signal.SIGPROF, self._stop)

    def __enter__(self) -> None:
        self.opened, self.memory = [], 0
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak of memory starts again
        self._before = _status("VmHWM:")
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        self.active = True

    def __exit__(self, *_) -> None:
        self.active = False
        signal.setitimer(signal.ITIMER_PROF, 0)
        self.memory = _status("VmHWM:") - self._before

    def bound_memory(self) -> None:
        """Bounds the memory of this process far above what a valid file needs."""
        import resource

        limit = _status("VmSize:") + ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def _stop(self, *_) -> None:
        raise Hung(f"more than {SECONDS} s")

    def _hear(self, event: str, arguments: tuple) -> None:
        if not self.active:
            return
        if event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.abspath(os.fsdecode(arguments[0]))
            if not path.startswith((self.folder, *SYSTEM)):
                self.opened.append(path)
        elif event in ("socket.connect", "subprocess.Popen", "os.system", "os.exec"):
            self.opened.append(event)


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=float)
    parser.add_argument("formats", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--most", type=int, default=sys.maxsize)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        options.child.mkdir(parents=True, exist_ok=True)
        _child(options.formats[0], options.seconds, options.seed, options.child, options.most)
        return
    sys.path[:0] = BELOW
    from formats import FORMATS

    folder = options.folder or Path(tempfile.mkdtemp(prefix="fuzz"))
    for name in options.formats or FORMATS:
        found = fuzz(name, options.seconds, options.seed, folder / name, options.most)
        print(name, json.dumps(found, indent=1), flush=True)
    print(f"files with faults are in {folder}/*/faults")


if __name__ == "__main__":
    main()
