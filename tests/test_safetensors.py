"""The layout of safetensors files: what is written is laid out as their readers ask for."""

import json

import numpy as np
import pytest

from jaxcmr.storage import safetensors


def test_arrays_are_written_one_behind_the_other(tmp_path):
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    arrays = {
        "rows": safetensors.Blocks(np.float32, (3, 2), (rows[:1], rows[1:1], rows[1:])),
        "none": np.zeros((0, 4), np.int64),
        "turned": rows.astype(">f8").T,
    }
    safetensors.write(tmp_path / "a", arrays, {"format": "ours"})
    raw = (tmp_path / "a").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert json.loads(raw[8 : 8 + length]) == {
        "__metadata__": {"format": "ours"},
        "rows": {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]},
        "none": {"dtype": "I64", "shape": [0, 4], "data_offsets": [24, 24]},
        "turned": {"dtype": "F64", "shape": [2, 3], "data_offsets": [24, 72]},
    }
    start = 8 + length
    assert start % 64 == 0 and len(raw) == start + 72
    np.testing.assert_array_equal(np.frombuffer(raw, "<f4", 6, start), range(6))
    np.testing.assert_array_equal(np.frombuffer(raw, "<f8", 6, start + 24), [0, 2, 4, 1, 3, 5])
    metadata, places = safetensors.layout(raw)
    assert metadata == {"format": "ours"}
    assert places["turned"] == ("<f8", (2, 3), start + 24, start + 72)


@pytest.mark.parametrize("header", ["[]", "7", '{"a": 7}', '{"__metadata__": 7}', "{", "[" * 10**5])
def test_a_false_header_is_a_value_error(header):
    raw = len(header).to_bytes(8, "little") + header.encode()
    with pytest.raises(ValueError):
        safetensors.layout(raw)
