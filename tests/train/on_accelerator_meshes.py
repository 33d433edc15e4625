"""Run by test_accelerator_meshes on eight virtual devices: partitions steps, prints what it saw."""

import json
import sys
from functools import partial
from pathlib import Path

import collectives
import jax
import lowering
from ml_collections import ConfigDict

from jaxcmr.train import stages


def paper(**train) -> ConfigDict:
    """RONO with narrow ResNet18 and DGCNN on small items; a batch over eight devices."""
    config = lowering.load("rono_modelnet:paper")
    config.data.views, config.data.image_size, config.data.points = 3, 16, 32
    config.encoders.image.options.resnet18.width = 8
    config.encoders.points.options.dgcnn = {"k": 4, "widths": (8, 8)}
    config.mesh.member, config.mesh.data = 1, 8
    return shrunk(config, train)


def members(**train) -> ConfigDict:
    """MMCD with two narrow CNNs; four members, each on two devices."""
    config = lowering.load("mmcd_mnist3d")
    config.data.points = 32
    config.encoders.image.options.compact_cnn.width = 8
    config.encoders.points.options.triplane_cnn.width = 8
    config.ensemble.members, config.mesh.member, config.mesh.data = 4, 4, 2
    return shrunk(config, train)


def shrunk(config: ConfigDict, train: dict[str, str]) -> ConfigDict:
    config.encoders.embedding_size, config.train.batch_size = 16, 16
    config.train.update(train)
    return config


RUNS = {
    "paper float32": paper(),
    "paper bfloat16": paper(compute_dtype="bfloat16"),
    "paper remat": paper(remat="towers"),
    "members float32": members(),
    "members bfloat16": members(compute_dtype="bfloat16"),
}


def seen(config: ConfigDict) -> dict:
    """Returns what the accelerator's form of the programs runs, and what the step sends."""
    stage = stages.plan(config, Path("nowhere"))[-1]
    with lowering.accelerator("cuda"):
        program = dict(lowering.programs(stage))["step"].lower().compile()
    sent = collectives.collectives(program.as_text(), config.mesh.member, config.mesh.data)
    return {
        "lowered": lowering.counted(partial(lowering.programs, stage)),
        "collectives": collectives.count(sent),
    }


def main() -> None:
    report = {"devices": jax.device_count()}
    for name, config in RUNS.items():
        report[name] = seen(config)
        print(name, file=sys.stderr, flush=True)
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
