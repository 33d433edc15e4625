"""Training on arrays takes a checkout, JAX, Flax, Optax, Orbax, ml_collections and absl alone."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
OPTIONAL = [
    "PIL", "beartype", "embreex", "h5py", "importlib_resources", "jinja2", "joblib", "jaxtyping",
    "mapbox_earcut", "matplotlib", "sklearn", "tensorflow_datasets", "trimesh",
]  # fmt: skip
if not any(re.match(r"chex\b", needed) for needed in requires("optax") or ()):
    OPTIONAL.append("chex")

# Python runs a file of this name before anything else.
SITECUSTOMIZE = f"""
import importlib.metadata, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

def distribution(name, found=importlib.metadata.distribution):
    if name == "jaxcmr":
        raise importlib.metadata.PackageNotFoundError(name)
    return found(name)

sys.meta_path.insert(0, Absent())
importlib.metadata.distribution = distribution
"""
MMCD = """
import sys
from jaxcmr import config, train_and_evaluate

run = config.default()
run.data.name, run.data.path, run.data.modalities = "own", sys.argv[1], ("image", "text")
run.encoders.embedding_size = 16
for name in run.data.modalities:
    run.encoders[name] = config.encoder("fc", hidden=(16,))
run.method, run.ensemble.members = config.method("mmcd"), 2
run.train.batch_size, run.train.epochs, run.noise.rate = 16, 2, 0.2
result = train_and_evaluate(run, sys.argv[2]).result
assert result["scores"]["best"]["image->text"]["mAP"] > result["scores"]["chance"], result
"""


@pytest.fixture
def python(tmp_path):
    """Runs Python where neither this package nor the optional ones are installed."""
    (tmp_path / "sitecustomize.py").write_text(SITECUSTOMIZE)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}

    def run(*words: str) -> subprocess.CompletedProcess:
        command = [sys.executable, *words]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)

    return run


@pytest.fixture
def pairs(tmp_path):
    """A file of 80 pairs of vectors, of four classes that lie apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 4
    items = 3 * np.eye(4)[labels] + rng.normal(size=(80, 4))
    views = {name: np.float32(items @ rng.normal(size=(4, 8))) for name in ("image", "text")}
    np.savez(tmp_path / "pairs.npz", labels=labels, **views)
    return str(tmp_path / "pairs.npz")


@pytest.mark.slow
def test_mmcd_trains_on_arrays(python, pairs, tmp_path):
    done = python("-c", MMCD, pairs, str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr


def test_the_command_trains_rono_on_arrays_and_leaves_the_pictures_out(python, pairs, tmp_path):
    flags = (f"--config.data.path={pairs}", "--config.train.epochs=2", f"--workdir={tmp_path}/run")
    done = python("launch/main.py", "--config=configs/rono_custom.py", *flags)
    assert done.returncode == 0, done.stderr
    assert "image->text" in done.stdout and ".png" not in done.stdout
    assert done.stderr.count("pip install matplotlib") == 1
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["scores"]["best"]["image->text"]["mAP"] > result["scores"]["chance"]


def test_the_benchmarks_begin(python):
    done = python("launch/benchmark/main.py", "retrieval", "--queries=9", "--items=9")
    assert done.returncode == 0, done.stderr


def test_what_needs_an_absent_package_says_which(python, tmp_path):
    (tmp_path / "items.h5").touch()
    flags = (f"--config.data.path={tmp_path}/items.h5", f"--workdir={tmp_path}/run")
    done = python("launch/main.py", "--config=configs/rono_custom.py", *flags)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the package h5py is not installed, but needed for HDF5")
    assert done.stderr.count("\n") == 1 and done.stderr.endswith(": pip install h5py\n")


@pytest.mark.slow
def test_what_loads_a_model_imports_no_package_before_its_use(python):
    heavy = {"PIL", "jinja2", "matplotlib", "pandas", "scipy", "sklearn", "starlette"}
    done = python("-c", f"import sys, jaxcmr.model; print({heavy} & set(sys.modules))")
    assert done.stdout == "set()\n", done.stderr
