"""What a folder and a manifest hold for a model, and what is said of the rest."""

import json
import os

import pytest
from color_model import Recipe, paint

from jaxcmr.errors import UsageError
from jaxcmr.galleries import files
from jaxcmr.galleries.files import Item

RECIPES = {"image": Recipe("image", (".png", ".jpg")), "text": Recipe("text", (".txt",))}
CLOUDS = {"points": Recipe("cloud", (".ply", ".npy")), "mesh": Recipe("mesh", (".ply", ".off"))}
VECTORS = {"image": Recipe("vector", ()), "tags": Recipe("vector", ())}


def test_a_folder_is_walked_with_the_folders_in_it(tmp_path):
    paint(tmp_path / "b.png", "red")
    paint(tmp_path / "in" / "deep" / "a.JPG", "red")
    (tmp_path / "in" / "words.txt").write_text("a red mug")
    (tmp_path / "readme.md").write_text("no item")
    paint(tmp_path / ".thumbnails" / "b.png", "red")
    paint(tmp_path / "._b.png", "red")
    os.symlink(tmp_path, tmp_path / "in" / "back")
    assert files.listing_of(tmp_path, RECIPES).items == [
        Item("b.png", "image", tmp_path / "b.png", {}),
        Item("in/words.txt", "text", "a red mug", {}),
        Item("in/deep/a.JPG", "image", tmp_path / "in" / "deep" / "a.JPG", {}),
    ]


def test_a_text_file_that_cannot_be_read_is_lost_alone(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    (tmp_path / "b.txt").write_text("red")
    items, lost = files.listing_of(tmp_path, RECIPES)
    assert [item.id for item in items] == ["b.txt"]
    assert len(lost) == 1 and "a.txt" in lost[0] and "UTF-8" in lost[0]


def test_what_is_no_file_is_lost_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    os.symlink(tmp_path / "gone.png", tmp_path / "b.png")
    paint(tmp_path / "c.png", "red")
    items, lost = files.listing_of(tmp_path, RECIPES)
    assert [item.id for item in items] == ["c.png"]
    assert lost == [
        f"{tmp_path / name} is no file, or a link to none" for name in ("a.png", "b.png")
    ]


def test_a_folder_without_an_item_says_what_it_holds(tmp_path):
    with pytest.raises(UsageError, match=r"no file that ends in .*\.png.*; it is empty$"):
        files.listing_of(tmp_path, RECIPES)
    (tmp_path / "a.webp").touch()
    with pytest.raises(UsageError, match=r"no file that ends in .*, only \.webp$"):
        files.listing_of(tmp_path, RECIPES)


def test_files_of_other_endings_are_counted(tmp_path, caplog):
    caplog.set_level("INFO")
    paint(tmp_path / "a.png", "red")
    files.listing_of(tmp_path, RECIPES)
    assert not caplog.records
    for name in ("a.webp", "b.WEBP", "c.zip", ".hidden"):
        (tmp_path / name).touch()
    files.listing_of(tmp_path, RECIPES)
    assert f"{tmp_path}: passed over: 2 .webp, 1 .zip" in caplog.text


def test_an_ending_that_fits_two_modalities_is_asked_for(tmp_path):
    (tmp_path / "a.ply").touch()
    with pytest.raises(UsageError, match=r"a\.ply may be points or mesh .* --to=points"):
        files.listing_of(tmp_path, CLOUDS)
    (item,) = files.listing_of(tmp_path, files.readable(CLOUDS, ["mesh"])).items
    assert item.modality == "mesh"


def test_further_endings_count_where_the_modality_is_named(tmp_path):
    (tmp_path / "a.off").touch()
    views = {"image": Recipe("views", (".png",), (".off",))}
    recipes = views | {"points": Recipe("cloud", (".off",))}
    (item,) = files.listing_of(tmp_path, recipes).items
    assert item.modality == "points"
    (item,) = files.listing_of(tmp_path, files.readable(recipes, ["image"])).items
    assert item.modality == "image"
    words = {"text": Recipe("text", (".txt",))}
    assert files.modality_of(tmp_path / "a.off", views | words, "--from") == "image"


def test_a_manifest_without_labels(tmp_path):
    paint(tmp_path / "a.png", "red")
    paint(tmp_path / "b.png", "red")
    (tmp_path / "words.txt").write_text("blue plate")
    (tmp_path / "items.csv").write_text(
        "id,Image,text,price,color\nx,a.png,red mug,3,\ny,b.png,,4.5,nan\nz,,words.txt,,blue\n"
    )
    items, lost = files.listing_of(tmp_path / "items.csv", RECIPES)
    assert lost == [] and items == [
        Item("x", "image", tmp_path / "a.png", {"price": "3", "color": None}),
        Item("y", "image", tmp_path / "b.png", {"price": "4.5", "color": None}),
        Item("x", "text", "red mug", {"price": "3", "color": None}),
        Item("z", "text", "blue plate", {"price": None, "color": "blue"}),
    ]


def test_labels_and_other_columns_of_a_manifest_are_metadata(tmp_path, caplog):
    rows = [
        {
            "text": "a",
            "label": "mug",
            "split": "test",
            "points": "a.ply",
            "modality": "?",
            "present_text": 1,
        },
        {"text": "b", "label": None, "split": "train", "modality": "?", "present_text": 0},
    ]
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    (item,) = files.listing_of(path, RECIPES).items
    fields = {"label": "mug", "split": "test", "points": "a.ply"}
    assert item == Item("000000", "text", "a", fields)
    assert "the columns modality are left out" in caplog.text


def test_modalities_of_any_name_are_columns(tmp_path):
    (tmp_path / "items.csv").write_text("Front,caption\na.png,red\n")
    paint(tmp_path / "a.png", "red")
    recipes = {"Front": RECIPES["image"], "caption": RECIPES["text"]}
    found = files.listing_of(tmp_path / "items.csv", recipes).items
    assert [(item.modality, item.raw) for item in found] == [
        ("Front", tmp_path / "a.png"),
        ("caption", "red"),
    ]


def test_files_that_a_manifest_names_in_vain_are_lost_alone(tmp_path):
    paint(tmp_path / "a.png", "red")
    (tmp_path / "items.csv").write_text("image\na.png\nb.png\nc.png\n")
    items, lost = files.listing_of(tmp_path / "items.csv", RECIPES)
    assert [item.id for item in items] == ["000000"] and len(lost) == 2
    assert "items.csv, line 3: there is no file" in lost[0] and "b.png" in lost[0]
    (tmp_path / "items.csv").write_text("image\nb.png\nc.png\n")
    with pytest.raises(
        UsageError, match=r"no item that can be embedded: 2 cannot be read, the fir"
    ):
        files.listing_of(tmp_path / "items.csv", RECIPES)


def test_paths_that_are_no_gallery(tmp_path):
    with pytest.raises(UsageError, match=r"there is no folder or manifest .*none"):
        files.listing_of(tmp_path / "none", RECIPES)
    with pytest.raises(UsageError, match=r"a\.png is neither a folder nor a manifest \(\.csv"):
        files.listing_of(paint(tmp_path / "a.png", "red"), RECIPES)
    (tmp_path / "items.csv").write_text("picture,label\na.png,mug\n")
    with pytest.raises(UsageError, match=r"none of the columns image, text, only picture, label"):
        files.listing_of(tmp_path / "items.csv", RECIPES)


def test_modalities_that_the_model_cannot_read():
    assert files.readable(RECIPES) == RECIPES
    assert list(files.readable(RECIPES, ["text"])) == ["text"]
    with pytest.raises(UsageError, match="no modality 'imag', only image, text; did you mean 'im"):
        files.readable(RECIPES, ["imag"])
    with pytest.raises(UsageError, match="takes arrays of image, tags alone, no files"):
        files.readable(VECTORS)
    assert list(files.readable(VECTORS | {"text": RECIPES["text"]})) == ["text"]


def test_the_modality_of_a_file(tmp_path):
    assert files.modality_of(tmp_path / "a.PNG", RECIPES, "--from") == "image"
    with pytest.raises(UsageError, match=r"a\.gif must end in one of \.png, \.jpg \(image\), \.tx"):
        files.modality_of(tmp_path / "a.gif", RECIPES, "--from")
    with pytest.raises(UsageError, match=r"may be points or mesh by its ending.*--from=points"):
        files.modality_of(tmp_path / "a.ply", CLOUDS, "--from")
