import functools
import os
import threading
import time

import numpy as np
import pytest

from jaxcmr.data import cache
from jaxcmr.data.items import objects
from jaxcmr.data.items.objects import Item, Recipe
from jaxcmr.errors import UsageError
from jaxcmr.storage import files

RECIPE = Recipe(points=8, views=1, image_size=8)
CALLS = []


def read(item):
    CALLS.append(item.id)
    if item.source == "broken":
        raise UsageError(f"{item.id} is broken")
    return np.random.default_rng(item.source).normal(size=(20, 3))


MAKE = functools.partial(objects.shape_arrays, read=read, recipe=RECIPE)


def items(count):
    return [Item(f"object_{k}", k % 3, k) for k in range(count)]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(objects, "SHARD", 4)
    CALLS.clear()


def test_an_interrupted_preparation_goes_on_where_it_stopped(tmp_path):
    folder = tmp_path / "set"
    broken = items(10)
    broken[9] = broken[9]._replace(source="broken")
    with pytest.raises(UsageError, match="object_9 is broken"):
        objects.prepare(broken, MAKE, folder, {}, workers=1)
    assert not folder.exists()
    assert len(CALLS) == 10
    CALLS.clear()
    arrays = objects.prepare(items(10), MAKE, folder, {"note": 1}, workers=1)
    assert CALLS == ["object_8", "object_9"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    whole = objects.prepare(items(10), MAKE, tmp_path / "other", {}, workers=1)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, whole[name])
    assert list(arrays["ids"]) == [f"object_{k}" for k in range(10)]
    np.testing.assert_array_equal(arrays["labels"], [k % 3 for k in range(10)])


def test_a_damaged_shard_or_result_is_made_again(tmp_path):
    folder = tmp_path / "set"
    expected = objects.prepare(items(5), MAKE, folder, {}, workers=1)
    (folder / "image.npy").write_bytes(b"\x93NUMPY cut")
    partial = tmp_path / "set.partial"
    partial.mkdir()
    (partial / "00000.npz").write_bytes(b"PK cut off")
    CALLS.clear()
    again = objects.prepare(items(5), MAKE, folder, {}, workers=1)
    assert len(CALLS) == 5
    np.testing.assert_array_equal(again["image"], expected["image"])


def test_rows_do_not_depend_on_their_neighbors(tmp_path):
    all_rows = objects.prepare(items(6), MAKE, tmp_path / "a", {}, workers=1)
    some = objects.prepare(items(6)[3:], MAKE, tmp_path / "b", {}, workers=1)
    np.testing.assert_array_equal(all_rows["points"][3:], some["points"])


def test_a_small_cloud_is_repeated_and_a_large_one_subsampled():
    cloud = np.random.default_rng(0).normal(size=(5, 3))
    few = objects.object_arrays(cloud, "x", RECIPE)["points"]
    assert len(few) == 8 and len(np.unique(few, axis=0)) == 5
    large = objects.object_arrays(np.random.default_rng(0).normal(size=(50, 3)), "x", RECIPE)
    assert len(np.unique(large["points"], axis=0)) == 8


def test_nothing_half_written_keeps_its_name(tmp_path):
    def fail(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(tmp_path / "x.npy", fail)
    with pytest.raises(ValueError):
        cache.save_arrays(tmp_path / "set", {"a": np.array([object()])}, {})
    assert list(tmp_path.iterdir()) == []


def test_roots(tmp_path, monkeypatch):
    assert cache.data_root("") == cache.user_cache() == tmp_path / "cache" / "jaxcmr"
    monkeypatch.setenv("JAXCMR_DATA", str(tmp_path))
    assert cache.data_root("") == tmp_path
    assert cache.prepared_folder(tmp_path) == tmp_path / "prepared"
    with pytest.raises(UsageError, match=r"config.data.root is /no/where, but there is no such"):
        cache.data_root("/no/where")


def test_a_set_that_another_process_prepares_is_waited_for_and_taken(tmp_path):
    """What this one would make is never asked for."""
    folder, began, made = tmp_path / "set", threading.Event(), []

    def slow(item):
        began.set()
        time.sleep(0.3)
        return MAKE(item)

    first = threading.Thread(
        target=lambda: made.append(objects.prepare(items(2), slow, folder, {}, workers=1))
    )
    first.start()
    began.wait()
    found = objects.prepare(items(2), lambda item: 1 / 0, folder, {}, workers=1)
    first.join()
    np.testing.assert_array_equal(found["points"], made[0]["points"])
    assert os.listdir(tmp_path) == ["set"]


def test_a_prepared_folder_whose_name_is_too_long_for_the_disk_gets_a_shorter_one(tmp_path):
    for name in ("x" * 250 + "-key", "ü" * 250 + "-key"):
        arrays = objects.prepare(items(1), MAKE, tmp_path / name, {}, workers=1)
        assert len(arrays["points"]) == 1
        assert cache.fitting(tmp_path / name).name.endswith("-key")
        assert cache.fitting(tmp_path / name).is_dir()
    assert cache.fitting(tmp_path / "short-key") == tmp_path / "short-key"


def test_what_a_killed_process_was_saving_is_removed(tmp_path):
    left = tmp_path / ".set.unfinished"
    left.mkdir()
    (left / "points.npy").write_bytes(b"half")
    objects.prepare(items(2), MAKE, tmp_path / "set", {}, workers=1)
    assert os.listdir(tmp_path) == ["set"]
