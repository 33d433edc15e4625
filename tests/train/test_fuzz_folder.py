"""Mutations of the files in a run's folder: their content or one sentence, within seconds."""

import dataclasses
import json
import random
import shutil
import time
from collections.abc import Callable

import jax
import numpy as np
import paired
import pytest

from jaxcmr import noise
from jaxcmr.data import prepare
from jaxcmr.errors import UsageError
from jaxcmr.train import checkpoint, log
from jaxcmr.types import Splits
from jaxcmr.workdir import folder, trained_on
from jaxcmr.workdir.fingerprint import fingerprint

SECONDS = 20
VALUES = (None, True, 0, -1, 1.5, "x", [], {}, [1], {"a": 1}, float("nan"), 1e308, "a" * 1000)
ARRAYS = (
    np.array(np.nan), np.zeros(0), np.array("x"), np.array(["a", "b"]), np.arange(24.0) % 4,
    np.array(2.0**70), np.zeros((2, 2, 2)), np.array(1 + 2j), np.arange(24) % 4 - 1,
    np.arange(24, dtype=np.uint64) + 2**63, np.array(b"x"), np.array([4]), np.full((2, 24), 3),
)  # fmt: skip


def mutate(data: bytes, rnd: random.Random) -> bytes:
    """Changes, drops or repeats a few bytes."""
    data = bytearray(data)
    for _ in range(rnd.choice([1, 1, 2, 4, 8])):
        place, size = rnd.randrange(len(data) + 1), rnd.choice([1, 4, 16, 200])
        way = rnd.randrange(4)
        if way == 0:
            data[place : place + 1] = bytes([rnd.randrange(256)])
        elif way == 1:
            del data[place : place + size]
        elif way == 2:
            data[place:place] = data[place : place + size]
        elif rnd.random() < 0.3:
            del data[place:]
    return bytes(data)


def mutate_json(data: bytes, rnd: random.Random) -> bytes:
    """Replaces or drops a value of nested dicts, or changes bytes."""
    if rnd.random() < 0.4:
        return mutate(data, rnd)
    tree = json.loads(data)
    inner = tree
    while True:
        name = rnd.choice(list(inner))
        if not isinstance(inner[name], dict) or not inner[name] or rnd.random() < 0.3:
            break
        inner = inner[name]
    if rnd.random() < 0.3:
        del inner[name]
    else:
        inner[name] = rnd.choice(VALUES)
    return json.dumps(tree).encode()


def repeat(attempt: Callable[[random.Random], None], seed: str) -> int:
    """Makes attempts for a while; returns how many succeeded. Errors are one line, in seconds."""
    rnd, well = random.Random(seed), 0
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        started = time.monotonic()
        try:
            attempt(rnd)
            well += 1
        except UsageError as error:
            assert len(str(error).splitlines()) == 1
        assert time.monotonic() - started < 10
    return well


@pytest.mark.slow
def test_mutations_of_noise_files(tmp_path):
    path, labels = tmp_path / "noise.npz", np.arange(24) % 4
    shared = noise.inject(labels, 4, kind="asymmetric", rate=0.3, seed=0)
    apart = noise.inject(labels, 4, rate=0.3, seed=0, modalities=("a", "b"))

    def attempt(rnd):
        record = rnd.choice([shared, apart])
        record.save(path)
        if rnd.random() < 0.5:
            path.write_bytes(mutate(path.read_bytes(), rnd))
        else:
            arrays = dict(np.load(path))
            arrays[rnd.choice(list(arrays))] = rnd.choice(ARRAYS)
            np.savez(path, **arrays)
        for found in (
            noise.NoiseRecord.load(path),
            noise.from_file(path, labels, 4, key="labels", modalities=record.modalities),
        ):
            assert found.labels.dtype == found.true_labels.dtype == np.int32
            assert found.labels.min() >= 0 and found.labels.max() < found.num_classes
            json.dumps(found.summary(), allow_nan=False)

    assert repeat(attempt, "noise") > 1


@pytest.mark.slow
def test_mutations_of_the_files_that_say_whose_a_folder_is(tmp_path, monkeypatch):
    monkeypatch.setattr(folder.series, "try_out", lambda folder: None)
    config, test = paired.config(), paired.dataset(rows=12, seed=1)
    test = dataclasses.replace(test, ids=np.char.add("t", test.ids))
    splits = Splits(train=paired.dataset(rows=24), test=test)
    record, _, _, rows = prepare.prepare(splits, config)
    data = trained_on.describe(config, splits, record, rows)

    def claim():
        with folder.held(tmp_path):
            folder.check_config(tmp_path, config, config)
            folder.claim(tmp_path, config, data, splits, record, rows)
            log.MetricsLog(tmp_path / "metrics.jsonl", 2)

    claim()
    (tmp_path / "metrics.jsonl").write_text(
        '{"epoch": 1, "loss": 1.0}\n{"epoch": 2, "loss": 0.5}\n'
    )
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def attempt(rnd):
        for name, content in whole.items():
            (tmp_path / name).write_bytes(content)
        name = rnd.choice(list(whole))
        change = mutate_json if name.endswith(".json") else mutate
        (tmp_path / name).write_bytes(change(whole[name], rnd))
        claim()
        # Bytes that are repeated may repeat lines; none is read that nobody has written.
        assert {line["epoch"] for line in log.read(tmp_path / "metrics.jsonl")} <= {1, 2}

    assert repeat(attempt, "folder") > 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the reader
def test_mutations_of_checkpoints(tmp_path):
    config = paired.config()
    start = paired.trainer(config).untrained
    marks = lambda state: np.asarray(fingerprint(checkpoint.storable(state))).tolist()
    written = {}
    with checkpoint.Checkpoints(tmp_path / "whole") as checkpoints:
        for step in (3, 4):
            params = jax.tree.map(lambda leaf, step=step: leaf + step, start.params)
            state = start.replace(step=start.step + step, params=params)
            written[step] = marks(state)
            checkpoints.save_last(state, {"epoch": step})

    def attempt(rnd):
        place = tmp_path / "broken"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(tmp_path / "whole", place)
        for step in rnd.sample(["3", "4"], rnd.randint(1, 2)):
            names = sorted(path for path in (place / "last" / step).rglob("*") if path.is_file())
            for path in rnd.sample(names, rnd.randint(1, 3)):
                path.write_bytes(mutate(path.read_bytes(), rnd))
        with checkpoint.Checkpoints(place) as checkpoints:
            state, record = checkpoints.restore_last(start)
        assert marks(state) == written[int(state.step)] and record["epoch"] == int(state.step)

    assert repeat(attempt, "checkpoints") > 1
