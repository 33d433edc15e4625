"""The search page with the real server: a run on photos and titles is trained, served, searched."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from chromium import Browser, executable
from PIL import Image

from jaxcmr.config import method
from jaxcmr.train.run import train_and_evaluate

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
COLORS = ("red", "green", "blue")
ROWS = 90
CARDS = """[...document.querySelectorAll('#hits li')].map((card) => ({
  id: card.querySelector('bdi.mono').textContent, words: card.querySelector('.words')?.textContent,
  picture: card.querySelector('img')?.naturalWidth, facts: card.querySelector('.facts').innerText,
}))"""


def photo(color: int, seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 90, (24, 32, 3))
    pixels[..., color] += 150
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.fixture(scope="module")
def shop(tmp_path_factory, real_config):
    """The folder of a shop: its photos, its table, and a run on them."""
    executable()  # without a browser nothing needs to be trained
    folder = tmp_path_factory.mktemp("shop")
    with open(folder / "items.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("id", "image", "text", "label", "split"))
        for row in range(ROWS):
            photo(row % 3, row).save(folder / f"{row}.png")
            text = f"a {COLORS[row % 3]} mug, number {row}"
            split = "test" if row >= ROWS - 30 else "train"
            table.writerow((f"mug {row}", f"{row}.png", text, COLORS[row % 3], split))
    config = real_config("rono_custom")
    config.data.path, config.data.modalities = str(folder / "items.csv"), ("image", "text")
    config.data.image_size, config.method = 32, method("ce")
    config.train.epochs, config.train.batch_size, config.encoders.embedding_size = 12, 9, 16
    train_and_evaluate(config, folder / "run")
    return folder


@pytest.fixture
def server(shop):
    """A process that serves the run, and its address."""
    command = [sys.executable, "launch/serve.py", f"--workdir={shop / 'run'}", "--port=0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline()
        yield process, line.split(" ")[0]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.fixture
def browser(server, tmp_path):
    browser = Browser(tmp_path / "browser")
    browser.size(1280)
    browser.visit(server[1])
    yield browser
    browser.close()


def cards(browser) -> list[dict]:
    """The hits, once all pictures in sight are there."""
    browser.until("document.getElementById('wait').hidden")
    assert not browser.text("#sentence")
    browser.until("[...document.querySelectorAll('#hits img')].every((image) => image.complete)")
    return browser.js(CARDS)


def search(browser, words: str) -> None:
    browser.js(f"document.getElementById('text').value = {json.dumps(words)}")
    browser.click("#ask .primary")
    browser.until("document.getElementById('wait').hidden")


def look_for(browser, modality: str) -> None:
    browser.js(
        f"{{ const e = document.getElementById('to'); e.value = '{modality}'; "
        "e.dispatchEvent(new Event('change')); }"
    )


def color_of(card) -> str:
    return COLORS[int(card["id"].split()[1]) % 3]


def test_a_person_searches_a_shop(browser, server, tmp_path):
    assert f"{2 * ROWS} items: {ROWS} image, {ROWS} text" in " ".join(browser.text(".top").split())
    search(browser, "red")
    found = cards(browser)
    assert len(found) == 12 and [color_of(card) for card in found] == ["red"] * 12
    assert all(card["picture"] == 160 for card in found)  # 32 pixels, enlarged
    assert "label red" in " ".join(found[0]["facts"].split())
    search(browser, "xylophone")
    assert "no word that the model knows" in browser.text("#sentence")

    photo(2, seed=1000).save(tmp_path / "new.webp")
    browser.choose_file("#file", tmp_path / "new.webp")
    browser.until("!document.getElementById('preview').hidden")
    look_for(browser, "text")
    search(browser, "")
    found = cards(browser)
    assert [color_of(card) for card in found] == ["blue"] * 12
    assert all("a blue mug, number" in card["words"] for card in found)

    browser.click("#hits .pick")
    browser.until("document.getElementById('heading').textContent.startsWith('More like mug')")
    more = cards(browser)
    assert found[0]["id"] not in [card["id"] for card in more]
    split = next(k for k, line in enumerate(found[0]["facts"].split("\n")) if "split" in line)
    browser.click(f"#hits .facts div:nth-child({split + 1}) button")
    split = browser.text("#where button").removesuffix(" ✕")
    assert all(split.replace(":", "") in " ".join(c["facts"].split()) for c in cards(browser))
    assert not [error for error in browser.errors if error.get("source") != "network"]
    assert all(url.startswith((server[1], "data:", "about:")) for url in browser.requests)


def test_a_server_that_was_stopped_is_told(browser, server):
    search(browser, "red")
    assert len(cards(browser)) == 12
    process, _ = server
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    search(browser, "green")
    assert browser.text("#sentence").startswith("The server does not answer.")
