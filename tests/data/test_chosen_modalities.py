"""A run loads the modalities that its config names, and logs the others."""

import logging

import numpy as np
from absl import logging as absl_logging

from jaxcmr import data
from jaxcmr.config import default


def test_modalities_that_the_config_leaves_out_are_named_and_not_kept(tmp_path, caplog):
    arrays = {name: np.eye(8, 3, dtype=np.float32) for name in ("a", "b", "c")}
    flags = np.arange(8) > 0
    split = np.array(["train", "test"] * 4)
    labels = np.arange(8) // 2 % 2
    np.savez(tmp_path / "d.npz", labels=labels, split=split, present_c=flags, **arrays)
    config = default().data
    config.name, config.path, config.modalities = "arrays", str(tmp_path / "d.npz"), ("b", "a")
    absl_logging.set_verbosity(absl_logging.INFO)
    with caplog.at_level(logging.INFO, logger="absl"):
        splits = data.load(config)
    assert set(splits.train.modalities) == set(splits.test.modalities) == {"a", "b"}
    assert not splits.train.present and len(splits.test) == 4
    assert "not used, for config.data.modalities leaves them out: c" in caplog.text
