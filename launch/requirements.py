"""Ends a command with one sentence where a package is missing that every command needs."""

import importlib.util
import sys

NEEDED = {
    "absl": "absl-py",
    "flax": "flax",
    "jax": "jax",
    "ml_collections": "ml_collections",
    "numpy": "numpy",
    "optax": "optax",
    "orbax": "orbax-checkpoint",
}


def there(module: str) -> bool:
    """Tells whether a module can be imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # it is loaded, or hidden, in a way without a spec
        return sys.modules.get(module) is not None


if missing := [name for module, name in NEEDED.items() if not there(module)]:
    print(
        f"error: every command needs {' and '.join(missing)}: pip install {' '.join(missing)}",
        file=sys.stderr,
    )
    sys.exit(2)
