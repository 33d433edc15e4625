"""jaxcmr: cross-modal retrieval that survives wrong labels, in JAX and Flax.

The public face is `train_and_evaluate`, `load`, `Index`, `find_label_errors`, `rank_label_errors`
and the modules `losses`, `noise` and `retrieval`. They are loaded when first used, so that `import
jaxcmr` does not start JAX.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
_MODULES = ("losses", "noise", "retrieval")
_FUNCTIONS = {
    "Index": "jaxcmr.index",
    "find_label_errors": "jaxcmr.report.audit.find",
    "load": "jaxcmr.model",
    "rank_label_errors": "jaxcmr.report.audit.find",
    "train_and_evaluate": "jaxcmr.train.run",
}
__all__ = ["__version__", *_FUNCTIONS, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"jaxcmr.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'jaxcmr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
