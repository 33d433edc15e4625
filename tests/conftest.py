"""Settings shared by all tests, and a bound on the memory that they take."""

import ctypes
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("JAXCMR_OFFLINE", "1")  # no test downloads anything from the network

FAST = "--xla_cpu_use_fusion_emitters=false"  # the older way to fuse compiles in half of the time
PROCESS_BYTES = 1_500_000_000  # the most that a process of the fast tests may take
FREED_FROM = 800_000_000  # bytes held behind a test from which on compiled programs are dropped

SHARED = ROOT.parent / "shared"


def pytest_configure(config: pytest.Config) -> None:
    """Compiles fast where no time is measured: most of it would go into code of milliseconds."""
    if _is_fast(config):
        os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        if "XLA_FLAGS" not in os.environ and _are_known(FAST):
            os.environ["XLA_FLAGS"] = FAST


def _is_fast(config: pytest.Config) -> bool:
    """Tells whether the slow tests are left out."""
    return "not slow" in config.getoption("markexpr")


def _are_known(flags: str) -> bool:
    """Tries flags of XLA in another process, for it ends one that has flags it does not know."""
    code = "from jaxlib import xla_client; xla_client.CompileOptions()"
    environment = os.environ | {"XLA_FLAGS": flags}
    command = [sys.executable, "-c", code]
    return not subprocess.run(command, env=environment, capture_output=True).returncode


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
    """`(file, variant="") -> ConfigDict`, what `configs/<file>.py` returns; fields may be added."""
    from jaxcmr.config import loading

    def load(file: str, variant: str = ""):
        path = ROOT / "configs" / f"{file}.py"
        return loading.load(f"{path}:{variant}" if variant else str(path), path.parent).unlock()

    return load


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Lets a worker send what a test logged: names of files need not be UTF-8, reports must."""
    report = yield
    clean = lambda text: text.encode(errors="backslashreplace").decode()
    report.sections = [(name, clean(text)) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def _bounded_memory(request):
    """Frees what tests compiled before it is gigabytes; fails the fast test that takes too much."""
    before = _bytes("VmHWM")
    yield
    if _bytes("VmRSS") > FREED_FROM:
        if "jax" in sys.modules:
            sys.modules["jax"].clear_caches()
        gc.collect()
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)  # else the C library keeps what was freed
    peak = _bytes("VmHWM")
    if _is_fast(request.config) and peak > max(before, PROCESS_BYTES):
        pytest.fail(f"the process took {peak / 1e9:.2f} GB, more than {PROCESS_BYTES / 1e9:.2f}")


def _bytes(field: str) -> int:
    """Returns the memory that this process holds (VmRSS) or ever held (VmHWM); 0 if unknown."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))
