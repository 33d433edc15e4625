"""jaxcmr: cross-modal retrieval that survives wrong labels, in JAX and Flax.

The public face is `train_and_evaluate` and the modules `losses`, `noise` and `retrieval`. They are
loaded when first used, so that `import jaxcmr` does not start JAX.
"""

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "losses", "noise", "retrieval", "train_and_evaluate"]


def __getattr__(name: str) -> Any:
    if name in ("losses", "noise", "retrieval"):
        return importlib.import_module(f"jaxcmr.{name}")
    if name == "train_and_evaluate":
        return importlib.import_module("jaxcmr.train.run").train_and_evaluate
    raise AttributeError(f"module 'jaxcmr' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
