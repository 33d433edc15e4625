"""The table of calls of the public functions, and the ordinary arguments of these calls."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from extremes import CLASSES, MEMBERS, MODALITIES, ROWS, WIDTH


class Call(NamedTuple):
    """A call with ordinary arguments.

    Attributes:
        function: what is called.
        arguments: its keywords, an `Argument` where extremes are tried.
        instead: "argument/extreme" -> the outcomes that are right for this function, concrete and
            traced, or None to leave the extreme out.
        slopes: whether the gradients are looked at, too.
    """

    function: Callable
    arguments: Mapping[str, Any]
    instead: dict[str, tuple[str, str | None] | None]
    slopes: bool = False


TABLE: dict[str, Call] = {}
EXEMPT: dict[str, str] = {}


def key_of(function: Callable) -> str:
    return f"{function.__module__.removeprefix('jaxcmr.')}.{function.__name__}"


def call(function: Callable, instead: Mapping[str, Any] | None = None, **arguments: Any) -> None:
    slopes = function.__module__.startswith(("jaxcmr.losses", "jaxcmr.numerics"))
    TABLE[key_of(function)] = Call(function, arguments, instead or {}, slopes)


def exempt(why: str, *functions: Callable) -> None:
    EXEMPT.update({key_of(function): why for function in functions})


rng = np.random.default_rng(0)
normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
softmax = lambda logits: np.asarray(jax.nn.softmax(logits, axis=-1))
everything = lambda *shape: np.ones(shape, bool)
CLASS = [0, 1, 2, 1, 0]
LOGITS, LOGITS_BY_MODALITY = normal(ROWS, CLASSES), normal(MODALITIES, ROWS, CLASSES)
VOTERS = normal(MEMBERS, MODALITIES, ROWS, CLASSES)
Z, FEATURES = normal(MODALITIES, ROWS, WIDTH), normal(ROWS, WIDTH)
CENTERS = normal(CLASSES, WIDTH)
KEY = jax.random.key(0)
PRESENT = everything(MODALITIES, ROWS)
