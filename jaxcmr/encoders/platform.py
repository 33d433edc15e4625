"""The platform that a program is traced for: the one at hand, or all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

ANY = "any"

_traced_for: ContextVar[str | None] = ContextVar("traced_for", default=None)


def platform() -> str:
    """Returns "cpu", "gpu" or "tpu", or `ANY` inside `for_any`."""
    return _traced_for.get() or jax.default_backend()


@contextmanager
def for_any() -> Iterator[None]:
    """Makes encoders that are traced inside it right on every platform, for any size of a batch.

    Nothing that they choose may then depend on the platform at hand, or on how many items there
    are. A function that was traced before must not be used again: give `jax.jit` a new one.
    """
    token = _traced_for.set(ANY)
    try:
        yield
    finally:
        _traced_for.reset(token)
