"""`launch/search.py` as a person meets it: queries, galleries, answers and mistakes."""

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
COLORS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}
THINGS = ("mug", "plate", "lamp", "chair")
SIZES = ("tiny", "small", "plain", "large", "huge", "old")
SMALL = ("--config.data.image_size=16", "--config.train.epochs=25", "--config.train.batch_size=16")


def search(cache: Path, *flags, **more) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "launch" / "search.py"), *map(str, flags)]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, **more)


def paint(path: Path, color: str, seed: int, size: int = 24) -> Path:
    """Writes a photo of one color, with a bit of noise: no two are the same."""
    pixels = np.random.default_rng(seed).uniform(0, 60, (size, size, 3))
    pixels += 190 * np.array(COLORS[color])
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with `run`, trained on 72 photos and texts of three colors, and `new` photos."""
    folder = tmp_path_factory.mktemp("shop")
    lines = ["id,label,image,text"]
    for number in range(72):
        color, thing = list(COLORS)[number % 3], THINGS[number // 3 % 4]
        paint(folder / "photos" / f"{number}.png", color, number)
        words = f"{SIZES[number // 12]} {color} {thing}"
        lines.append(f"{color}-{number},{color},photos/{number}.png,{words}")
    (folder / "items.csv").write_text("\n".join(lines) + "\n")
    command = [
        sys.executable, "launch/main.py", "--config=configs/rono_custom.py", *SMALL,
        f"--config.data.path={folder / 'items.csv'}", f"--workdir={folder / 'run'}",
    ]  # fmt: skip
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    for number, color in enumerate(COLORS):
        paint(folder / "new" / f"{color}.png", color, 100 + number)
    return folder


@pytest.fixture
def ask(shop):
    """Searches the run, in which no error is expected."""

    def run(*flags) -> subprocess.CompletedProcess:
        done = search(shop / "cache", f"--workdir={shop / 'run'}", *flags)
        assert done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture
def hits(ask):
    """Searches the run, and returns the hits of `--json`."""
    return lambda *flags: json.loads(ask(*flags, "--json").stdout)["hits"]


@pytest.mark.slow
def test_a_photo_finds_texts_of_the_run(shop, ask):
    done = ask(f"--query={shop / 'new' / 'red.png'}", "--to=text", "--k=5")
    first, _, head, *lines = done.stdout.splitlines()
    assert first.startswith("hits of image ") and first.endswith("red.png")
    assert head.split() == ["rank", "score", "id", "modality", "label", "file", "or", "words"]
    assert len(lines) == 5
    for rank, line in enumerate(lines, 1):
        assert re.match(rf"{rank} +0\.\d+ +red-\d+ +text +red +\w+ red \w+$", line), line


@pytest.mark.slow
def test_words_find_new_photos_that_are_embedded_once(shop, ask):
    flags = ("--text=green mug", f"--gallery={shop / 'new'}", "--k=2", "--json")
    done = ask(*flags)
    found = json.loads(done.stdout)
    assert found["queries"] == [{"name": "green mug", "modality": "text"}]
    best = found["hits"][0]
    assert (best["id"], best["modality"], best["metadata"]) == ("green.png", "image", {})
    assert best["source"] == str(shop / "new" / "green.png")
    assert "new: 3 items embedded in" in done.stderr
    again = ask(*flags)
    assert (
        again.stdout == done.stdout
        and "0 items embedded in 0 s, 3 known from before" in again.stderr
    )


@pytest.mark.slow
def test_several_queries_are_averaged(shop, hits):
    photo, more = f"--query={shop / 'new' / 'red.png'}", ("--to=image", "--k=72")
    scores = [
        {hit["id"]: hit["score"] for hit in hits(*queries, *more)}
        for queries in ([photo], ["--text=blue"], [photo, "--text=blue"])
    ]
    ids = list(scores[0])
    red, blue, both = (np.array([each[name] for name in ids]) for each in scores)
    # Cosines to the mean are the means of the cosines, but for the length of the mean.
    ratio = (red + blue) / both
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=1e-3)
    assert len(ids) == 72


@pytest.mark.slow
def test_conditions_and_splits_narrow_the_gallery(shop, hits):
    photo = f"--query={shop / 'new' / 'red.png'}"
    others = hits(photo, "--where=label=blue", "--where=label=green", "--k=99")
    assert {hit["metadata"]["label"] for hit in others} == {"blue", "green"} and len(others) == 48
    test = hits(photo, "--gallery=test", "--k=99")
    assert {hit["metadata"]["split"] for hit in test} == {"test"} and 9 <= len(test) <= 18
    fast = hits(photo, "--approx", "--k=3")
    assert {hit["metadata"]["label"] for hit in fast} == {"red"}


@pytest.mark.slow
def test_the_last_epoch_embeds_a_gallery_of_its_own(shop, hits):
    found = hits("--text=green mug", f"--gallery={shop / 'new'}", "--checkpoint=last", "--k=1")
    assert found[0]["id"] == "green.png"


@pytest.mark.slow
def test_a_known_row_is_no_hit_of_its_own(hits):
    found = hits("--id=red-0", "--from=image", "--to=image", "--k=3")
    assert "red-0" not in [hit["id"] for hit in found] and len(found) == 3
    found = hits("--id=red-0", "--from=image", "--k=72")
    assert "red-0" in [hit["id"] for hit in found] and {h["modality"] for h in found} == {"text"}


@pytest.mark.slow
def test_a_row_of_the_run_finds_new_photos(shop, ask):
    flags = ("--id=green-1", "--from=text", f"--gallery={shop / 'new'}", "--k=1")
    done = ask(*flags, f"--sheet={shop / 'row.html'}")
    assert re.search(r"^1 +0\.\d+ +green\.png +image", done.stdout, re.MULTILINE), done.stdout
    assert "tiny green mug" in (shop / "row.html").read_text()


@pytest.mark.slow
def test_an_index_is_searched_and_that_of_another_model_is_refused(shop, hits):
    import jaxcmr
    from jaxcmr import galleries

    model = jaxcmr.load(shop / "run")
    index = galleries.of_path(model, shop / "items.csv")
    index.save(shop / "shop.index")
    flags = (f"--query={shop / 'new' / 'blue.png'}", "--k=4")
    found = hits(*flags, f"--index={shop / 'shop.index'}")
    assert [hit["metadata"]["label"] for hit in found] == ["blue"] * 4
    assert all(re.match(r"\w+ blue", hit["source"]) for hit in found)
    # The run has embedded the same items itself.
    of_run = hits(*flags)
    assert [hit["id"] for hit in found] == [hit["id"] for hit in of_run]
    expected = [hit["score"] for hit in of_run]
    np.testing.assert_allclose([hit["score"] for hit in found], expected, atol=2e-5)
    other = jaxcmr.Index(model.size, "another")
    other.add(np.eye(model.size)[:1], modality="image", ids=["a"])
    other.save(shop / "other.index")
    done = search(
        shop / "cache", f"--workdir={shop / 'run'}", *flags, f"--index={shop / 'other.index'}"
    )
    assert done.returncode == 2 and "embeddings of the model 'another'" in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and done.stdout == ""


@pytest.mark.slow
def test_sheets_show_queries_and_hits(shop, ask):
    flags = (f"--query={shop / 'new' / 'red.png'}", "--text=red", "--to=image", "--k=6")
    done = ask(*flags, f"--sheet={shop / 'found.png'}")
    assert str(shop / "found.png") in done.stdout
    with Image.open(shop / "found.png") as sheet:
        assert min(sheet.size) > 100
    done = ask(*flags, f"--sheet={shop / 'found.html'}", "--json")
    assert len(json.loads(done.stdout)["hits"]) == 6
    assert (shop / "found.html").read_text().count("data:image/") >= 7


@pytest.mark.slow
def test_damaged_photos_are_counted_and_the_others_found(shop, ask):
    folder = shop / "mixed"
    paint(folder / "good" / "red.png", "red", 7)
    (folder / "bad.png").write_bytes((folder / "good" / "red.png").read_bytes()[:200])
    (folder / "worse.jpg").write_bytes(b"")
    done = ask("--text=red", f"--gallery={folder}", "--json")
    assert [hit["id"] for hit in json.loads(done.stdout)["hits"]] == ["good/red.png"]
    assert f"left out: 2 cannot be read, the first: {folder / 'bad.png'}" in done.stderr


def kept_rows(cache: Path) -> int:
    """Counts the embeddings that are kept in a cache folder."""
    count = "select count(*) from embeddings"
    try:
        (path,) = (cache / "jaxcmr" / "galleries").glob("*.sqlite3")
        return sqlite3.connect(path).execute(count).fetchone()[0]
    except (ValueError, sqlite3.Error):  # it is made just now
        return 0


@pytest.mark.slow
def test_what_was_embedded_before_an_interruption_is_reused(shop, tmp_path):
    for number in range(1500):
        paint(tmp_path / "many" / f"{number}.png", "red", 1000 + number, size=64)
    flags = (f"--workdir={shop / 'run'}", "--text=red", f"--gallery={tmp_path / 'many'}")
    command = [sys.executable, str(ROOT / "launch/search.py"), *flags]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    until = time.monotonic() + 120
    while not kept_rows(tmp_path):
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130 and b"goes on from what is saved" in process.stderr.read()
    done = search(tmp_path, *flags)
    known = int(re.search(r"items embedded in .*, (\d+) known from before", done.stderr)[1])
    assert done.returncode == 0 and 0 < known < 1500


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags, words",
    [
        (["--text=zebra"], "'zebra' has no word that the model knows"),
        (["--id=red-999", "--from=image"], "no row with the id 'red-999'; did you mean 'red-"),
        (["--query=new/red.png", "--from=points"], "no modality 'points', only image, text"),
        (["--text=red", "--index=items.csv"], "items.csv"),
        (["--text=red", "--member=7"], "no member 7 in"),
        (["--text=red", "--checkpoint=last"], "by all members of its best epoch"),
    ],
)
def test_mistakes_that_the_model_tells(shop, flags, words):
    done = search(shop / "cache", f"--workdir={shop / 'run'}", *flags, cwd=shop)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr and done.stdout == ""


@pytest.mark.slow
def test_runs_that_cannot_be_searched(shop, tmp_path):
    done = search(tmp_path, f"--workdir={tmp_path}", "--text=red")
    assert done.returncode == 2 and "holds no run" in done.stderr, done.stderr
    shutil.copytree(shop / "run", tmp_path / "run")
    (tmp_path / "run" / "preparation.json").unlink()
    done = search(tmp_path, f"--workdir={tmp_path / 'run'}", "--text=red")
    assert done.returncode == 2 and "preparation.json" in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "no run is named; add --workdir="),
        (["--workdir=w"], "there is no query; add --query=FILE"),
        (["--workdir=w", "--text=a", "--gallery="], "--gallery is empty; give it a value"),
        (["--workdir=w", "--text=a", "--gallery=tset"], "--gallery=tset is no folder or manifest"),
        (["--workdir=w", "--query=none.png"], "none.png cannot be read: there is no such file"),
        (["--workdir=w", "--query=."], "--query=. cannot be read: it is a folder"),
        (["--workdir=w", "--text=red", "--k=0"], "--k is 0, but it must be 1 or more"),
        (["--workdir=w", "--text=a", "--index=a", "--gallery=all"], "--index and --gallery both"),
        (["--workdir=w", "--text=red", "--sheet=a.gif"], "a.gif"),
        (["--workdir=w", "--text=red", "--checkpoint=first"], "best|last"),
        (["--workdir=w", "red"], "'red' is no flag"),
    ],
)
def test_mistakes_that_need_no_model(tmp_path, flags, words):
    done = search(tmp_path, *flags)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr and done.stdout == ""


def test_help_describes_the_command(tmp_path):
    done = search(tmp_path, "--help")
    assert done.returncode == 0 and done.stdout.startswith("Searches the common space of a fin")
    assert "--gallery=all" in done.stdout and "--where=" in done.stdout
