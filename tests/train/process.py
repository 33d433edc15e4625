"""One process of a run of several, started by test_processes: the same program in each of them."""

import json
import sys
from pathlib import Path

from jaxcmr.train import distributed


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
