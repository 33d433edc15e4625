"""`launch/index.py` as a person meets it: an index of photos is made, changed and exported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxcmr
from jaxcmr.index import Index
from jaxcmr.train.run import train_and_evaluate

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
COLORS = ("red", "green", "blue")


def index(*arguments, folder) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "launch" / "index.py"), *map(str, arguments)]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def paint(path, color):
    pixels = np.random.default_rng([color, int(path.stem), len(path.parts)]).integers(
        0, 80, (10, 10, 3)
    )
    pixels[..., color] += 150
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory, real_config):
    """A folder with a trained `run`, the photos `shop/0.png` to `shop/5.png`, and `bad.index`."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "shop").mkdir()
    rows = []
    for k in range(18):
        paint(folder / f"{k}.png", k % 3)
        cells = {"id": f"item,{k}", "image": f"{k}.png", "text": f"a {COLORS[k % 3]} mug"}
        cells |= {"label": COLORS[k % 3], "split": "test" if k < 6 else "train"}
        rows.append(json.dumps(cells))
    for k in range(6):
        paint(folder / "shop" / f"{k}.png", k % 3)
    (folder / "items.jsonl").write_text("\n".join(rows))
    (folder / "bad.index").write_text("no index")
    config = real_config("rono_custom")
    config.data.path = str(folder / "items.jsonl")
    config.data.image_size = 16
    config.train.epochs, config.encoders.embedding_size, config.method.warmup_epochs = 2, 8, 1
    train_and_evaluate(config, folder / "run")
    return folder


def test_a_person_makes_changes_and_exports_an_index(place):
    run = lambda *words: index(*words, "--index=i.index", folder=place)
    done = run("create", "--workdir=run", "--items=shop")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("i.index: 6 rows of 8 numbers by the model ")
    model = jaxcmr.load(place / "run")
    opened = Index.open(place / "i.index", model.fingerprint)
    photos = [opened.source(row) for row in range(6)]
    np.testing.assert_allclose(opened.embeddings, model.embed(image=photos), atol=1e-5)

    paint(place / "shop" / "6.png", 0)
    done = run("add", "--workdir=run", "--items=shop")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "i.index: new rows: 1, replaced: 6\n"
    assert "shop: 1 items embedded in " in done.stderr and ", 6 known from" in done.stderr

    done = run("add", "--workdir=run", "--items=items.jsonl", "--modality=image")
    assert done.stdout == "i.index: new rows: 18, replaced: 0\n", done.stderr
    done = run("remove", "--ids=item,3", "--ids=item,4")
    assert done.stdout == "i.index: rows removed: 2, left: 23\n", done.stderr
    done = run("show")
    assert "23 rows of 8 numbers" in done.stdout and "image" in done.stdout
    done = run("export", "--output=i.npz")
    assert done.stdout == "i.npz\n", done.stderr
    with np.load(place / "i.npz") as file:
        assert "item,3" not in file["ids"] and len(file["embeddings"]) == 23


def test_without_items_the_rows_of_the_run_are_taken(place):
    done = index("create", "--workdir=run", "--index=rows.index", folder=place)
    assert done.returncode == 0, done.stderr
    assert Index.open(place / "rows.index").modalities == ["image"] * 18 + ["text"] * 18


MISTAKES = {
    "": "say what to do, one of create, add, remove, show, export",
    "show": "--index is missing",
    "show --index=none": "there is no index none",
    "show --index=bad.index": "bad.index is no index",
    "create --index=bad.index --workdir=run": "bad.index exists",
    "create --index=x.index": "--workdir is missing",
    "create --index=x.index --workdir=shop": "shop",
    "create --index=x.index --items=shop --items=b.csv": "--items is given twice; take one",
    "create --index=x.index --workdir=run --modality=image": "--modality chooses items",
    "add --index=small.index --workdir=run": "--items is missing",
    "add --index=small.index --workdir=run --items=shop": "of the model 'another'",
    "remove --index=small.index": "--ids is missing",
    "remove --index=small.index --ids=a,b": "small.index has no row with the id 'b'",
    "export --index=small.index": "--output is missing",
    "export --index=small.index --output=x.csv": "must end in .parquet",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_are_one_sentence_and_change_nothing(place, words):
    small = Index(8, "another")
    small.add(np.eye(8)[:1], modality="image", ids=["a"])
    small.save(place / "small.index")
    before = (place / "small.index").read_bytes()
    done = index(*words.split(), folder=place)
    assert done.returncode == 2 and done.stdout == "", done
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert MISTAKES[words] in done.stderr
    assert (place / "small.index").read_bytes() == before
    assert not (place / "x.index").exists()
