"""Data tests see no user's data, no user's cache and no network."""

import pytest

from jaxcmr.config import default

CUBE = """OFF
8 6 0
-1 -1 -1
1 -1 -1
1 1 -1
-1 1 -1
-1 -1 1
1 -1 1
1 1 1
-1 1 1
4 0 3 2 1
4 4 5 6 7
4 0 1 5 4
4 2 3 7 6
4 1 2 6 5
4 3 0 4 7
"""


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JAXCMR_OFFLINE", "1")
    monkeypatch.delenv("JAXCMR_DATA", raising=False)


@pytest.fixture
def config():
    """The part `data` of a config, small."""
    data = default().data
    data.points, data.views, data.image_size = 16, 2, 16
    data.train_size, data.test_size = 20, 10
    data.fallback = "none"
    return data


@pytest.fixture
def cube() -> str:
    """The text of an .off file: a cube of edge 2."""
    return CUBE
