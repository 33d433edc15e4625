"""Settings shared by all tests."""

import importlib.util
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("JAXCMR_OFFLINE", "1")  # no test downloads anything from the network

SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and reference numbers beside the project; skips without it."""
    if not (SHARED / "golden").is_dir():
        pytest.skip(f"reference data not found beside the project ({SHARED.name}/)")
    return SHARED


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of golden numbers that travel with the project."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def real_config():
    """`(file, variant="") -> ConfigDict`, what `configs/<file>.py` returns."""

    def load(file: str, variant: str = ""):
        spec = importlib.util.spec_from_file_location(file, ROOT / "configs" / f"{file}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.get_config(variant) if variant else module.get_config()

    return load
