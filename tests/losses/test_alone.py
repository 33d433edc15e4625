"""The losses in somebody else's loop: no model class, no trainer, nothing else of the package."""

import jax.numpy as jnp

EXAMPLE = """\
import jax, jax.numpy as jnp
from jaxcmr import losses
images, texts = jax.random.normal(jax.random.key(0), (2, 64, 16))  # your paired features
labels = jnp.tile(jnp.arange(64) % 4, (2, 1))  # [V, B], some of them wrong
params = {"image": jnp.eye(16), "text": jnp.eye(16), "head": jnp.eye(16, 4)}
def loss(params):
    z = jnp.stack([images @ params["image"], texts @ params["text"]])  # [V, B, d]
    label_term = losses.generalized_cross_entropy(z @ params["head"], labels)
    return (label_term + losses.multimodal_contrastive(z, temperature=0.3)).mean()
step = jax.jit(lambda p: jax.tree.map(lambda x, g: x - 0.5 * g, p, jax.grad(loss)(p)))
for _ in range(50): params = step(params)
"""


def test_the_losses_alone():
    names = {}
    exec(EXAMPLE, names)
    start = {"image": jnp.eye(16), "text": jnp.eye(16), "head": jnp.eye(16, 4)}
    assert float(names["loss"](names["params"])) < float(names["loss"](start)) - 1.0
