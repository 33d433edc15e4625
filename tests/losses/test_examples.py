"""The examples in the docstrings of the losses are true."""

import doctest
import importlib
import pkgutil
import re

import jax.numpy as jnp
import numpy as np

from jaxcmr import losses

NUMBER = re.compile(r"-?\d+\.\d*(?:e[-+]\d+)?")


class Close(doctest.OutputChecker):
    """Compares the numbers of an output up to rounding, and the rest but for blanks."""

    def check_output(self, want: str, got: str, flags: int) -> bool:
        numbers = [np.array(NUMBER.findall(text), float) for text in (want, got)]
        words = [NUMBER.sub("#", text).split() for text in (want, got)]
        return words[0] == words[1] and np.allclose(*numbers, atol=1e-5)


def test_the_examples_of_all_losses_are_true():
    finder, runner, tried = doctest.DocTestFinder(), doctest.DocTestRunner(Close()), set()
    for module in pkgutil.iter_modules(losses.__path__, "jaxcmr.losses."):
        known = {"jnp": jnp, "losses": losses}
        for test in finder.find(importlib.import_module(module.name), extraglobs=known):
            tried |= {test.name.rpartition(".")[2]} if test.examples else set()
            runner.run(test)
    assert runner.summarize().failed == 0
    assert set(losses.__all__) <= tried, "a public loss has no example"
