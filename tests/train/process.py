"""One process of a run of several, started by test_processes: the same program in each of them."""

import json
import sys
from pathlib import Path

from jaxcmr import distributed


def saves(folder: Path) -> list[str]:
    """Writes thirty checkpoints of each kind beside steps; returns what is left of both."""
    import on_meshes

    from jaxcmr.train import checkpoint

    config = on_meshes.config_of("label_vote", -1, -1)
    config.train.steps_per_call = 1
    trainer = on_meshes.trainer_of(config)
    state = trainer.untrained
    with checkpoint.Checkpoints(folder) as checkpoints:
        for epoch in range(6):
            for _ in range(5):  # of two calls of a step: one is under way when it stops
                state, *_ = trainer.run_epoch(state, epoch, {}, stop=lambda: 1)
                checkpoints.save_best(state, {})
                checkpoints.save_last(state, {})
        for restore in (checkpoints.restore_best, checkpoints.restore_last):
            assert marks(restore(state)[0]) == marks(state)
    return sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))


def marks(state) -> list[int]:
    """Returns the fingerprint of a state."""
    import numpy as np

    from jaxcmr.train.checkpoint import storable
    from jaxcmr.workdir.fingerprint import fingerprint

    return np.asarray(fingerprint(storable(state))).tolist()


def refused() -> list[str]:
    """Returns the sentence that every process raises for a mistake that process 0 alone finds."""
    import numpy as np
    from jax.experimental import multihost_utils

    from jaxcmr.errors import UsageError

    def find() -> None:
        if not distributed.first():
            raise AssertionError("process 0 alone does the work")
        raise UsageError("a folder in use: [ü] \udcff")

    distributed.by_the_first(lambda: None)
    try:
        distributed.by_the_first(find)
    except UsageError as error:
        text = np.frombuffer(str(error).encode(errors="replace").ljust(80), np.uint8)
        return [row.tobytes().decode().rstrip() for row in multihost_utils.process_allgather(text)]


def main(address: str, count: str, number: str, folder: Path, task: str) -> None:
    """Joins the others before anything else, then does a task; process 0 prints what it found."""
    if int(count) > 1:
        distributed.start(address, int(count), int(number))
    import jax
    import on_meshes
    import paired

    from jaxcmr.errors import StoppedError

    found = {"devices": jax.device_count(), "processes": jax.process_count()}
    if task == "losses":
        for method in ("rono", "label_vote"):
            for member, data, feeding in ((1, 8, "streamed"), (4, 2, "resident")):
                config = on_meshes.config_of(method, member, data, feeding)
                losses, score, _ = on_meshes.train(config)
                found[f"{method} {member}x{data}"] = [losses.tolist(), score]
    elif task == "refusal":
        found["refused"] = refused()
    elif task == "saves":
        found["saved"] = saves(folder)
    else:  # the number of epochs after which the run ends
        config = on_meshes.config_of("label_vote", -1, -1)
        config.train.epochs = int(task)
        data, validation = paired.dataset(rows=160), paired.dataset(rows=50, seed=1)
        try:
            last = paired.trainer(config, folder, data, validation).fit().last
            found |= {"step": int(last.step), "marks": marks(last)}
        except StoppedError as stopped:
            found["stopped"] = str(stopped)
    if distributed.first():
        print(json.dumps(found))


if __name__ == "__main__":
    address, count, number, folder, task = sys.argv[1:]
    main(address, count, number, Path(folder), task)
