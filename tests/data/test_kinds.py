"""Shapes of items: one meaning is taken, two are refused with the way out."""

import numpy as np
import pytest

from jaxcmr.data.items.itemtypes import kind
from jaxcmr.errors import UsageError


@pytest.mark.parametrize(
    ("shape", "dtype", "name", "expected"),
    [
        ((5,), "i8", "x", "vector"),
        ((1,), "f4", "x", "vector"),
        ((9, 3), "f4", "x", "cloud"),
        ((28, 28), "u1", "x", "image"),
        ((28, 28), "?", "x", "image"),
        ((28, 28), "f4", "image", "image"),
        ((8, 6, 1), "f8", "x", "image"),
        ((8, 6, 3), "u2", "x", "image"),
        ((4, 8, 6, 3), "u1", "x", "views"),
        ((1, 4, 4, 1), "u1", "x", "views"),
    ],
)
def test_shapes_of_one_meaning(shape, dtype, name, expected):
    assert kind(shape, np.dtype(dtype), f"a b.npz: {name}") == expected


@pytest.mark.parametrize(
    ("shape", "dtype", "advice"),
    [
        ((), "f4", "a number an item is a vector x[:, None]"),
        ((), "?", "flags of what is present are called present_<modality>"),
        ((0,), "f4", "which hold nothing"),
        ((3, 32, 32), "u1", "channels that come first are moved by numpy.moveaxis(x, -3, -1)"),
        ((1, 28, 28), "f4", "numpy.moveaxis(x, -3, -1)"),
        ((3, 32, 3), "u1", "numpy.moveaxis(x, -3, -1)"),
        ((6, 3, 32, 32), "u1", "numpy.moveaxis(x, -3, -1)"),
        ((), "U3", "is of type <U3; numbers are needed: save numbers; texts are read from a mani"),
        ((9, 9, 2), "u1", "take the transparency away, x[..., :1]"),
        ((32, 32, 4), "u1", "take the transparency away, x[..., :3]"),
        ((6, 32, 32), "u1", "views without an axis of channels get one by x[..., None]"),
        ((3, 512), "f4", "turn clouds [3, P] by numpy.swapaxes(x, 1, 2)"),
        ((3, 3), "f4", "three points are too few"),
        ((512, 3), "i4", "save clouds as floats, x.astype('float32')"),
        ((512, 6), "f4", "of clouds with more than coordinates take x[..., :3]"),
        ((28, 28), "f4", "grey pictures get an axis of channels by x[..., None]"),
        ((2, 3, 4, 5, 6), "f4", "reshape them"),
    ],
)
def test_shapes_of_no_or_two_meanings(shape, dtype, advice):
    with pytest.raises(UsageError) as error:
        kind(shape, np.dtype(dtype), "a.npz: x")
    assert advice in str(error.value) and str(error.value).startswith("a.npz: x ")
