"""Streamed feeding: the batches, results and resumption of the resident way, bit for bit."""

import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import paired
import pytest
from PIL import Image

from jaxcmr.config import method
from jaxcmr.errors import UsageError
from jaxcmr.storage import lazy
from jaxcmr.train import devices, feed, log


def _config(feeding, **fields):
    """Four epochs of 10 steps on 100 rows; streamed in calls of two or three steps."""
    config = paired.config()
    config.data.feeding = feeding
    config.data.resident_bytes = feed.PIECE * 3 * config.train.batch_size * 4 * (12 + 9)
    for name, value in fields.items():
        config.train[name] = value
    return config


def _stored(dataset, folder):
    """The same data set, its inputs on the disk."""
    inputs = {}
    for name, items in dataset.inputs.items():
        np.save(folder / f"{name}.npy", items)
        inputs[name] = lazy.stored(np.load(folder / f"{name}.npy", mmap_mode="r"))
    return dataclasses.replace(dataset, inputs=inputs)


def _fit(config, folder, train=None):
    train = paired.dataset(rows=100) if train is None else train
    return paired.trainer(config, folder, train, paired.held_out()).fit()


def _feed(config, dataset):
    return feed.build(config, dataset, devices.build(config))


def _assert_equal_states(one, other):
    leaves = lambda state: jax.tree.leaves((state.params, state.model_state, state.opt_state))
    for a, b in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(one.step) == int(other.step)


@pytest.fixture(scope="module")
def resident(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resident")
    return folder, _fit(_config("resident"), folder)


@pytest.mark.parametrize("kept", ["memory", "disk"])
def test_streamed_training_equals_resident_training_bit_for_bit(resident, tmp_path, kept):
    train = paired.dataset(rows=100)
    train = _stored(train, tmp_path) if kept == "disk" else train
    streamed = _fit(_config("streamed"), tmp_path, train)
    _assert_equal_states(resident[1].last, streamed.last)
    _assert_equal_states(resident[1].best, streamed.best)
    clock = {"steps_per_second", "wait_share"}
    lines = [log.read(folder / "metrics.jsonl") for folder in (resident[0], tmp_path)]
    for one, other in zip(*lines, strict=True):
        assert {k: v for k, v in other.items() if k not in clock} == {
            k: v for k, v in one.items() if k not in clock
        }


def test_a_streamed_run_that_was_stopped_goes_on_bit_for_bit(resident, tmp_path, monkeypatch):
    real = log.log_progress

    def stop(line, epochs, left):
        real(line, epochs, left)
        if line["epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(log, "log_progress", stop)
        with pytest.raises(KeyboardInterrupt):
            _fit(_config("streamed"), tmp_path)
    _assert_equal_states(resident[1].last, _fit(_config("streamed"), tmp_path).last)


def test_the_share_of_waiting_is_in_the_metrics_of_a_streamed_run_alone(resident, tmp_path):
    _fit(_config("streamed", epochs=1), tmp_path)
    (line,) = log.read(tmp_path / "metrics.jsonl")
    assert 0 <= line["wait_share"] <= 1
    assert all("wait_share" not in line for line in log.read(resident[0] / "metrics.jsonl"))


def test_the_share_of_waiting_is_logged(caplog):
    line = {"epoch": 1, "loss": 2.0, "steps_per_second": 3.0, "wait_share": 0.12}
    with caplog.at_level("INFO"):
        log.log_progress(line, 4, 60.0)
    assert "loss 2.000  3.0 steps/s (12% waiting)" in caplog.text


def test_an_epochs_batches_are_those_of_the_resident_set_in_its_order():
    train, key = paired.dataset(rows=105), jax.random.key(4)
    seen = {}
    for feeding in ("resident", "streamed"):
        source = _feed(_config(feeding), train)
        calls = list(source.calls(key, 1))
        seen[feeding] = np.concatenate([np.asarray(data.index)[rows] for data, rows in calls])
        for data, rows in calls:
            index, places = np.asarray(data.index), np.asarray(rows)
            np.testing.assert_array_equal(
                np.asarray(data.inputs["text"])[places], train.inputs["text"][index[places]]
            )
            np.testing.assert_array_equal(
                np.asarray(data.labels)[1, places], train.labels[index[places]]
            )
    assert seen["streamed"].shape == (10, 10)
    np.testing.assert_array_equal(seen["resident"], seen["streamed"])
    assert len(np.unique(seen["streamed"])) == 100


def test_clusters_of_a_streamed_set_are_those_of_a_resident_one():
    found = []
    for feeding in ("resident", "streamed"):
        config = _config(feeding)
        config.method = method("matching")
        trainer = paired.trainer(config, train=paired.dataset(rows=100))
        state = trainer.refresh(trainer.untrained, 0)
        found.append(jax.tree.leaves((state.params, state.beliefs)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_call_is_a_single_step_left_over():
    assert feed._spans(10, 3) == [(0, 2), (2, 5), (5, 7), (7, 10)]
    assert feed._spans(4, 4) == [(0, 4)]
    assert feed._spans(3, 1) == [(0, 1), (1, 2), (2, 3)]


def test_auto_streams_what_takes_more_than_the_limit():
    config, train = _config("auto"), paired.dataset(rows=100)
    config.data.resident_bytes = 100 * 4 * (12 + 9)
    assert not _feed(config, train).streamed
    config.data.resident_bytes -= 1
    assert _feed(config, train).streamed


@pytest.mark.parametrize("rows", [100, 97, 5])
def test_predictions_over_a_streamed_set_equal_those_over_a_resident_one(rows):
    dataset = paired.dataset(rows=rows)
    dataset.present["text"] = np.arange(rows) % 3 > 0
    config = _config("resident")
    trainer = paired.trainer(config)
    one, two = (
        trainer.predict(trainer.untrained, _feed(_config(feeding), dataset))
        for feeding in ("resident", "streamed")
    )
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert isinstance(b, np.ndarray) and b.shape[:3] == (1, 2, rows)
        np.testing.assert_array_equal(a, b)
    config.data.feeding, config.data.resident_bytes = "streamed", 14 * feed.PIECE * 4 * (12 + 9)
    blocks = list(_feed(config, dataset).parts())
    assert [count for *_, count in blocks] == [14] * (rows // 14) + [rows % 14] * (rows % 14 > 0)
    masks = np.concatenate([np.asarray(data.mask) for data, *_ in blocks])
    np.testing.assert_array_equal(masks, np.arange(len(masks)) < rows)


def test_only_a_few_calls_are_made_ahead_of_use():
    made, lock = [], threading.Lock()
    vectors = np.zeros((100, 21), np.float32)

    def read(rows):
        with lock:
            made.append(len(rows))
        return vectors[rows]

    train = dataclasses.replace(
        paired.dataset(rows=100), inputs={"image": lazy.LazyRows(read, (100, 21), np.float32)}
    )
    config = _config("streamed", steps_per_call=1)
    calls = _feed(config, train).calls(jax.random.key(0), 0)
    next(calls)
    time.sleep(0.3)
    assert made == [10] * min(feed.MAX_WORKERS + 1, len(made))


def test_what_was_used_is_dropped_by_another_thread_and_little_is_kept():
    dropped, alive, most = [], [], 0

    class Piece:
        def __init__(self, job):
            self.job = job
            alive.append(job)

        def __del__(self):
            alive.remove(self.job)
            if threading.current_thread() is not threading.main_thread():
                dropped.append(self.job)

    with ThreadPoolExecutor(2) as pool:
        seen = []
        for piece in feed.ahead(pool, Piece, range(40), 2):
            seen.append(piece.job)
            most = max(most, len(alive))
    assert seen == list(range(40))
    assert set(range(36)) <= set(dropped)
    assert most <= 2 + 4  # of which `PIECE` tells


def test_an_item_that_cannot_be_decoded_ends_the_run_in_its_sentence(tmp_path):
    def decode(row):
        if row == 57:
            raise UsageError("row 57 is damaged")
        return np.ones(12, np.float32)

    train = paired.dataset(rows=100)
    image = lazy.decoded(range(100), decode)
    train = dataclasses.replace(train, inputs={**train.inputs, "image": image})
    with pytest.raises(UsageError, match="row 57 is damaged"):
        _fit(_config("streamed"), tmp_path, train)


def test_decoded_pictures_give_what_arrays_of_them_give(tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (100, 3, 4), dtype=np.uint8)
    paths = [tmp_path / f"{row}.png" for row in range(100)]
    for path, picture in zip(paths, pictures):
        Image.fromarray(picture).save(path)
    train = paired.dataset(rows=100)
    states = []
    for feeding, items in (
        ("resident", pictures.reshape(100, 12)),
        ("streamed", lazy.decoded(paths, lambda path: np.asarray(Image.open(path)).ravel())),
    ):
        decoded = dataclasses.replace(train, inputs={**train.inputs, "image": items})
        trainer = paired.trainer(_config(feeding, epochs=1), train=decoded)
        states.append(trainer.run_epoch(trainer.untrained, 0, {})[0])
    _assert_equal_states(*states)


@pytest.mark.slow
def test_a_set_ten_times_the_limit_is_hardly_waited_for(tmp_path):
    rows, width = 40_000, 1024
    file = np.lib.format.open_memmap(tmp_path / "image.npy", "w+", np.float32, (rows, width))
    rng = np.random.default_rng(0)
    for start in range(0, rows, 4000):
        file[start : start + 4000] = rng.standard_normal((4000, width), dtype=np.float32)
    file.flush()
    image = lazy.stored(np.load(tmp_path / "image.npy", mmap_mode="r"))
    text = rng.standard_normal((rows, 9), dtype=np.float32)
    train = dataclasses.replace(paired.dataset(rows=rows), inputs={"image": image, "text": text})
    config = _config("auto", epochs=2, batch_size=128)
    config.data.resident_bytes = image.nbytes // 10
    config.encoders.image.options.fc.hidden = (512,)
    trainer = paired.trainer(config, train=train)
    state, *_ = trainer.run_epoch(trainer.untrained, 0, {})
    _, _, speed, _ = trainer.run_epoch(state, 1, {})
    assert speed["wait_share"] <= 0.05
