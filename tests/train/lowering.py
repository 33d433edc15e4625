"""Lowers the programs of all configs for accelerators, on any machine, and counts what they run.

Programs are traced with shapes alone: nothing is compiled, initialised or read. The command

    PYTHONPATH=. python tests/train/lowering.py

writes the counts to `tests/golden/lowered.json`, a line a program. The diff shows what a change
does to an accelerator: a convolution that became products, or a top-k that became a sort.
"""

import functools
import inspect
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
from jax.stages import Traced
from ml_collections import ConfigDict
from program_inputs import items, laid, resident, whole

from jaxcmr import methods
from jaxcmr.beliefs import clusters, neighbors
from jaxcmr.config import loading
from jaxcmr.data.own.complete import BATCH, by_kind
from jaxcmr.errors import UsageError
from jaxcmr.retrieval import blocks, metrics, nearest
from jaxcmr.train import devices, evaluate, feed, forward, optimizer, stages
from jaxcmr.train import state as train_state
from jaxcmr.train.stages import Stage
from jaxcmr.train.step import build_step, method_numbers

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "tests" / "golden" / "lowered.json"
PLATFORMS = ("cuda", "tpu")
CLASSES, STEPS = 10, 2
COUNTED = {
    "stablehlo.convolution": "conv",
    "stablehlo.dot_general": "dot",
    "chlo.top_k": "top_k",
    "stablehlo.sort": "sort",
    "stablehlo.gather": "gather",
    "stablehlo.scatter": "scatter",
    "stablehlo.reduce_window": "reduce_window",
    "chlo.scan": "reduce_window",  # for CUDA, what a sum of windows was before jax 0.11
    "stablehlo.select_and_scatter": "select_and_scatter",
    "stablehlo.while": "loop",
}
CUSTOM_CALL, CALL = "stablehlo.custom_call", "func.call"
# Where JAX's plugin for CUDA is installed, it draws random numbers by a kernel of its own.
RANDOM_NUMBERS = "cu_threefry2x32"

Programs = Iterator[tuple[str, Traced]]
Counts = Mapping[str, int]  # kind of operation -> how many


@contextmanager
def accelerator(platform: str) -> Iterator[None]:
    """Lets what is traced take the form for an accelerator."""
    backend = {"cuda": "gpu", "tpu": "tpu"}[platform]
    with mock.patch.object(jax, "default_backend", lambda: backend):
        yield


def trained() -> list[str]:
    """All stages of all configs and variants, as "config:variant stage"."""
    found = []
    for file in sorted(path.stem for path in (ROOT / "configs").glob("*.py")):
        for name in (file, *(f"{file}:{variant}" for variant in variants(file))):
            found += [f"{name} {stage}" for stage in load(name).stages]
    return found


def variants(file: str) -> list[str]:
    """The variants of a config, which the sentence about an unknown one lists."""
    try:
        load(f"{file}:unknown")
    except UsageError as refused:
        listed = re.search(r"; use (.*) or none", str(refused))
        return listed[1].split(", ") if listed else []
    raise ValueError(f"{file} takes any variant")


def load(name: str) -> ConfigDict:
    """A config, with what `rono_custom` leaves to the data."""
    file, _, variant = name.partition(":")
    path = ROOT / "configs" / f"{file}.py"
    config = loading.load(f"{path}:{variant}" if variant else str(path), path.parent).unlock()
    if config.data.name == "own":
        kinds = {"image": "image", "points": "cloud", "text": "vector"}
        config.data.modalities, config.train.batch_size = tuple(kinds), BATCH
        for modality, kind in kinds.items():
            config.encoders[modality] = by_kind(kind)
    return config


def programs(stage: Stage) -> Programs:
    """Traces what a stage runs, as `Trainer` does: start, step, and prediction over a set."""
    config, method, mesh = stage.config, stage.method, stage.mesh
    rows = STEPS * config.train.batch_size
    rule = optimizer.build(config.optimizer, STEPS)
    create = functools.partial(
        train_state.create, method, rule, num_classes=CLASSES, seed=0,
        members=config.ensemble.members, rows=rows,
    )  # fmt: skip
    state = jax.eval_shape(create, items(config, 2))
    layout = devices.of_state(mesh, method, state, rows, CLASSES)
    yield "start", jax.jit(create, out_shardings=layout).trace(items(config, 2))

    everywhere = devices.replicated(mesh)
    state = jax.tree.map(laid, state, layout)
    rates = optimizer.rates(config.optimizer, state.params)
    hp = {"method": method_numbers(config.method), "rates": rates}
    data, hp = jax.tree.map(lambda leaf: laid(leaf, everywhere), (whole(config, rows), hp))
    take, by_rows = resident(config, mesh).take, devices.by_rows(mesh, axis=1)
    places = lambda size: jax.ShapeDtypeStruct((STEPS, size), jnp.int32, sharding=by_rows)
    apply = forward.build(config, method, mesh)
    step = build_step(
        method, apply, rule, take,
        steps_per_epoch=STEPS, total_steps=STEPS, shardings=layout,
    )  # fmt: skip
    yield "step", step.trace(state, data, places(config.train.batch_size), hp)

    predict = inspect.getclosurevars(evaluate.build_predict(apply, mesh)).nonlocals["part"]
    blocks_of_rows = places(feed._block(config, mesh))
    yield "predict", predict.trace(state, hp["method"], data, blocks_of_rows, take=take)


def retrieval() -> Programs:
    """Traces what ranks and searches a gallery, and what clusters and compares rows."""
    shape, mesh = jax.ShapeDtypeStruct, blocks.one_device()
    rows = lambda count: shape((count, 640), jnp.float32)
    numbers = lambda count: shape((count,), jnp.int32)
    queries, gallery, exist = rows(64), rows(900), shape((900,), bool)
    labels = (numbers(64), numbers(64), gallery, numbers(900), exist)
    yield "unit rows", blocks._unit_rows.trace(gallery)
    yield "joined embeddings", evaluate._joined.trace(shape((5, 900, 128), jnp.float32))
    yield "scores", metrics._measured(mesh, (10, 50)).trace(queries, *labels)
    searched = (queries, rows(2**17), shape((2**17,), bool))
    for name, approx in (("search", False), ("approximate search", True)):
        yield name, nearest.nearest(mesh, 16, 2**26, approx).trace(*searched)
    key = jax.eval_shape(lambda: jax.random.key(0))
    yield "k-means", clusters._kmeans.trace(key, gallery, exist, CLASSES, 4, 100)
    yield "lloyd", clusters._lloyd.trace(gallery, rows(CLASSES), exist, 300)
    counted = neighbors._counts.trace(gallery, numbers(900), 10, CLASSES, exist, 256)
    yield "neighbor counts", counted


def counts(traced: Traced, platform: str) -> Counts:
    """Counts the operations of a program by kind.

    A function of the program counts as often as it is called, the body of a loop once.
    """
    found = Counter()
    for op, _ in executed(traced, platform):
        target = op.attributes["call_target_name"].value if op.name == CUSTOM_CALL else ""
        found[f"custom_call {target}" if target else COUNTED[op.name]] += 1
    others = sorted(name for name in found.keys() - COUNTED.values() if RANDOM_NUMBERS not in name)
    return {kind: found[kind] for kind in (*COUNTED.values(), *others) if found[kind]}


def executed(traced: Traced, platform: str) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yields what a lowered program runs that counts, and the calls through which it is reached."""
    module = traced.lower(lowering_platforms=(platform,)).compiler_ir("stablehlo")
    wanted = {*COUNTED, CUSTOM_CALL, CALL}
    inside = {}
    for function in operations(module.operation):
        if function.name == "func.func":
            found = [op for op in operations(function) if op.name in wanted]
            inside[function.attributes["sym_name"].value] = found

    def of_function(name: str, calls: tuple[Any, ...]):
        for op in inside[name]:
            if op.name == CALL:
                yield from of_function(op.attributes["callee"].value, (*calls, op))
            else:
                yield op, calls

    return of_function("main", ())


def operations(top: Any) -> Iterator[Any]:
    """Yields all operations inside one."""
    for region in top.regions:
        for block in region:
            for op in block:
                yield op.operation
                yield from operations(op.operation)


def counted(trace: Callable[[], Programs]) -> dict[str, Counts]:
    """Counts programs on all platforms; where these agree, on "cuda, tpu"."""
    each = {}
    for platform in PLATFORMS:
        with accelerator(platform):
            each[platform] = {name: counts(traced, platform) for name, traced in trace()}
    table = {}
    for name, cuda in each["cuda"].items():
        tpu = each["tpu"][name]
        found = {"cuda, tpu": cuda} if cuda == tpu else {"cuda": cuda, "tpu": tpu}
        table |= {f"{name} ({platforms})": one for platforms, one in found.items()}
    return table


def of_retrieval() -> dict[str, Counts]:
    """Counts the programs that all configs share."""
    return {f"retrieval {program}": found for program, found in counted(retrieval).items()}


def of_stage(name: str) -> dict[str, Counts]:
    """Counts the programs of one of `trained`, once where several share them."""
    config, place = name.split(" ")
    (stage,) = (one for one in stages.plan(load(config), Path("nowhere")) if one.name == place)
    key = what_is_traced(stage.config)
    if key not in _KNOWN:
        _KNOWN[key] = counted(functools.partial(programs, stage))
    return {f"{name} {program}": found for program, found in _KNOWN[key].items()}


_KNOWN: dict[str, dict[str, Counts]] = {}


def what_is_traced(config: ConfigDict) -> str:
    """Returns what decides the programs of a stage: its config without numbers and rows."""
    fields = config.copy_and_resolve_references().to_dict()
    for number in methods.recipe(config.method.name).numbers:
        del fields["method"][number]
    del (
        fields["train"]["epochs"],
        fields["optimizer"]["learning_rate"],
        fields["evaluate"]["every_epochs"],
    )
    fields["data"] = str(items(config, 2))
    others = ("noise", "seed", "labels", "classes", "start_from", "pseudo_labels")
    return json.dumps({name: fields[name] for name in fields if name not in others})


def main() -> None:
    """Writes the table."""
    found = of_retrieval()
    for name in trained():
        found |= of_stage(name)
    lines = (f"{json.dumps(name)}: {json.dumps(one)}" for name, one in found.items())
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
