"""The README's example: the losses in another training loop, without the rest of the package."""

import re
from pathlib import Path

import jax.numpy as jnp

README = Path(__file__).resolve().parents[2] / "README.md"


def test_the_losses_alone():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (example,) = [block for block in blocks if "from jaxcmr import losses" in block]
    names = {}
    exec(example, names)
    start = {"image": jnp.eye(16), "text": jnp.eye(16), "head": jnp.eye(16, 4)}
    assert float(names["loss"](names["params"])) < float(names["loss"](start)) - 1.0
