"""The mesh of a config: what is left open is filled in, what cannot be divided is refused."""

from types import SimpleNamespace

import paired
import pytest

from jaxcmr.errors import UsageError
from jaxcmr.train import devices, forward


def test_statistics_of_a_single_item_are_a_sentence():
    config, mesh = _config(batch=8), SimpleNamespace(shape={"data": 8})
    config.train.batch_statistics = "device"
    with pytest.raises(UsageError, match=r"1 item .*batch_size to 16 or .*batch_statistics"):
        forward.build(config, None, mesh)


@pytest.mark.parametrize(
    "fields, count, expected",
    [
        ({}, 1, (1, 1)),
        ({}, 8, (4, 2)),
        ({"members": 1}, 8, (1, 8)),
        ({"members": 3}, 4, (1, 4)),
        ({"member": 2}, 8, (2, 4)),
        ({"data": 2}, 8, (4, 2)),
        ({"member": 1, "data": 1}, 8, (1, 1)),
        # What cannot be divided leaves devices idle.
        ({"batch": 100, "members": 1}, 8, (1, 5)),
        ({"batch": 100, "members": 5}, 8, (5, 1)),
        ({"batch": 100}, 8, (4, 2)),
        ({"batch": 7, "members": 3}, 8, (1, 7)),
        ({"data": 5, "batch": 10}, 8, (1, 5)),
        ({"member": 4, "batch": 9}, 8, (4, 1)),
        ({"statistics": "device", "batch": 8, "members": 1}, 8, (1, 4)),
    ],
)
def test_what_is_left_open_is_filled_in(fields, count, expected):
    assert devices._sizes(_config(**fields), count) == expected


@pytest.mark.parametrize(
    "fields, count, words",
    [
        ({"member": 9}, 8, r"config\.mesh\.member is 9, but there are 8 devices"),
        ({"member": 8}, 8, r"mesh\.member is 8.*config\.ensemble\.members, which is 4"),
        ({"member": 3}, 8, r"mesh\.member is 3.*config\.ensemble\.members, which is 4"),
        ({"member": 4, "data": 4}, 8, r"4 x 4 devices, but there are 8"),
        ({"data": 5}, 8, r"batch_size is 16, but .*mesh\.data is 5.*make it 20, or .* -1"),
    ],
)
def test_what_cannot_be_divided_is_a_sentence(fields, count, words):
    with pytest.raises(UsageError, match=words):
        devices._sizes(_config(**fields), count)


def test_devices_that_do_not_work_are_said(monkeypatch):
    monkeypatch.setattr(devices.jax, "device_count", lambda: 8)
    assert devices.idle(_config()) == ""
    sentence = devices.idle(_config(batch=100, members=5))
    assert sentence.startswith("5 of 8 devices work: 5 by members, 1 by batches of 100; ")
    assert sentence.endswith("with config.train.batch_size=104 all do")
    assert devices.idle(_config(batch=104, members=5)) == ""


def _config(member=-1, data=-1, members=4, batch=16, statistics="global"):
    config = paired.config()
    config.train.batch_statistics = statistics
    config.mesh.member, config.mesh.data = member, data
    config.ensemble.members, config.train.batch_size = members, batch
    return config
