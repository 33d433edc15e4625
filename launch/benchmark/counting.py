"""Counts the operations of a traced function's products: matrix products and convolutions."""

import math

from jax.extend.core import ClosedJaxpr, Jaxpr


def operations(jaxpr) -> int:
    """Returns the multiplications and additions of all products in a jaxpr.

    Bodies of loops count as often as they run; those of a `while`, whose trips are not known, once.
    Zeros that a convolution puts between the pixels of its input are not counted, as no fast form
    multiplies by them; zeros around the images are.
    """
    total = 0
    for equation in getattr(jaxpr, "jaxpr", jaxpr).eqns:
        name = equation.primitive.name
        if name == "dot_general":
            total += _of_dot(equation)
        elif name == "conv_general_dilated":
            total += _of_convolution(equation)
        elif name == "cond":
            total += max(map(operations, equation.params["branches"]))
        else:
            trips = equation.params["length"] if name == "scan" else 1
            total += trips * sum(map(operations, _inner(equation.params.values())))
    return total


def _inner(values):
    """Yields the jaxprs among the parameters of an equation."""
    for value in values:
        if isinstance(value, (ClosedJaxpr, Jaxpr)):
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _inner(value)


def _of_dot(equation) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[i] for i in contracted)


def _of_convolution(equation) -> int:
    kernel, params = equation.invars[1].aval.shape, equation.params
    features = kernel[params["dimension_numbers"].rhs_spec[0]]
    zeros = math.prod(params["lhs_dilation"])
    # Of a kernel's entries, those that make one output: all but the axis of output features.
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) // features // zeros
