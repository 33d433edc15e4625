"""What is trained on a device: RONO, MMCD and RoMo on random items, and whole epochs."""

import functools
from pathlib import Path
from typing import NamedTuple

import epoch
import jax
import members
import numpy as np
import training
from device_rates import Steps, seconds_of
from stopwatch import interleaved

from jaxcmr.config import loading

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
CLASSES, REPEATS = 10, 5
STAGES = {"pairs": 0, "match": 1, "romo": 2}


class Sizes(NamedTuple):
    """How large the networks and the sets are.

    Attributes:
        steps: of a jitted call.
        batch: of RONO on ModelNet; `views` pictures of `pixels`, and clouds of `points`.
        width: of its ResNet, and of the first edge convolution.
        cloud: points of a digit.
        rows: of an epoch.
    """

    steps: int
    batch: int
    views: int
    pixels: int
    points: int
    width: int
    cloud: int
    rows: int


FULL = Sizes(steps=8, batch=128, views=12, pixels=112, points=1024, width=64, cloud=2048, rows=5000)
SMALL = Sizes(steps=2, batch=8, views=2, pixels=32, points=64, width=8, cloud=64, rows=256)


@functools.cache
def rono(precision: str, sizes: Sizes) -> Steps:
    """Returns the steps of `configs/rono_modelnet.py:paper`."""
    config = _load("rono_modelnet.py:paper")
    config.train.batch_size = sizes.batch
    config.encoders.image.options.resnet18.width = sizes.width
    widths = tuple(sizes.width * factor for factor in (1, 1, 2, 4))
    config.encoders.points.options.dgcnn.widths = widths
    images = (sizes.views, sizes.pixels, sizes.pixels, 3)
    return _steps(config, precision, sizes, images, sizes.points)


@functools.cache
def articles(count: int, sizes: Sizes) -> Steps:
    """Returns the steps of MMCD at Wikipedia's sizes."""
    config = _on_one_device(members.mmcd(count))
    rows = sizes.steps * config.train.batch_size
    return Steps(training.trainer(config, *members.random_pairs(rows)))


@functools.cache
def digits(count: int, sizes: Sizes) -> Steps:
    """Returns the steps of the last stage of `configs/mmcd_mnist3d.py`."""
    config = _load("mmcd_mnist3d.py")
    config.ensemble.members = count
    return _steps(config, "float32", sizes, (28, 28, 1), sizes.cloud)


@functools.cache
def romo(stage: str, sizes: Sizes) -> Steps:
    """Returns the steps of a stage of `configs/romo_mnist3d.py`."""
    return Steps(_romo(stage, sizes))


def refresh(sizes: Sizes) -> dict:
    """Measures the clusters that RoMo makes of all rows between epochs."""
    trainer = _romo("match", sizes)
    seconds = seconds_of(lambda: trainer.refresh(trainer.untrained, 0).params)
    return {"ms": 1e3 * seconds, "rows": sizes.rows}


def _romo(stage: str, sizes: Sizes):
    config = _load("romo_mnist3d.py")
    config.train.steps_per_call = sizes.steps
    pairs = random_items((28, 28, 1), sizes.cloud, sizes.rows)
    return training.trainer(config, *pairs, stage=STAGES[stage])


def resident_epoch(config, inputs, labels) -> dict:
    """Measures whole epochs against the same steps without anything between the calls."""
    config = _on_one_device(config)
    steps = Steps(training.trainer(config, inputs, labels))
    sides = {
        "ms": training.epochs(config, inputs, labels),
        "ms of the steps alone": lambda: jax.block_until_ready(steps()),
    }
    found = {name: 1e3 * seconds for name, seconds in interleaved(sides, REPEATS).items()}
    return found | {"share lost": 1 - found["ms of the steps alone"] / found["ms"]}


def articles_epoch(sizes: Sizes) -> dict:
    """Measures epochs of MMCD with one member at Wikipedia's sizes."""
    return resident_epoch(members.mmcd(1), *members.random_pairs(sizes.rows)) | _rows(sizes)


def features_epoch(sizes: Sizes) -> dict:
    """Measures epochs of RONO on 3D MNIST's pictures and point features."""
    return resident_epoch(epoch.published(), *_features(sizes)) | _rows(sizes)


def streamed_epoch(sizes: Sizes) -> dict:
    """Measures the second epoch of the same, streamed within the bytes that the set has."""
    inputs, labels = _features(sizes)
    config = _on_one_device(epoch.published())
    config.data.feeding = "streamed"
    config.data.resident_bytes = sum(items.nbytes for items in inputs.values())
    seconds, wait_share = training.second_epoch(config, inputs, labels)
    return {"ms": 1e3 * seconds, "wait share": wait_share} | _rows(sizes)


def _rows(sizes: Sizes) -> dict:
    return {"rows": sizes.rows}


def _features(sizes: Sizes):
    images, features, labels = epoch.random_pairs(sizes.rows)
    return {"image": images, "points": features}, labels


def random_items(picture: tuple[int, ...], points: int, rows: int):
    """Returns pictures and clouds by modality, and labels."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (rows, *picture), dtype=np.uint8)
    clouds = 0.3 * rng.standard_normal((rows, points, 3), dtype=np.float32)
    labels = rng.permutation(np.arange(rows, dtype=np.int32) % CLASSES)  # every class is there
    return {"image": images, "points": clouds}, labels


def _load(name: str):
    return _on_one_device(loading.load(f"{CONFIGS}/{name}", CONFIGS).unlock())


def _on_one_device(config):
    config.mesh.member = config.mesh.data = 1
    return config


def _steps(config, precision: str, sizes: Sizes, picture: tuple[int, ...], points: int) -> Steps:
    """Returns the steps of a config's last stage on as many rows as a call takes."""
    config.train.compute_dtype = precision
    rows = sizes.steps * config.train.batch_size
    return Steps(training.trainer(config, *random_items(picture, points, rows)))
