"""Everything that is measured on a device, as a list of cases."""

import functools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import device_convolutions as convolutions
import device_rates as rates
import device_retrieval as retrieval
import device_torch as pytorch
import device_trace as trace
import device_training as training

MMCD = {"Wikipedia": training.articles, "3D MNIST": training.digits}


class Case(NamedTuple):
    """A row of a table.

    Attributes:
        rank: cases of lower rank are measured first.
        table: name of its table.
        name: of the row.
        measure: returns numbers and sentences by column.
    """

    rank: int
    table: str
    name: str
    measure: Callable[[], dict]


class Sizes(NamedTuple):
    """How large all is.

    Attributes:
        matmul: rows of the ceiling's matrices.
        copied_mib: bytes that the copy reads.
        training: of the networks and sets that are trained.
        members: E, of MMCD and of the convolutions; the first and the last one come first.
        convolutions: names of shapes.
        fewer_convolved: what the items of a convolution are divided by.
        maps: queries, and items, of the two passes of all scores.
        gallery: items and dimensions of the gallery that is searched.
        batches: queries of a search.
    """

    matmul: int
    copied_mib: int
    training: training.Sizes
    members: tuple[int, ...]
    convolutions: tuple[str, ...]
    fewer_convolved: int
    maps: tuple[int, int]
    gallery: tuple[int, int]
    batches: tuple[int, ...]


FULL = Sizes(
    matmul=8192,
    copied_mib=1024,
    training=training.FULL,
    members=(1, 2, 4, 8),
    convolutions=tuple(convolutions.SHAPES),
    fewer_convolved=1,
    maps=(5_000, 50_000),
    gallery=(1_000_000, 256),
    batches=(1, 256),
)
SMALL = Sizes(
    matmul=512,
    copied_mib=16,
    training=training.SMALL,
    members=(1, 2),
    convolutions=("ResNet18 layer4", "MNIST CNN conv2"),
    fewer_convolved=64,
    maps=(200, 1_000),
    gallery=(10_000, 64),
    batches=(1, 50),
)


def cases(sizes: Sizes, platform: str) -> list[Case]:
    """Returns all cases in the order in which they are shown."""
    ceilings = [
        Case(0, "ceilings", f"product, {name}", partial(rates.matmul, name, sizes.matmul))
        for name in rates.PRECISIONS
    ] + [Case(0, "ceilings", "copy", partial(rates.copy, sizes.copied_mib))]
    return [
        *ceilings,
        *_rono(sizes, platform),
        *_mmcd(sizes, platform),
        *_romo(sizes),
        *_epochs(sizes),
        *_retrieval(sizes, platform),
        *_operations(sizes),
        *_convolutions(sizes),
    ]


def _rono(sizes: Sizes, platform: str) -> list[Case]:
    """Returns RONO `:paper` in all precisions, and PyTorch beside it."""
    of, table = sizes.training, "rono"
    options = {"batch": of.batch, "views": 2, "pixels": of.pixels, "points": of.points}
    options |= {"width": of.width}

    def ours(precision: str) -> dict:
        return rates.speed(training.rono(precision, of), rates.ceiling(precision, sizes.matmul))

    def theirs(precision: str) -> dict:
        return pytorch.row("rono", platform, precision=precision, **options)

    return [
        *(Case(1, table, name, partial(ours, name)) for name in rates.PRECISIONS),
        *(Case(6, table, f"PyTorch, {name}", partial(theirs, name)) for name in rates.PRECISIONS),
    ]


def _mmcd(sizes: Sizes, platform: str) -> list[Case]:
    """Returns MMCD by its number of members, on two sets, and PyTorch beside it."""

    @functools.cache
    def speed(steps, count: int) -> dict:
        ceiling = rates.ceiling("float32", sizes.matmul)
        return rates.speed(steps(count, sizes.training), ceiling)

    def ours(steps, count: int) -> dict:
        return rates.ratio(speed(steps, count), speed(steps, 1), count)

    def theirs(count: int) -> dict:
        return pytorch.row("mmcd", platform, members=count, precision="float32")

    ends = sizes.members[0], sizes.members[-1]
    found = []
    for later, (name, steps) in enumerate(MMCD.items()):
        for count in sizes.members:
            case = f"{name}, E = {count}", partial(ours, steps, count)
            found.append(Case((2 if count in ends else 12) + 3 * later, "mmcd", *case))
    for count in ends:
        name = f"{next(iter(MMCD))}, E = {count}, PyTorch without votes"
        found.append(Case(7, "mmcd", name, partial(theirs, count)))
    return found


def _romo(sizes: Sizes) -> list[Case]:
    def step(stage: str) -> dict:
        ceiling = rates.ceiling("float32", sizes.matmul)
        return rates.speed(training.romo(stage, sizes.training), ceiling)

    return [Case(8, "romo", stage, partial(step, stage)) for stage in training.STAGES]


def _epochs(sizes: Sizes) -> list[Case]:
    of = sizes.training
    return [
        Case(9, "epochs", "MMCD on Wikipedia", partial(training.articles_epoch, of)),
        Case(9, "epochs", "RONO on 3D MNIST", partial(training.features_epoch, of)),
        Case(11, "epochs", "RONO on 3D MNIST, streamed", partial(training.streamed_epoch, of)),
        Case(8, "epochs", "RoMo's clusters before an epoch", partial(training.refresh, of)),
    ]


def _retrieval(sizes: Sizes, platform: str) -> list[Case]:
    small, large = sizes.maps
    items, dim = sizes.gallery
    theirs = partial(pytorch.row, "scores", platform, size=small, precision="float32")
    searches = [
        Case(
            9,
            "retrieval",
            f"{name}, of {queries} queries",
            partial(retrieval.search, items, dim, queries, approx),
        )
        for name, approx in (("ten nearest", False), ("ten nearest, approximately", True))
        for queries in sizes.batches
    ]
    placed = f"gallery of {items:,} x {dim}, prepared"
    return [
        Case(9, "retrieval", f"all scores, {small:,}^2", partial(retrieval.scores, small)),
        Case(13, "retrieval", f"mAP alone in PyTorch, {small:,}^2", theirs),
        Case(10, "retrieval", f"all scores, {large:,}^2", partial(retrieval.scores, large)),
        Case(9, "retrieval", placed, partial(retrieval.prepared, items, dim)),
        *searches,
    ]


def _operations(sizes: Sizes) -> list[Case]:
    """Returns programs whose costliest operations are shown; they are compiled before."""
    of, most = sizes.training, sizes.members[-1]
    programs = {"RONO :paper, float32": (1, partial(training.rono, "float32", of))}
    programs |= {"RONO :paper, bfloat16": (1, partial(training.rono, "bfloat16", of))}
    for later, (name, steps) in enumerate(MMCD.items()):
        programs[f"MMCD on {name}, E = {most}"] = (2 + 3 * later, partial(steps, most, of))
    return [
        Case(rank, "operations", name, lambda steps=steps: trace.costliest(steps()))
        for name, (rank, steps) in programs.items()
    ]


def _convolutions(sizes: Sizes) -> list[Case]:
    """Returns the shapes by members: first the extremes in float32, then the others."""
    ends = sizes.members[0], sizes.members[-1]
    wanted = [("float32", count, 3 if count in ends else 15) for count in sizes.members]
    wanted += [("bfloat16", count, 14) for count in ends]
    return [
        Case(
            rank,
            "convolutions",
            f"{name}, E = {count}, {precision}",
            partial(convolutions.forms, name, count, precision, sizes.fewer_convolved),
        )
        for name in sizes.convolutions
        for precision, count, rank in wanted
    ]
