"""The methods, one a file: how losses, label beliefs and encoders combine.

A config chooses one by `config.method.name`: a key of `METHODS`, or the path of a Python file,
ending in `.py`, which exports its recipe as `METHOD`.
"""

import jax
from ml_collections import ConfigDict

from jaxcmr.errors import UsageError
from jaxcmr.methods import ce, held_out, label_vote, matching, mmcd, mrl, own, pairs, romo, rono
from jaxcmr.methods.base import Method, Outputs, Progress, Recipe

__all__ = ["METHODS", "Method", "Outputs", "Progress", "Recipe", "build", "recipe"]

METHODS: dict[str, Recipe] = {
    "ce": ce.METHOD,
    "label_vote": label_vote.METHOD,
    "matching": matching.METHOD,
    "mmcd": mmcd.METHOD,
    "mrl": mrl.METHOD,
    "pairs": pairs.METHOD,
    "romo": romo.METHOD,
    "rono": rono.METHOD,
}


def build(config: ConfigDict) -> Method:
    """Builds the method `config.method.name`; raises `UsageError` if there is none.

    With `config.audit.folds`, labels are hidden from members in turn, by the method's own folds if
    it has some (`held_out`).
    """
    chosen = recipe(config.method.name)
    method, folds = chosen.build(config), config.audit.folds
    if not folds or not chosen.uses_labels or method.hidden is not None:
        return method
    key = jax.random.key(config.seed)
    return held_out.with_folds(method, folds, config.ensemble.members, key)


def recipe(name: str) -> Recipe:
    """Returns the recipe of a method by its name, or by the path of the file that exports it.

    Raises:
        UsageError: there is no such method or file, or the file fails or exports no recipe.
    """
    if own.is_file(name):
        return own.recipe(name)
    if name not in METHODS:
        raise UsageError(
            f"there is no method {name!r}; choose from {', '.join(METHODS)}, or give a file that "
            "ends in .py"
        )
    return METHODS[name]
