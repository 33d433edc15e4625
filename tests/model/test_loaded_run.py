"""A run is trained on files of four kinds; then a process of its own loads it, without the data."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import trimesh
from PIL import Image

import jaxcmr
from jaxcmr.errors import UsageError
from jaxcmr.train.run import train_and_evaluate

pytestmark = pytest.mark.slow
ROWS, TEST = 30, 9
COLORS = ("red", "green", "blue")
EMBED = """
import json, sys
import numpy as np
from pathlib import Path
import jaxcmr

workdir, items, output = sys.argv[1:]
model = jaxcmr.load(workdir)
items = json.loads(Path(items).read_text())
found = {m: model.embed(**{m: rows}) for m, rows in items.items()}
classes = {f"classes {m}": model.classify(**{m: rows}) for m, rows in items.items()}
np.savez(output, **found, **classes)
"""


def write_items(folder):
    """Photos, clouds, meshes and titles of boxes in three colors; returns a row's cells each."""
    rng, rows = np.random.default_rng(0), []
    for k in range(ROWS):
        color = COLORS[k % 3]
        pixels = rng.integers(0, 80, (14, 20, 3))
        pixels[..., k % 3] += 150
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k}.png")
        np.save(folder / f"{k}.npy", rng.normal(size=(40 + k, 3)) * (1, 1, 1 + k % 3))
        trimesh.creation.box((1, 1 + k % 3, 2 + rng.random())).export(folder / f"{k}.off")
        cells = {"image": f"{k}.png", "points": f"{k}.npy", "mesh": f"{k}.off"}
        cells |= {"text": f"a {color} box number {k % 7}", "label": color, "id": f"box {k}"}
        rows.append(cells | {"split": "test" if k >= ROWS - TEST else "train"})
    return rows


@pytest.fixture(scope="module")
def run(tmp_path_factory, real_config):
    """The folder of a run of two members and two epochs, the files of its test rows, its scores.

    The training data are gone, and the folder has been moved.
    """
    folder = tmp_path_factory.mktemp("run")
    (folder / "data").mkdir()
    rows = write_items(folder / "data")
    lines = [json.dumps(row) for row in rows]
    (folder / "data/items.jsonl").write_text("\n".join(lines))
    config = real_config("rono_custom")
    config.data.path = str(folder / "data/items.jsonl")
    config.train.epochs, config.ensemble.members, config.encoders.embedding_size = 2, 2, 8
    config.method.warmup_epochs = 1
    outcome = train_and_evaluate(config, folder / "at_first")
    (folder / "at_first").rename(folder / "moved")
    (folder / "new").mkdir()
    for k in range(ROWS - TEST, ROWS):
        for ending in ("png", "npy", "off"):
            shutil.copy(folder / f"data/{k}.{ending}", folder / f"new/{k}.{ending}")
    shutil.rmtree(folder / "data")
    items = {
        modality: [
            row[modality] if modality == "text" else str(folder / "new" / row[modality])
            for row in rows[-TEST:]
        ]
        for modality in ("image", "points", "mesh", "text")
    }
    return folder / "moved", items, outcome


def test_another_process_embeds_the_test_files_as_the_run_did(run, tmp_path):
    workdir, items, outcome = run
    (tmp_path / "items.json").write_text(json.dumps(items))
    command = [sys.executable, "-c", EMBED, workdir, tmp_path / "items.json", tmp_path / "out.npz"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as found:
        for modality in items:
            with np.load(workdir / f"embeddings/{modality}.npz") as kept:
                test = np.isin(kept["ids"], outcome.test.ids)
                order = [kept["ids"][test].tolist().index(name) for name in outcome.test.ids]
                rows = kept["embeddings"][test][order]
            np.testing.assert_allclose(found[modality], rows, atol=1e-5)
            assert np.ptp(rows, axis=0).max() > 0.01  # not all items are alike
            np.testing.assert_allclose(found[f"classes {modality}"].sum(1), 1, atol=1e-5)


def test_one_member_is_a_part_of_the_ensemble(run):
    workdir, items, _ = run
    both = jaxcmr.load(workdir)
    members = [jaxcmr.load(workdir, member=member) for member in range(2)]
    halves = np.concatenate([model.embed(image=items["image"]) for model in members], 1)
    np.testing.assert_allclose(both.embed(image=items["image"]), halves / np.sqrt(2), atol=1e-5)
    assert [model.size for model in (both, *members)] == [16, 8, 8]
    assert len({model.fingerprint for model in (both, *members)}) == 3
    assert both.fingerprint == jaxcmr.load(workdir).fingerprint


def test_a_checkpoint_is_chosen_by_its_name(run):
    workdir, items, outcome = run
    best, last = (jaxcmr.load(workdir, checkpoint=name) for name in ("best", "last"))
    same = np.allclose(best.embed(text=items["text"]), last.embed(text=items["text"]), atol=1e-6)
    assert same == (outcome.result["best_epoch"] == 2)


def test_a_run_that_is_not_finished_is_loaded_with_a_warning(run, tmp_path, caplog):
    jaxcmr.load(run[0])
    assert not caplog.records
    shutil.copytree(run[0], tmp_path / "copy")
    (tmp_path / "copy" / "result.json").unlink()
    jaxcmr.load(tmp_path / "copy")
    assert "is not finished: when it goes on, its model is another one" in caplog.text


def test_runs_that_cannot_be_loaded_are_refused(run, tmp_path):
    workdir, _, _ = run
    copy = tmp_path / "copy"
    shutil.copytree(workdir, copy)
    with pytest.raises(UsageError, match="holds no run"):
        jaxcmr.load(tmp_path)
    with pytest.raises(UsageError, match=r"there is no member 2 .* which has 2, from 0"):
        jaxcmr.load(copy, member=2)
    with pytest.raises(UsageError, match="the checkpoint is 'first', but must be best or"):
        jaxcmr.load(copy, checkpoint="first")
    (copy / "preparation.json").unlink()
    with pytest.raises(UsageError, match=r"older version .* start the command"):
        jaxcmr.load(copy)
    shutil.copy(workdir / "preparation.json", copy)
    for part in (copy / "checkpoints").glob("*/*/state/**/d/*"):
        part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    with pytest.raises(UsageError, match=r"the checkpoint .* cannot be read .*; put back a copy"):
        jaxcmr.load(copy)
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(UsageError, match="has no checkpoint; start its command again"):
        jaxcmr.load(copy)
