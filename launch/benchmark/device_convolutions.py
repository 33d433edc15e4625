"""The forms of a convolution whose kernels differ between members, forward and backward."""

import functools
from concurrent.futures import ThreadPoolExecutor

import jax
from device_rates import PRECISIONS, seconds_of

from jaxcmr.encoders.conv import forms as known
from jaxcmr.encoders.conv import layer, products
from jaxcmr.encoders.conv.products import Geometry

BATCHED = "batched matmul"
# Of `layer.conv2d`: a convolution a member, one grouped convolution, a matrix product a member, one
# product of all members (of the benchmark alone), and the form that is chosen on this device.
FORMS = ("lax", "grouped", "matmul", BATCHED, None)
known.FORMS[BATCHED] = known.Form(
    products.output_matmul, products.kernel_grad_matmul, products.input_grad_matmul
)
# Name -> items, height and width, channels in, channels out, of 3x3 kernels at stride 1: ResNet18
# on two views of 112 pixels of 128 items, and the CNN for MNIST on 128 items.
SHAPES = {
    "ResNet18 layer1": (256, 28, 64, 64),
    "ResNet18 layer2": (256, 14, 128, 128),
    "ResNet18 layer3": (256, 7, 256, 256),
    "ResNet18 layer4": (256, 4, 512, 512),
    "MNIST CNN conv1": (128, 28, 1, 96),
    "MNIST CNN conv2": (128, 14, 96, 64),
}


def forms(name: str, members: int, precision: str, fewer: int) -> dict:
    """Measures all forms, by milliseconds of the output and of both gradients.

    Args:
        name: of `SHAPES`.
        members: E, each with images and a kernel of its own.
        precision: of `PRECISIONS`.
        fewer: what the number of items is divided by.
    """
    items, size, inputs, features = SHAPES[name]
    dtype, how = PRECISIONS[precision]
    shapes = [(items // fewer, size, size, inputs), (3, 3, inputs, features)]
    shapes.append((*shapes[0][:3], features))
    arrays = [
        jax.random.normal(jax.random.key(i), (members, *shape), dtype)
        for i, shape in enumerate(shapes)
    ]
    # Compilation takes longer than the measurement: all forms at once.
    with ThreadPoolExecutor(len(FORMS)) as pool:
        programs = list(pool.map(lambda form: _compiled(form, how, arrays), FORMS))
    found = {
        f"{form or 'chosen'} ms": program
        if isinstance(program, str)
        else 1e3 * seconds_of(functools.partial(program, *arrays))
        for form, program in zip(FORMS, programs)
    }
    geometry = Geometry((size, size), shapes[1], (1, 1), ((1, 1), (1, 1)))
    found |= {"chosen": known.fastest(geometry, dtype)}
    numbers = {form: value for form, value in found.items() if not isinstance(value, str)}
    if not numbers:
        return found
    return found | {"fastest": min(numbers, key=numbers.get).removesuffix(" ms")}


def _compiled(form, how, arrays):
    """Returns the compiled form, or why there is none."""
    convolve = functools.partial(layer.conv2d, padding=1, form=form)

    def both_ways(images, kernel, grad):
        out, pull = jax.vjp(convolve, images, kernel)
        return out, pull(grad)

    try:
        with jax.default_matmul_precision(how):  # a thread's own
            return jax.jit(jax.vmap(both_ways)).lower(*arrays).compile()
    except Exception as error:
        return str(error).partition("\n")[0][:80] or type(error).__name__
