"""The losses in somebody else's loop: no model class, no trainer, nothing else of the package."""

import jax.numpy as jnp

EXAMPLE = """\
import jax, jax.numpy as jnp
from jaxcmr import losses
images, texts = jax.random.normal(jax.random.key(0), (2, 64, 16))  # your paired features
labels = jnp.arange(64) % 4  # some of them wrong
params = {"image": jnp.eye(16), "text": jnp.eye(16), "head": jnp.eye(16, 4)}
def loss(params):
    z = jnp.stack([images @ params["image"], texts @ params["text"]])  # [V, B, d]
    label_term = losses.generalized_cross_entropy(z @ params["head"], jnp.stack([labels, labels]))
    return (label_term + losses.multimodal_contrastive(z, temperature=0.3)).mean()
for _ in range(50):
    params = jax.tree.map(lambda p, g: p - 0.5 * g, params, jax.jit(jax.grad(loss))(params))
"""


def test_the_losses_alone():
    names = {}
    exec(EXAMPLE, names)
    start = {"image": jnp.eye(16), "text": jnp.eye(16), "head": jnp.eye(16, 4)}
    assert float(names["loss"](names["params"])) < float(names["loss"](start)) - 1.0
