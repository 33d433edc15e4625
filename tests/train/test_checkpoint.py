"""Checkpoints that are damaged, cut short, or do not fit on the disk."""

import gc
import resource
import shutil

import jax
import numpy as np
import paired
import pytest

from jaxcmr.errors import UsageError
from jaxcmr.train import checkpoint, log
from jaxcmr.workdir.fingerprint import fingerprint, on_host


def _fit(folder, epochs=4):
    config = paired.config()
    config.train.epochs = epochs
    return paired.trainer(config, folder, validation=paired.held_out()).fit()


def _assert_equal(one, other):
    content = lambda state: jax.tree.leaves(checkpoint.storable(state))
    for a, b in zip(content(one), content(other), strict=True):
        np.testing.assert_array_equal(a, b)


def _data_files(folder):
    """The files that hold the arrays.

    All must be damaged to be sure of damage: how the writing threads meet decides which of them
    still holds what is read, and where.
    """
    return [path for path in (folder / "state").rglob("d/*") if path.is_file()]


@pytest.fixture(autouse=True)
def collected():
    """Leaves no failed task of the reader behind.

    Collected later, while pytest parses a module, it would print its traceback; Python 3.11
    parses source for that, and parsing inside of parsing is a SystemError there.
    """
    yield
    gc.collect()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, _fit(folder)


@pytest.fixture
def run(whole, tmp_path):
    """A copy of a finished run, and what it found."""
    shutil.copytree(whole[0], tmp_path / "run")
    return tmp_path / "run", whole[1]


def _cut(folder):
    for file in _data_files(folder):
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _flip(folder):
    for file in _data_files(folder):
        content = bytearray(file.read_bytes())
        for place in range(0, len(content), 97):
            content[place] ^= 0x10
        file.write_bytes(content)


def _empty(folder):
    for file in _data_files(folder):
        file.write_bytes(b"")


def _lose_record(folder):
    (folder / "record" / "metadata").write_text('{"record": {"ep')


def _change_record(folder):
    path = folder / "record" / "metadata"
    path.write_text(path.read_text().replace('"epoch": 4', '"epoch": 3'))


def _lose_description(folder):
    (folder / "state" / "_METADATA").write_text("{")


@pytest.mark.parametrize(
    "damage", [_cut, _flip, _empty, _lose_record, _change_record, _lose_description]
)
def test_a_damaged_checkpoint_is_skipped_with_a_warning(run, damage, caplog):
    folder, fitted = run
    last = folder / "checkpoints" / "last"
    assert sorted(int(path.name) for path in last.iterdir()) == [12, 16]
    damage(last / "16")
    with caplog.at_level("WARNING"):
        again = _fit(folder)
    assert "last/16 is damaged" in caplog.text and "the one before is used" in caplog.text
    _assert_equal(again.last, fitted.last)
    _assert_equal(again.best, fitted.best)
    assert [line["epoch"] for line in log.read(folder / "metrics.jsonl")] == [1, 2, 3, 4]
    caplog.clear()
    _fit(folder)
    assert "is damaged" not in caplog.text


def test_a_half_written_checkpoint_is_no_checkpoint(run):
    folder, fitted = run
    last = folder / "checkpoints" / "last"
    (last / "16").rename(last / "16.orbax-checkpoint-tmp-7")
    _empty(last / "16.orbax-checkpoint-tmp-7")
    _assert_equal(_fit(folder).last, fitted.last)


def test_a_run_without_a_readable_checkpoint_does_not_start_afresh_in_silence(run):
    folder, _ = run
    for step in ("12", "16"):
        _cut(folder / "checkpoints" / "last" / step)
    with pytest.raises(UsageError, match=r"no checkpoint in .*last can be read; put back a copy"):
        _fit(folder)


def test_the_fingerprint_sees_one_bit_and_two_elements_that_change_places():
    tree = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([True, False])}
    tree = jax.tree.map(jax.numpy.asarray, tree)
    before = np.asarray(fingerprint(tree))
    bit = tree | {"a": tree["a"].at[1, 1].set(np.nextafter(np.float32(4), np.float32(5)))}
    swapped = tree | {"a": tree["a"][:, ::-1]}
    flipped = tree | {"b": ~tree["b"]}
    assert (fingerprint(bit) != before).tolist() == [True, False]
    assert (fingerprint(swapped) != before).tolist() == [True, False]
    assert (fingerprint(flipped) != before).tolist() == [False, True]


def test_arrays_on_the_host_have_the_same_fingerprint():
    rng = np.random.default_rng(0)
    tree = {
        "weights": rng.normal(size=(3, 4, 5)).astype(np.float32),
        "turned": rng.normal(size=(4, 3)).astype(np.float32).T,
        "half": np.asarray(jax.numpy.linspace(-1, 1, 7, dtype=jax.numpy.bfloat16)),
        "alive": np.array([True, False]),
        "step": np.int32(-3),
        "nothing": np.zeros((0, 2), np.float32),
    }
    of_devices = fingerprint(jax.tree.map(jax.numpy.asarray, tree))
    assert on_host(tree) == np.asarray(of_devices).tolist()


def test_a_full_disk_is_a_sentence_and_the_last_good_checkpoint_stays(whole, tmp_path, monkeypatch):
    real, (_, hard) = log.log_progress, resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(line, epochs, left):
        real(line, epochs, left)
        if line["epoch"] == 2:  # epoch 2's checkpoint may still be on its way: it must not count
            resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard))

    with monkeypatch.context() as patch:
        patch.setattr(log, "log_progress", fill)
        try:
            with pytest.raises(UsageError, match=r"a checkpoint could not be written to .*; make"):
                _fit(tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    with checkpoint.Checkpoints(tmp_path / "checkpoints") as checkpoints:
        state, record = checkpoints.restore_last(whole[1].last)
    assert record["epoch"] in (1, 2) and int(state.step) == 4 * record["epoch"]
    _assert_equal(_fit(tmp_path).last, whole[1].last)


@pytest.mark.slow
def test_a_finished_run_that_is_given_more_epochs_equals_one_that_had_them_from_the_start(tmp_path):
    def fit(folder, epochs):
        config = paired.config()
        config.train.epochs, config.optimizer.schedule = epochs, "constant"
        return paired.trainer(config, folder).fit()

    fit(tmp_path / "longer", 2)
    _assert_equal(fit(tmp_path / "longer", 3).last, fit(tmp_path / "at once", 3).last)
    assert [line["epoch"] for line in log.read(tmp_path / "longer" / "metrics.jsonl")] == [1, 2, 3]


def test_a_run_that_has_lost_its_checkpoints_says_that_it_begins_anew(run, caplog):
    folder, fitted = run
    shutil.rmtree(folder / "checkpoints")
    with caplog.at_level("WARNING"):
        _assert_equal(_fit(folder).last, fitted.last)
    assert "there is no checkpoint in" in caplog.text and "begins anew" in caplog.text


def test_a_best_state_of_steps_that_come_again_is_not_taken_for_theirs(tmp_path, whole):
    state = whole[1].last
    other = state.replace(params=jax.tree.map(lambda leaf: leaf + 1, state.params))
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_last(state.replace(step=state.step * 0 + 3), {"epoch": 3})
        checkpoints.save_best(state.replace(step=state.step * 0 + 3), {"best_epoch": 3})
        checkpoints.save_best(other.replace(step=state.step * 0 + 4), {"best_epoch": 4})
    with checkpoint.Checkpoints(tmp_path) as checkpoints:
        checkpoints.restore_last(state)
        assert checkpoints.restore_best(state)[1] == {"best_epoch": 3}
        checkpoints.save_best(state.replace(step=state.step * 0 + 4), {"best_epoch": 4})
        found = checkpoints.restore_best(state)[0].params
    jax.tree.map(np.testing.assert_array_equal, found, state.params)


def test_a_run_that_has_only_its_best_checkpoint_does_not_begin_again(run):
    folder, _ = run
    shutil.rmtree(folder / "checkpoints" / "last")
    with pytest.raises(UsageError, match=r"no checkpoint in .*last to go on from, but one in"):
        _fit(folder)


def test_a_run_that_has_lost_its_best_checkpoint_says_so(run):
    folder, _ = run
    shutil.rmtree(folder / "checkpoints" / "best")
    with pytest.raises(UsageError, match=r"best has lost the checkpoint of the best epoch; put"):
        _fit(folder)
