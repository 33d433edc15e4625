"""Meshes over TPU chips that form no box."""

from dataclasses import dataclass

import jax
import paired
import pytest

from jaxcmr.train import devices


@dataclass(frozen=True)
class Chip:
    """What JAX asks of a chip when it orders them, here one of a torus of 2 x 4."""

    id: int
    platform: str = "tpu"
    device_kind: str = "TPU v5 lite"
    process_index: int = 0
    core_on_chip: int = 0

    @property
    def coords(self) -> tuple[int, int, int]:
        return self.id % 2, self.id // 2, 0


@pytest.mark.parametrize(
    "members, batch, shape", [(5, 25, (5, 1)), (1, 7, (1, 7)), (4, 16, (4, 2))]
)
def test_chips_that_are_left_over_are_no_obstacle(monkeypatch, members, batch, shape):
    chips = [Chip(number) for number in range(8)]
    monkeypatch.setattr(jax, "devices", lambda: chips)
    config = paired.config()
    config.ensemble.members, config.train.batch_size = members, batch
    mesh = devices.build(config)
    assert mesh.devices.shape == shape and len(set(mesh.devices.flat)) == shape[0] * shape[1]
