"""Clouds as dots: what is near is dark, and hides what is behind it."""

import numpy as np
import pytest

from jaxcmr.data.items import dots
from jaxcmr.errors import UsageError

RIGHT, UP, NEAR = dots.CAMERA
HALFWAY = (dots.DARK + dots.LIGHT) / 2


def test_nearer_points_are_darker_and_hide_those_behind_them():
    drawn = dots.draw_dots(np.array([NEAR, -NEAR, RIGHT + UP, -RIGHT - UP]), 160)
    assert drawn.shape == (160, 160) and drawn.dtype == np.uint8
    assert (drawn[78:82, 78:82] == dots.DARK).all()
    assert abs(drawn[:20, -20:].min() - HALFWAY) < 2 and abs(drawn[-20:, :20].min() - HALFWAY) < 2
    assert (drawn < dots.BACKGROUND).mean() < 0.02  # three dots of four pixels' radius


def test_neither_units_nor_place_nor_order_matter():
    cloud = np.random.default_rng(0).normal(size=(500, 3))
    drawn = dots.draw_dots(cloud, 48)
    np.testing.assert_array_equal(dots.draw_dots(1000 * cloud[::-1] + 7, 48), drawn)
    assert drawn.min() < 60 and 0.2 < (drawn < dots.BACKGROUND).mean() < 0.9


@pytest.mark.parametrize("count", [2, 40, 3000])
def test_dots_stay_inside_a_picture_of_any_size(count):
    cloud = np.random.default_rng(1).uniform(-1, 1, size=(count, 3))
    for size in (5, 160):
        drawn = dots.draw_dots(cloud, size)
        assert drawn.shape == (size, size) and drawn.min() < dots.LIGHT


def test_what_has_no_extent_is_refused():
    with pytest.raises(UsageError, match="no extent"):
        dots.draw_dots(np.zeros((4, 3)), 20)
    with pytest.raises(UsageError, match="not finite"):
        dots.draw_dots(np.array([[0, 0, np.nan], [1, 1, 1]]), 20)
