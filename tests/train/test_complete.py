"""What a config leaves open, filled in from a person's own data."""

import numpy as np
import pytest

from jaxcmr.data.own.complete import complete
from jaxcmr.errors import UsageError


@pytest.mark.parametrize(
    "name, expected",
    [
        ("a.b", "a name without . / \\\\"),
        ("centers", "a name other than embedding_size, head, centers, clusters"),
        ("embedding_size", "a name other than"),
    ],
)
def test_a_modality_that_no_config_can_name_is_to_be_renamed(name, expected, tmp_path, real_config):
    items = {key: np.zeros((8, 3), np.float32) for key in ("text", name)}
    np.savez(tmp_path / "d.npz", labels=np.arange(8) % 2, **items)
    config = real_config("rono_custom")
    config.data.path = str(tmp_path / "d.npz")
    with pytest.raises(
        UsageError, match=rf"has a modality {name!r}; rename it, it must be {expected}"
    ):
        complete(config)


@pytest.mark.parametrize("name", ["$x$", "手", "a b", "items", "_x"])
def test_a_modality_may_have_any_other_name(name, tmp_path, real_config):
    items = {key: np.zeros((8, 3), np.float32) for key in ("text", name)}
    np.savez(tmp_path / "d.npz", labels=np.arange(8) % 2, **items)
    config = real_config("rono_custom")
    config.data.path = str(tmp_path / "d.npz")
    assert set(complete(config).data.modalities) == {"text", name}
