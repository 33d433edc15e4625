"""Makes, changes and exports an index: a file of embeddings that is searched.

    python launch/index.py create --workdir=runs/mine --index=shop.index --items=photos
    python launch/index.py add --workdir=runs/mine --index=shop.index --items=new.csv
    python launch/index.py remove --index=shop.index --ids=000017,000018
    python launch/index.py show --index=shop.index
    python launch/index.py export --index=shop.index --output=shop.parquet

Items are a folder or a manifest, without labels; without --items, create takes the rows of the run.
An item of an id that is there replaces it. Outputs end in .parquet, .npz, .faiss or .usearch.
"""

import os
import sys

import command_line
from absl import flags

import jaxcmr
from jaxcmr.display import listed, quoted
from jaxcmr.errors import UsageError
from jaxcmr.storage.paths import expanded

INDEX = flags.DEFINE_string("index", None, "File of the index.")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a finished run, whose model embeds.")
CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ("best", "last"), "Weights of which epoch.")
MEMBER = flags.DEFINE_integer("member", None, "One member of the ensemble; default: all.")
ITEMS = flags.DEFINE_string("items", None, "Folder or manifest of items to embed.")
MODALITY = flags.DEFINE_string("modality", None, "Only items, or ids, of this modality.")
IDS = flags.DEFINE_multi_string("ids", [], "Ids with commas between, or the flag again.")
OUTPUT = flags.DEFINE_string("output", None, "File to export to.")


def main(word: str) -> None:
    """Does what the word says."""
    _require("index", "the file of the index")
    if flags.FLAGS["items"].present > 1:
        raise UsageError("--items is given twice; take one, and add the other to the index then")
    WORDS[word](expanded(INDEX.value))


def _create(path) -> None:
    from jaxcmr import galleries

    if os.path.lexists(path):
        raise UsageError(f"{path} exists; add to it, remove it, or choose another --index")
    model = _model()
    if not ITEMS.value and MODALITY.value:
        raise UsageError("--modality chooses items; leave it out, or add --items=PATH")
    if ITEMS.value:
        index = galleries.of_path(model, ITEMS.value, MODALITY.value)
    else:
        index = galleries.of_run(model)
    index.save(path)
    _show(path)


def _add(path) -> None:
    from jaxcmr import galleries
    from jaxcmr.index.changing import changing

    _require("items", "a folder or a manifest")
    model = _model()
    jaxcmr.Index.open(path, model.fingerprint)  # refused before anything is embedded
    items = galleries.of_path(model, ITEMS.value, MODALITY.value)
    with changing(path, model.fingerprint) as index:
        before = len(index)
        index.extend(items)
    new = len(index) - before
    print(f"{path}: new rows: {new}, replaced: {len(items) - new}")


def _remove(path) -> None:
    from jaxcmr.index.changing import changing

    _require("ids", "those to remove")
    with changing(path) as index:
        # An id may have a comma itself.
        names = [[value] if len(index.find(value)) else value.split(",") for value in IDS.value]
        ids = [name for part in names for name in part]
        unknown = [quoted(name) for name in ids if not len(index.find(name, MODALITY.value))]
        if unknown:
            kind = f" of the modality {quoted(MODALITY.value)}" if MODALITY.value else ""
            raise UsageError(
                f"{path} has no row{kind} with the id {listed(unknown)}; correct --ids"
            )
        removed = index.remove(ids, MODALITY.value)
    print(f"{path}: rows removed: {removed}, left: {len(index)}")


def _show(path) -> None:
    from jaxcmr.index.summary import summary

    print(f"{path}: {summary(jaxcmr.Index.open(path))}")


def _export(path) -> None:
    _require("output", "the file to write")
    print(*jaxcmr.Index.open(path).export(expanded(OUTPUT.value)), sep="\n")


def _model():
    _require("workdir", "the folder of a finished run")
    return jaxcmr.load(WORKDIR.value, CHECKPOINT.value, MEMBER.value)


def _require(flag: str, what: str) -> None:
    if not flags.FLAGS[flag].value:
        raise UsageError(f"--{flag} is missing; it names {what}")


WORDS = {"create": _create, "add": _add, "remove": _remove, "show": _show, "export": _export}

if __name__ == "__main__":
    embeds = any(word in sys.argv for word in ("create", "add"))
    command_line.run(main, words=tuple(WORDS), computes=embeds)
