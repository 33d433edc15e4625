"""The line of an epoch on the screen."""

import numpy as np
import pytest
from absl import logging

from jaxcmr.train import log

LINE = {"step": 9, "epoch": 2, "loss": 1.5, "steps_per_second": 3.0}


@pytest.fixture
def logged(caplog):
    logging.set_verbosity(logging.INFO)

    def say(**scores):
        with caplog.at_level("INFO", logger="absl"):
            log.log_progress(LINE | scores, epochs=4, left=61.0)
        return caplog.records[-1].getMessage()

    return say


def test_a_score_names_its_direction_and_has_no_number_where_nothing_is_measured(logged):
    line = logged(**{"val_mAP": 0.5, "val_mAP image->text": 0.5, "val_mAP text->image": None})
    assert "val mAP image->text 50.0, text->image -  " in line
    assert line.startswith("epoch 2/4  loss 1.500") and line.endswith("1:01 left")


def test_terms_of_dead_members_are_no_part_of_their_means():
    terms = {"loss": np.float32([[3, 5], [1, np.nan]]), "a": np.float32([[1, 2], [3, 9]])}
    assert log.means(terms) == {"loss": 3.0, "a": 2.0}


def test_a_run_that_validates_nothing_says_no_score(logged):
    assert "val" not in logged()
