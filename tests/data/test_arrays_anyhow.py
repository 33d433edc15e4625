"""Arrays of any kind are a data set with the right values, or one sentence, in every form."""

import contextlib

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxcmr import data
from jaxcmr.config import default
from jaxcmr.data.own import own
from jaxcmr.errors import UsageError
from jaxcmr.storage import numpyfiles
from jaxcmr.types import Splits

ROWS = 8
SETTINGS = {"derandomize": True, "deadline": None}
SPLIT = np.array(["train"] * 4 + ["val"] * 2 + ["test"] * 2)


def save(path, form, arrays):
    """Saves arrays as `form`; returns the path."""
    if form == "folder":
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)
        return path
    path = path.with_suffix(f".{form}")
    if form == "npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for name, array in arrays.items():
                file[name] = array.astype(bytes) if array.dtype.kind == "U" else array
    return path


def load(path) -> Splits:
    config = default().data
    config.name, config.path = "own", str(path)
    config.modalities = tuple(own.outline(config).kinds)
    return data.load(config, 1)


FORMS = st.sampled_from(["npz", "h5", "folder"])
NUMBERS = st.sampled_from(["u1", "<i2", ">i2", "<i8", ">i8", ">u4", "f4", ">f4", "f8", ">f8"])


@settings(max_examples=30, **SETTINGS)
@given(FORMS, NUMBERS, NUMBERS, NUMBERS, st.booleans(), st.booleans(), st.integers(0, 9))
def test_a_data_set_is_the_same_in_every_type_and_form(
    tmp_path_factory, form, image, text, labels, columns, mapped, seed
):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (ROWS, 4, 5, 3))
    pixels[0, 0, 0] = 255
    words, classes = rng.integers(0, 100, (ROWS, 6)), np.arange(ROWS) % 2 + 1
    there = np.arange(ROWS) != 1
    arrays = {"image": pixels.astype(image), "text": words.astype(text)}
    arrays = {k: np.asfortranarray(a) if columns else a for k, a in arrays.items()}
    arrays |= {"label": classes.astype(labels), "split": SPLIT, "present_text": there.astype(text)}
    path = save(tmp_path_factory.mktemp("same") / "own", form, arrays)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpyfiles, "MAPPED", 0 if mapped else 1 << 30)
        splits = load(path)
        words = words * there[:, None]
        for part, name in (
            (splits.train, "train"),
            (splits.validation, "val"),
            (splits.test, "test"),
        ):
            rows = name == SPLIT
            found = np.asarray(part.inputs["image"])
            found = found / np.float32(255) if found.dtype == np.uint8 else found
            np.testing.assert_array_equal(found, pixels[rows].astype(np.uint8) / np.float32(255))
            np.testing.assert_array_equal(np.asarray(part.inputs["text"]), words[rows])
            np.testing.assert_array_equal(part.labels, classes[rows] - 1)
            np.testing.assert_array_equal(part.present["text"], there[rows])
            assert part.class_names == ("1", "2")


NAMES = [
    "labels", "Label", "true_label", "ids", "split", "group", "class_names", "image", "text", "x",
    "present_image", "present_x", "version",
]  # fmt: skip
KEYS = [f"{split}{name}" for split in ("", "train_", "test/", "val_") for name in NAMES]
TYPES = ["?", "u1", "i8", ">u2", "f2", ">f4", "f8", "g", "c8", "U3", "S2", "u8"]
SHAPES = [(), (0,), (4,), (4, 1), (1, 4), (4, 4), (4, 2), (4, 5, 3), (4, 3, 5), (4, 2, 2, 1), (2,)]
VALUES = st.sampled_from([0, 1, 2, 255, 65535, -1, 2**31, 2**53, 0.5, np.nan, np.inf, 1e39])


@st.composite
def array(draw):
    shape, dtype = draw(st.sampled_from(SHAPES)), np.dtype(draw(st.sampled_from(TYPES)))
    some = draw(st.lists(VALUES, min_size=1, max_size=4))
    if dtype.kind in "US":
        some = draw(st.sampled_from([["a", "b"], ["train", "test"], ["1", "0"], ["", "nan"]]))
    with np.errstate(all="ignore"), contextlib.suppress(OverflowError):
        return np.resize(np.array(some), shape).astype(dtype)
    return np.resize(np.array([0, 1]), shape).astype(dtype)


@settings(max_examples=150, **SETTINGS)
@given(st.dictionaries(st.sampled_from(KEYS), array(), max_size=6), st.booleans(), FORMS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_any_arrays_are_a_data_set_or_one_sentence(tmp_path_factory, arrays, whole, form):
    start = {"labels": np.arange(4) % 2, "image": np.eye(4, 3), "text": np.ones((4, 2))}
    if not whole:
        start = {f"{split}_{k}": a for split in ("train", "test") for k, a in start.items()}
    arrays = {key.replace("/", "_") if form == "folder" else key: a for key, a in arrays.items()}
    path = save(tmp_path_factory.mktemp("any") / "own", form, start | arrays)
    try:
        splits = load(path)
    except UsageError as error:
        assert len(str(error).splitlines()) == 1
        return
    for part in (splits.train, splits.test, *([splits.validation] if splits.validation else [])):
        assert part.labels.dtype == np.int32 and part.labels.max() < len(part.class_names)
        for modality, items in part.inputs.items():
            assert items.dtype in (np.float32, np.uint8) and items.dtype.isnative
            there = part.present.get(modality, np.ones(len(part), bool))
            assert there.dtype == bool and np.isfinite(np.asarray(items)).all()
