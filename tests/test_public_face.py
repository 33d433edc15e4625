"""`import jaxcmr` is cheap, and lists and loads the public names."""

import subprocess
import sys

import pytest

import jaxcmr

FUNCTIONS = {"Index", "find_label_errors", "load", "rank_label_errors", "train_and_evaluate"}
NAMES = {"__version__", "losses", "noise", "retrieval", *FUNCTIONS}


def test_importing_the_package_does_not_import_jax():
    code = (
        "import sys, jaxcmr; assert 'jax' not in sys.modules; print(*dir(jaxcmr)); "
        "jaxcmr.losses.cross_entropy; assert 'jax' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) >= NAMES


def test_the_public_names_are_there():
    assert set(jaxcmr.__all__) == NAMES
    for name in NAMES:
        assert getattr(jaxcmr, name)
    assert all(callable(getattr(jaxcmr, name)) for name in FUNCTIONS)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        jaxcmr.nothing  # noqa: B018
