"""Packages that only some files, pictures and stand-ins need: imported when they are first used.

Training and evaluation on arrays work without them, but for scipy, which every installation has: to
import it takes a sixth of the time in which a trained model is loaded.
"""

import importlib
from types import ModuleType
from typing import Any

from jaxcmr.errors import UsageError

# Import name -> what needs it; its name for pip, where that is another one.
_NEEDED_BY = {
    "embreex": "views of meshes",
    "faiss": "faiss indexes",
    "flatbuffers": "exported programs",
    "h5py": "HDF5 files and .mat files",
    "jinja2": "pages for a browser",
    "joblib": "the preparation of items",
    "mapbox_earcut": "meshes with concave polygons",
    "matplotlib": "pictures with text or curves",
    "PIL": "PNG and JPEG files",
    "pyarrow": "Parquet files",
    "scipy": "nearest neighbors, assignments and groups of rows",
    "sklearn": "features of texts and the digits that stand in for MNIST",
    "starlette": "the server",
    "tensorflow_datasets": "TFDS data sets",
    "usearch": "usearch indexes",
    "uvicorn": "the server",
}
_PIP = {
    "faiss": "faiss-cpu",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "tensorflow_datasets": "tensorflow-datasets",
}


def load(name: str) -> ModuleType:
    """Imports a module of such a package, `PIL.Image`.

    Raises:
        UsageError: the package, or one that it imports itself, is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        use, missing = _NEEDED_BY[name.partition(".")[0]], str(error.name).partition(".")[0]
        package = _PIP.get(missing, missing)
        raise UsageError(
            f"the package {package} is not installed, but needed for {use}: pip install {package}"
        ) from None


class Later:
    """Stands for a module that `load` imports when something of it is first used."""

    __slots__ = ("_name",)  # what is set here would not be set there

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # asked for by those who look at objects, as `inspect` does
            raise AttributeError(attribute)
        return getattr(load(self._name), attribute)
