"""One process of a run of several, started by test_processes: the same program in each of them."""

import json
import sys
from pathlib import Path

from jaxcmr import distributed


def saves(folder: Path) -> list[str]:
    """Writes thirty checkpoints of each kind beside steps; returns what is left of both."""
    import numpy as np
    import on_meshes
    import paired

    from jaxcmr import methods
    from jaxcmr.train import checkpoint, loop, stored

    config = on_meshes.config_of("mmcd", -1, -1)
    config.train.steps_per_call = 1
    method = methods.build(config, paired.CLASSES)
    machinery = loop.assemble(config, method, paired.dataset(rows=160), None)
    state = machinery.start
    with checkpoint.Checkpoints(folder, range(4)) as checkpoints:
        for epoch in range(3):
            for _ in range(10):
                asked = iter((True,))
                state, *_ = machinery.advance(state, epoch, stop=lambda asked=asked: next(asked))
                checkpoints.save_best(state, {})
                checkpoints.save_last(state, {})
        for restore in (checkpoints.restore_best, checkpoints.restore_last):
            content = lambda state: np.asarray(stored.fingerprint(stored.storable(state))).tolist()
            assert content(restore(state)[0]) == content(state)
    return sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))


def refused() -> list[str]:
    """Returns what every process is told of a mistake that process 0 alone finds."""
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
    import numpy as np
    import on_meshes
    import paired

    from jaxcmr import methods
    from jaxcmr.errors import StoppedError
    from jaxcmr.train import loop, stored

    found = {"devices": jax.device_count(), "processes": jax.process_count()}
    if task == "losses":
        for method in ("rono", "mmcd"):
            for member, data, feeding in ((1, 8, "streamed"), (4, 2, "resident")):
                config = on_meshes.config_of(method, member, data, feeding)
                losses, score, _ = on_meshes.train(config)
                found[f"{method} {member}x{data}"] = [losses.tolist(), score]
    elif task == "refusal":
        found["refused"] = refused()
    elif task == "saves":
        found["saved"] = saves(folder)
    else:  # the number of epochs after which the run ends
        config = on_meshes.config_of("mmcd", -1, -1)
        config.train.epochs = int(task)
        method = methods.build(config, paired.CLASSES)
        data, validation = paired.dataset(rows=160), paired.dataset(rows=50, seed=1)
        try:
            fitted = loop.fit(config, method, data, validation, folder)
            marks = stored.fingerprint(stored.storable(fitted.last))
            found |= {"step": int(fitted.last.step), "marks": np.asarray(marks).tolist()}
        except StoppedError as stopped:
            found["stopped"] = str(stopped)
    if distributed.first():
        print(json.dumps(found))


if __name__ == "__main__":
    address, count, number, folder, task = sys.argv[1:]
    main(address, count, number, Path(folder), task)
