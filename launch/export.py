"""Exports the towers of a finished run for programs that have JAX, but not this library.

    python launch/export.py --workdir=runs/mine --output=towers
    python launch/export.py --workdir=runs/mine --output=photos --only=image --member=0

Writes into --output, for each modality, `<modality>.stablehlo`: StableHLO as `jax.export` keeps
it, for batches of any size, for CPU, CUDA and TPU, with the parameters inside. `model.json` beside
them says how a raw item is prepared, what the inputs and outputs are, and how a program loads them.
An earlier export is replaced; nothing else is overwritten. A run of one member, such as the variant
`:one` of a config, is several times smaller and faster than an ensemble.
"""

import command_line
from absl import flags

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a finished run.")
OUTPUT = flags.DEFINE_string("output", None, "Folder that is made.")
ONLY = flags.DEFINE_list("only", [], "Modalities, with commas between; default all.")
CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ["best", "last"], "Which epoch.")
MEMBER = flags.DEFINE_integer("member", None, "A single member, from 0; default all.")


def main() -> None:
    """Exports the towers and prints what was written."""
    from jaxcmr.errors import UsageError
    from jaxcmr.exporting import export
    from jaxcmr.storage.paths import expanded

    if not WORKDIR.value:
        raise UsageError("no run is named; add --workdir=FOLDER, the folder of a finished run")
    if not OUTPUT.value:
        raise UsageError("no folder is named; add --output=FOLDER, which is made")
    made = export(WORKDIR.value, OUTPUT.value, ONLY.value, CHECKPOINT.value, MEMBER.value)
    folder = expanded(OUTPUT.value)
    for tower in made["towers"].values():
        print(f"{folder / tower['file']}  {tower['bytes'] / 2**20:.1f} MB")
    print(f"{folder / 'model.json'}  how to prepare items and to call the towers")


if __name__ == "__main__":
    command_line.run(main)
