"""The time that a trained model takes: to load, for a query, and for many photos and texts.

The run is of one epoch on 200 photos that are drawn here, JPEG files of 640 x 480, with texts of
twelve words: speed does not depend on weights. Of each number the best of several is printed, for
others may be at work on the machine; of the first answer the processor's time, too.
"""

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

PHOTOS, WORDS, ITEMS, MANY = 200, 2000, 100_000, 1024
CLASSES = ("mug", "lamp", "chair", "hat")
FIRST = """
import sys, time
import jaxcmr, jaxcmr.model
at = [float(sys.argv[3]), time.time()]
model = jaxcmr.load(sys.argv[1])
at.append(time.time())
model.embed(image=[sys.argv[2]])
at.append(time.time())
print(*at, time.process_time())
"""


def draw(folder):
    """Writes photos, their texts and a manifest; returns the paths of the photos and the texts."""
    from PIL import Image

    rng = np.random.default_rng(0)
    words = [f"word{k}" for k in range(WORDS)]
    paths = [folder / f"{k}.jpg" for k in range(PHOTOS)]
    texts = [" ".join([CLASSES[k % 4], *rng.choice(words, 11)]) for k in range(PHOTOS)]
    for k, path in enumerate(paths):
        coarse = rng.integers(0, 120, (12, 16, 3)) + 40 * (k % 4)
        photo = Image.fromarray(coarse.astype(np.uint8)).resize(
            (640, 480), Image.Resampling.BICUBIC
        )
        photo.save(path, quality=90)
    with open(folder / "items.csv", "w", newline="") as file:
        rows = zip(paths, texts, np.resize(CLASSES, PHOTOS))
        csv.writer(file).writerows([("image", "text", "label"), *rows])
    return paths, texts


def trained(folder, members):
    """Trains a model of so many members for an epoch; returns the folder of its run."""
    from jaxcmr import presets, train_and_evaluate

    config = presets.own_audit()
    config.data.path, config.train.epochs = str(folder / "items.csv"), 1
    config.ensemble.members, config.method.warmup_epochs = members, 1
    train_and_evaluate(config, folder / f"run of {members}")
    return folder / f"run of {members}"


def first_answer(workdir, photo, repeats):
    """Times fresh processes, after one that fills the cache of compiled programs.

    Returns the least of each: seconds of all, of the imports, of `load`, of the first embedding,
    and of the processor.
    """
    found = []
    for _ in range(repeats + 1):
        command = [sys.executable, "-c", FIRST, str(workdir), str(photo), str(time.time())]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        *at, processor = map(float, done.stdout.split())
        found.append([at[-1] - at[0], *np.diff(at), processor])
    return np.min(found[1:], axis=0)


def query(model, photos):
    """Times single queries by image file among `ITEMS` rows; returns medians and least seconds.

    Of the whole, the file to its row, the row to its embedding, and the search.
    """
    from jaxcmr import Index

    rows = np.random.default_rng(1).standard_normal((ITEMS, model.size), np.float32)
    index = Index(model.size, model.fingerprint)
    index.add(rows / np.linalg.norm(rows, axis=1, keepdims=True), modality="image")
    found = []
    for photo in photos:
        at = [time.perf_counter()]
        items, _ = model.preparation.rows("image", [photo])
        at.append(time.perf_counter())
        embedding = model.embed_rows("image", items)
        at.append(time.perf_counter())
        index.search(embedding, k=10)
        at.append(time.perf_counter())
        found.append([at[-1] - at[0], *np.diff(at)])
    return np.median(found[1:], axis=0), np.min(found[1:], axis=0)  # the first one compiles


def rate(model, modality, items, repeats):
    """Returns how many items are embedded in a second, at best."""
    items = [items[k % len(items)] for k in range(MANY)]
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        model.embed(**{modality: items})
        seconds.append(time.perf_counter() - began)
    return MANY / min(seconds[1:])


def run(members, repeats):
    """Prints the numbers of a single model and of an ensemble."""
    from absl import logging

    import jaxcmr

    logging.set_verbosity(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        photos, texts = draw(Path(folder))
        for count in sorted({1, members}):
            workdir = trained(Path(folder), count)
            total, imports, load, first, cpu = first_answer(workdir, photos[0], repeats)
            print(f"{count} members: first answer {total:.2f} s (imports {imports:.2f}, "
                  f"load {load:.2f}, embed {first:.2f}; processor {cpu:.2f})")  # fmt: skip
            model = jaxcmr.load(workdir)
            for name, seconds in zip(("median", "best"), query(model, photos)):
                whole, read, embed, search = 1e3 * seconds
                print(f"  a query among {ITEMS} x {model.size}, {name}: {whole:.1f} ms "
                      f"(file {read:.1f}, embed {embed:.1f}, search {search:.1f})")  # fmt: skip
            print(f"  {rate(model, 'image', photos, repeats):.0f} photos/s, "
                  f"{rate(model, 'text', texts, repeats):.0f} texts/s", flush=True)  # fmt: skip
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
