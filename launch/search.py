"""Searches the common space of a finished run: which texts go with this photo, and the like.

    python launch/search.py --workdir=runs/mine --query=photo.png --to=text
    python launch/search.py --workdir=runs/mine --text="red mug" --gallery=photos --sheet=found.png
    python launch/search.py --workdir=runs/mine --id=000017 --from=image --index=shop.index --json

Several queries are averaged. The gallery is the rows of the run, a folder or a manifest, which is
embedded (and kept: the next time only what has changed is), or an index.
"""

import json
from pathlib import Path

import command_line
from absl import flags

from jaxcmr.errors import UsageError

SPLITS = ("train", "validation", "test", "all")
WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a finished run.")
QUERY = flags.DEFINE_multi_string("query", [], "A file to search with; may be given again.")
TEXT = flags.DEFINE_multi_string("text", [], "Words to search with; may be given again.")
ID = flags.DEFINE_multi_string(
    "id", [], "Id of a row of the gallery or the run; may be given again."
)
FROM = flags.DEFINE_string("from", "", "Modality of the queries, where it is not clear.")
TO = flags.DEFINE_string("to", "", "Modality of the hits; default: any that no query has.")
K = flags.DEFINE_integer("k", 10, "Number of hits.")
GALLERY = flags.DEFINE_string(
    "gallery", "all", "Rows of the run (train, validation, test, all), a folder or a manifest."
)
INDEX = flags.DEFINE_string("index", "", "File of an index; in place of --gallery.")
WHERE = flags.DEFINE_multi_string(
    "where", [], "field=value that hits must have; again: another field, or another value of one."
)
APPROX = flags.DEFINE_bool("approx", False, "Miss a hit now and then, where that is faster.")
CHECKPOINT = flags.DEFINE_enum("checkpoint", "best", ("best", "last"), "Weights of which epoch.")
MEMBER = flags.DEFINE_integer("member", None, "One member of the ensemble; default: all.")
JSON = flags.DEFINE_bool("json", False, "Print a JSON document.")
SHEET = flags.DEFINE_string("sheet", "", "Write queries and hits as pictures: .png or .html.")


def main() -> None:
    """Searches, and prints what was found."""
    _check()
    import jaxcmr
    from jaxcmr.galleries import answers, find, queries
    from jaxcmr.storage.paths import expanded

    model = jaxcmr.load(WORKDIR.value, CHECKPOINT.value, MEMBER.value)
    asked = [queries.of_file(model, expanded(path), FROM.value) for path in QUERY.value]
    asked += [queries.of_text(model, words, FROM.value) for words in TEXT.value]
    gallery = _gallery(model)
    asked += [queries.of_known_row(model, gallery, name, FROM.value) for name in ID.value]
    hits = find.find(gallery, asked, K.value, TO.value, WHERE.value, APPROX.value)
    found = answers.records(gallery, hits, model.workdir)
    if JSON.value:
        print(json.dumps(answers.document(asked, found), indent=2))
    else:
        print(answers.table(asked, found))
    if SHEET.value:  # behind the answer, which is not lost where a picture cannot be written
        _write_sheet(expanded(SHEET.value), model, gallery, asked, hits)
        if not JSON.value:
            print(f"\nsheet: {SHEET.value}")


def _check() -> None:
    """Finds the mistakes that need no model."""
    from jaxcmr.storage.paths import expanded

    for flag in ("workdir", "from", "to", "gallery", "index", "sheet"):
        if flags.FLAGS[flag].present and not flags.FLAGS[flag].value:
            raise UsageError(f"--{flag} is empty; give it a value, or leave it out")
    if not WORKDIR.value:
        raise UsageError("no run is named; add --workdir=FOLDER, the folder of a finished run")
    if not QUERY.value + TEXT.value + ID.value:
        raise UsageError("there is no query; add --query=FILE, --text=WORDS or --id=ROW")
    if K.value < 1:
        raise UsageError(f"--k is {K.value}, but it must be 1 or more")
    if INDEX.value and flags.FLAGS["gallery"].present:
        raise UsageError("--index and --gallery both say what is searched; leave one of them out")
    if GALLERY.value not in SPLITS and not expanded(GALLERY.value).exists():
        raise UsageError(
            f"--gallery={GALLERY.value} is no folder or manifest that there is, and none of "
            f"{', '.join(SPLITS)}"
        )
    for path in QUERY.value:
        if not expanded(path).is_file():
            what = "it is a folder" if expanded(path).is_dir() else "there is no such file"
            raise UsageError(f"--query={path} cannot be read: {what}; name a file")
    if "" in [text.strip() for text in TEXT.value]:
        raise UsageError("--text is empty; give the words that are searched for")
    if SHEET.value:
        from jaxcmr.report.search.sheet import check_sheet

        check_sheet(expanded(SHEET.value), 1, K.value)


def _gallery(model):
    """Returns the index that is searched."""
    from jaxcmr import Index, galleries
    from jaxcmr.storage.paths import expanded

    if INDEX.value:
        return Index.open(expanded(INDEX.value), model.fingerprint)
    if GALLERY.value in SPLITS:
        return galleries.of_run(model, None if GALLERY.value == "all" else GALLERY.value)
    # A row that is searched with may be of any modality.
    return galleries.of_path(model, GALLERY.value, None if ID.value else TO.value or None)


def _write_sheet(path: Path, model, gallery, asked, hits) -> None:
    from jaxcmr.report.search.pictures import Pictures
    from jaxcmr.report.search.sheet import Query, write_sheet

    kinds = {name: recipe.kind for name, recipe in model.preparation.recipes.items()}
    pictures = Pictures(gallery, model.workdir, kinds=kinds)
    parts = [
        pictures.part(one.row) if one.row >= 0 else pictures.of(one.modality, one.source)
        for one in asked
    ]
    name = " + ".join(one.name for one in asked)
    write_sheet(path, [Query(name, parts)], hits, pictures)


if __name__ == "__main__":
    command_line.run(main)
