"""A file `labels.npz` that is no table of labels: one sentence, whatever is in it."""

import json

import numpy as np
import pytest
from label_tables import drawn

from jaxcmr.errors import UsageError
from jaxcmr.workdir import labels
from jaxcmr.workdir.forms import LABELS


@pytest.fixture
def file(tmp_path):
    """Reads the table of a run again after some arrays in its file were changed."""
    labels.save(drawn(12, classes=3), tmp_path)
    with np.load(tmp_path / labels.NPZ) as found:
        arrays = dict(found)

    def changed(**others):
        np.savez(tmp_path / labels.NPZ, **arrays | others)
        return labels.read(tmp_path)

    changed.arrays = arrays
    return changed


def test_every_array_is_looked_at(file):
    assert {*LABELS, "about"} == {*file.arrays, "raw_predictions"}
    assert len(file(raw_predictions=file.arrays["predictions"])) == 12


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("change", ["shorter", "no axis", "other kind"])
def test_an_array_of_another_form_is_refused(file, name, change):
    array = file.arrays.get(name, file.arrays["predictions"])
    odd = {
        "shorter": array[:-1],
        "no axis": array.ravel()[0],
        "other kind": np.full(array.shape, 0.5 if array.dtype.kind == "U" else "x"),
    }[change]
    with pytest.raises(UsageError, match=r"labels\.npz is damaged \(\w+ (holds|has the shape)"):
        file(**{name: odd})


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("given", 3, "given holds 3"),
        ("given", -2, "given holds -2"),
        ("true", -3, "true holds -3"),
        ("member_classes", 3, "member_classes holds 3"),
        ("modality_classes", -7, "modality_classes holds -7"),
        ("neighbors", 12, "neighbors holds 12"),
        ("transition", np.nan, "transition holds a number that is not finite"),
    ],
)
def test_a_number_that_names_nothing_is_refused(file, name, value, words):
    array = file.arrays[name].copy()
    array.flat[-1] = value
    with pytest.raises(UsageError, match=words):
        file(**{name: array})


@pytest.mark.parametrize(
    "about, words",
    [
        ("[]", "about is a list"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "recursion"),
        *((json.dumps({name: 0.5}), f"'{name}'. is 0.5") for name in ("data", "members", "runs")),
    ],
)
def test_a_note_of_another_form_is_refused(file, about, words):
    with pytest.raises(UsageError, match=f"damaged .*{words}"):
        file(about=np.array(about))
