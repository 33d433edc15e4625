"""The folder of a run: one run at a time, one config, one data set.

All checks come before the first write, and no file of the user is overwritten.
"""

import json
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from ml_collections import ConfigDict

from jaxcmr import distributed
from jaxcmr.config import default
from jaxcmr.data import correction_tables, preparation
from jaxcmr.display import shown
from jaxcmr.errors import UsageError
from jaxcmr.noise.injection import NoiseRecord
from jaxcmr.storage import files, locks, numpyfiles
from jaxcmr.storage.paths import expanded
from jaxcmr.types import Splits
from jaxcmr.workdir import series, trained_on

CONFIG, DATA, LOCK = "config.json", "trained_on.json", ".jaxcmr-lock"
# What a run writes beside these.
OURS = ("result.json", "metrics.jsonl", "noise.npz", "split.npz", preparation.FILE, "checkpoints",
        "embeddings", "labels.npz", "labels.csv", "stages", "curves.png",
        "contact_sheet.png")  # fmt: skip
SECTIONS = {"data", "train", "method", "encoders"}  # of every config
# Fields that may change: where the data lie (what they hold is compared), how they are fed, and on
# what the run is.
FREE = ("data.root", "data.path", "data.corrections", "data.feeding", "data.resident_bytes",
        "noise.file", "mesh.", "train.epochs", "audit.test")  # fmt: skip


@contextmanager
def held(workdir: Path) -> Iterator[None]:
    """Makes the folder if it is missing, and locks it for this run.

    What was made is removed again if nothing was written into it. Process 0 does all this.

    Raises:
        UsageError: another run is at work there, or the folder cannot be made or written.
    """
    with ExitStack() as stack:
        distributed.by_the_first(lambda: stack.enter_context(_alone(workdir)))
        yield


@contextmanager
def _alone(workdir: Path) -> Iterator[None]:
    made = [folder for folder in (workdir, *workdir.parents) if not os.path.lexists(folder)]
    try:
        try:
            workdir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=workdir):
                pass
        except OSError as error:
            why = "it is a file" if os.path.isfile(workdir) else error.strerror or error
            raise UsageError(
                f"the folder {workdir} cannot be used: {why}; choose another --workdir"
            ) from error
        refusal = lambda owner: (
            f"another run is at work in {workdir} ({owner}); wait for its end, or choose another "
            "--workdir"
        )
        with locks.alone(workdir / LOCK, refusal):
            for place in (workdir, workdir / "embeddings"):
                files.remove_unfinished(place)
            yield
    finally:
        with suppress(OSError):  # the first that is not empty
            for folder in made:
                folder.rmdir()


def check_config(workdir: Path, config: ConfigDict, given: ConfigDict) -> None:
    """Checks that the folder holds a run of this config, or none, and no file that is in the way.

    More epochs than before are fine: a finished run goes on.

    Args:
        workdir: the folder.
        config: the run's.
        given: the same before the data have completed it.

    Raises:
        UsageError: the folder holds something else.
    """
    distributed.by_the_first(lambda: _check_config(workdir, config, given))


def _check_config(workdir: Path, config: ConfigDict, given: ConfigDict) -> None:
    found = _read_config(workdir)
    if found is None:
        _check_foreign(workdir)
        return
    _check_fields(workdir, found, config, given)
    epochs, before = config.train.epochs, found["train"].get("epochs")
    if not isinstance(before, int) or before > epochs:
        raise UsageError(
            f"{workdir} holds a run of {shown(str(before))} epochs, but config.train.epochs is "
            f"{epochs}; give at least as many, or choose another --workdir"
        )
    if before < epochs:
        logging.info(
            "the run had %d epochs and is given %d: it goes on with the learning rates of a run of "
            "%d", before, epochs, epochs,
        )  # fmt: skip


def _check_fields(
    workdir: Path, found: Mapping[str, Any], config: ConfigDict, given: ConfigDict
) -> None:
    """Refuses a run whose config was another one.

    Fields that the data have chosen are left out: if they differ, so do the data, which
    `_check_data` reports.
    """
    # A field that the config of an older version does not have yet has its default there.
    was, now = _flat(_plain(default())) | _flat(found), _flat(_plain(config))
    requested = _flat(_plain(given))
    for field in sorted(was.keys() | now.keys()):
        before, after = was.get(field, "absent"), now.get(field, "absent")
        free = field.startswith(FREE) or field.endswith(".pretrained")
        if before != after and not free and requested.get(field, "absent") == after:
            values = f"was {shown(repr(before), 60)} and is {shown(repr(after), 60)}"
            raise UsageError(
                f"{workdir} holds a run of another config: config.{shown(field, 60)} {values}; "
                "choose another --workdir or remove the folder"
            )


def _read_config(workdir: Path) -> dict[str, Any] | None:
    """Returns what `config.json` holds; None: there is none."""
    path = workdir / CONFIG
    try:
        found = json.loads(path.read_bytes())
        sections = found if isinstance(found, dict) else {}
        if not all(isinstance(sections.get(name), dict) for name in SECTIONS):
            raise ValueError("it has not the sections of one")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not the config of a run ({error}), and is not overwritten; put that back, "
            "or choose another --workdir"
        ) from None
    return found


def read_config(workdir: Path) -> ConfigDict:
    """Returns the config of a run; fields that it does not have, for it is older, have defaults.

    Raises:
        UsageError: the folder holds no run.
    """
    found = _read_config(workdir)
    if found is None:
        raise UsageError(f"{workdir} holds no run; name the folder of one with --workdir")
    return ConfigDict(_completed(default().to_dict(), _with_tuples(found)))


def read_data_config(workdir: Path) -> ConfigDict:
    """Returns the section `data` of a run's config.

    Corrections are left out: they change no item, and their tables may be gone.

    Raises:
        UsageError: the folder holds no run.
    """
    section = read_config(workdir).data
    section.corrections = ""
    return section


def _completed(defaults: Any, found: Any) -> Any:
    """Fills in what an older config lacks, section by section."""
    if not (isinstance(defaults, dict) and isinstance(found, dict)):
        return found
    return defaults | {k: _completed(defaults.get(k), value) for k, value in found.items()}


def _with_tuples(value: Any) -> Any:
    """Returns lists as the tuples that they were before they were written as JSON."""
    if isinstance(value, dict):
        return {name: _with_tuples(part) for name, part in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _check_foreign(workdir: Path) -> None:
    """Refuses a folder without a config that holds what a run would overwrite."""
    taken = [name for name in OURS if (workdir / name).exists()]
    if (workdir / DATA).exists() and trained_on.read(workdir / DATA) is None:
        taken.append(DATA)
    if taken:
        raise UsageError(
            f"{workdir} holds {', '.join(taken)}, but no {CONFIG} of a run, and nothing there is "
            "overwritten; choose another --workdir"
        )


def claim(
    workdir: Path,
    config: ConfigDict,
    data: Mapping[str, Any],
    splits: Splits,
    record: NoiseRecord,
    rows: Mapping[str, np.ndarray],
) -> None:
    """Writes what the run is and what it is trained on, or checks that it is what was written.

    Then it tries a checkpoint. Nothing is written before everything else of the run is checked.

    Args:
        workdir: the folder, `held`.
        config: the run's.
        data: `trained_on.describe`'s record; only process 0 needs it.
        splits: what the source delivers.
        record, rows: of the noise and the split, for `noise.npz` and `split.npz`.

    Raises:
        UsageError: the folder holds a run on other data, or cannot keep one.
    """

    def check() -> None:
        found = _read_config(workdir)
        if found is not None:
            _check_data(workdir, config, data, splits, record)
            _check_fields(workdir, found, config, config)  # now also what the data have chosen

    distributed.by_the_first(check)
    series.try_out(workdir)

    def write() -> None:
        # In this order, so that the next run recognises this one whenever it is killed.
        files.write_json(workdir / DATA, data)
        files.write_json(workdir / CONFIG, _plain(_placed(config)))
        record.save(workdir / "noise.npz")
        files.write_npz(workdir / "split.npz", dict(rows))
        if splits.preparation is not None:
            preparation.write(workdir, splits.preparation)

    distributed.by_the_first(write)
    if not (workdir / CONFIG).exists():
        raise UsageError(
            f"process {jax.process_index()} does not see {workdir / CONFIG}, which process 0 has "
            "written; --workdir must be on a file system that all hosts share"
        )


def _check_data(
    workdir: Path,
    config: ConfigDict,
    data: Mapping[str, Any],
    splits: Splits,
    record: NoiseRecord,
) -> None:
    """Refuses a folder whose run was trained on other data."""
    found = trained_on.read(workdir / DATA)
    if found is None:
        raise UsageError(
            f"{workdir / DATA} cannot be read, so nobody knows what the run in {workdir} was "
            "trained on; put it back, or choose another --workdir"
        )
    name = trained_on.difference(found, json.loads(json.dumps(data)))
    if name:
        first = config.stages[0]
        field = "start_from" if len(config.stages) == 1 else f"stage.{first}.start_from"
        changed = "" if name == ("classes",) else _changed_labels(workdir, splits, record)
        raise UsageError(
            f"{workdir} holds a run that was trained on other data (changed since: "
            f"{changed or trained_on.in_words(name)}); put the data back, or choose another "
            f"--workdir, where --config.{field}={shlex.quote(str(workdir))} starts from its weights"
        )


def _changed_labels(workdir: Path, splits: Splits, record: NoiseRecord) -> str:
    """Counts the rows that the run was trained on and that have another label now.

    Reported before other differences: where no split is given, other labels make another split.
    """
    with suppress(UsageError, KeyError, ValueError):
        old = NoiseRecord.load(workdir / "noise.npz")
        labels = old.true_labels
        ids = numpyfiles.read_npz(workdir / "split.npz")["ids"]
        before = dict(zip(ids.tolist(), labels.tolist(), strict=True))
        parts = [part for part in (splits.train, splits.validation, splits.test) if part]
        now = {str(n): k for part in parts for n, k in zip(part.ids, part.labels.tolist())}
        wrong = sum(now.get(name, label) != label for name, label in before.items())
        if wrong and len(now) == sum(len(part) for part in parts):  # each id stands for one row
            return f"the labels of {wrong} of its {len(before)} rows"
        drawn = (
            (old.labels != record.labels).sum() if old.labels.shape == record.labels.shape else 0
        )
        if drawn and not wrong:
            return f"{drawn} of its {old.labels.size} labels after the noise of config.noise"
    return ""


def _placed(config: ConfigDict) -> ConfigDict:
    """Writes out where the data lie: who reads the config again may start elsewhere."""
    config = config.copy_and_resolve_references().unlock()
    config.data.root = config.data.root or os.environ.get("JAXCMR_DATA", "")
    for field in ("root", "path"):
        if config.data[field]:
            config.data[field] = os.path.abspath(expanded(config.data[field]))
    tables = correction_tables.paths(config.data.corrections)
    config.data.corrections = ",".join(os.path.abspath(expanded(path)) for path in tables)
    return config


def _plain(config: ConfigDict) -> dict[str, Any]:
    """Returns a config as it is read back from JSON."""
    return json.loads(json.dumps(config.to_dict()))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            leaves |= _flat(value, f"{prefix}{name}.")
        else:
            leaves[prefix + name] = value
    return leaves
