"""What a compiled program sends between devices, read from its text."""

import re
from collections import Counter

import numpy as np

KINDS = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "f32": 4, "s32": 4, "u32": 4, "s64": 8}


def collectives(program: str, member: int, data: int) -> list[tuple[str, str, int, bool]]:
    """Returns (kind, axis, bytes of the result, inside the loop over steps) of each collective.

    The axis is "member", "data" or "both", by the devices that exchange something on a mesh of
    `member x data`.
    """
    found = []
    looped = _inside_loops(program)
    for name, lines in _computations(program).items():
        for line in lines:
            match = re.search(rf"= (.*?) ({'|'.join(KINDS)})(?:-start)?\(", line)
            if match:
                axis = _axis(line, member, data)
                found.append((match[2], axis, _bytes(match[1]), name in looped))
    return found


def count(found: list[tuple[str, str, int, bool]]) -> dict[str, int]:
    """Counts the collectives of a step by "kind axis", for example {"all-reduce data": 3}."""
    kinds = [f"{kind} {axis}" for kind, axis, _, inside in found if inside and axis != "none"]
    return dict(sorted(Counter(kinds).items()))


def _computations(program: str) -> dict[str, list[str]]:
    """Splits the text into its computations, by name."""
    parts, lines = {}, []
    for line in program.splitlines():
        opening = re.match(r"(?:ENTRY )?%?([\w.\-]+) .*\{$", line)
        if opening:
            lines = parts.setdefault(opening[1], [])
        lines.append(line)
    return parts


def _inside_loops(program: str) -> set[str]:
    """Returns the names of computations that a `while` runs, directly or not."""
    parts = _computations(program)
    reached = set(re.findall(r"body=%?([\w.\-]+)", program))
    todo = list(reached)
    while todo:
        for line in parts.get(todo.pop(), []):
            for name in re.findall(r"(?:to_apply|calls|body|computation)=\{?%?([\w.\-]+)", line):
                if name in parts and name not in reached:
                    reached.add(name)
                    todo.append(name)
    return reached


def _axis(line: str, member: int, data: int) -> str:
    """Returns along which axis some group of devices exchanges; "none" if every group is one."""
    places = np.arange(member * data).reshape(member, data)
    axes = set()
    for group in _groups(line, member * data):
        at = np.argwhere(np.isin(places, group))
        axes |= {axis for axis in (0, 1) if len(set(at[:, axis])) > 1}
    return {(): "none", (0,): "member", (1,): "data", (0, 1): "both"}[tuple(sorted(axes))]


def _groups(line: str, devices: int) -> list[list[int]]:
    """Returns the groups of devices, written in one of the compiler's three ways."""
    numbers = lambda text: tuple(int(n) for n in text.split(","))
    match = re.search(r"(?:replica_groups|source_target_pairs)=\{(\{[\d,{}]+\})\}", line)
    if match:
        return [list(numbers(group)) for group in re.findall(r"\{([\d,]+)\}", match[1])]
    ids = np.arange(devices)
    match = re.search(r"replica_groups=\[([\d,]+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", line)
    if match:
        ids = ids.reshape(numbers(match[2]))
        if match[3]:
            ids = ids.transpose(numbers(match[3]))
        return ids.reshape(numbers(match[1])).tolist()
    match = re.search(
        r"replica_groups=mesh\[([^\]]*)\](?:, device_ids=\(\[([\d,]+)\](?:T\(([\d,]+)\))?\))? "
        r"\{([^}]*)\}",
        line,
    )
    if match is None:
        raise ValueError(f"the groups of a collective are written in an unknown way: {line}")
    if match[2]:
        ids = ids.reshape(numbers(match[2]))
        if match[3]:
            ids = ids.transpose(numbers(match[3]))
    sizes = {name: int(size) for name, size in re.findall(r"'(\w+)'=(\d+)", match[1])}
    shape, chosen = [], []
    parts = {name: part for name, *part in re.findall(r"'(\w+)'(?::\((\d+)\)(\d+))?", match[4])}
    for name, size in sizes.items():
        before, share = (int(n or 0) for n in parts.get(name, (1, 1)))
        before, share = (before, share) if share else (1, size)  # the whole axis
        shape += [before, share, size // before // share]
        chosen.append(len(shape) - 2)
    others = [axis for axis in range(len(shape)) if axis not in chosen]
    members = int(np.prod([shape[axis] for axis in chosen]))
    return ids.reshape(shape).transpose(*others, *chosen).reshape(-1, members).tolist()


def _bytes(shapes: str) -> int:
    found = re.findall(r"(\w+)\[([\d,]*)\]", shapes)
    return sum(
        BYTES.get(kind, 4) * int(np.prod([int(n) for n in size.split(",") if n])) if size else 4
        for kind, size in found
    )
