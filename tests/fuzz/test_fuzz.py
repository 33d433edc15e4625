"""Changed files of every format become values or one sentence: no crash, hang or escape."""

import pytest
from formats import FORMATS
from fuzzing import fuzz

SECONDS, MOST = 20, 2000


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_changed_files_are_read_or_refused_in_a_sentence(name, tmp_path):
    found = fuzz(name, SECONDS, seed=0, folder=tmp_path, most=MOST)
    assert found["tried"] >= 20 and found["refused"] > 0, found
    assert not found["faults"], found["faults"]
